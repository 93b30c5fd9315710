"""Orderings are asked of arms by their settings; the paper's numbers stand only beside what they can be compared with."""

from __future__ import annotations

import pytest

from exprl.config import OutcomeConfig, ProcessConfig, SparseConfig
from exprl.evaluate.intervals import Interval
from exprl.evaluate.orderings import CLAIMS, claimed, role, verdict
from exprl.evaluate.paper import benchmark, paper_value

MODEL = "Qwen/Qwen3-4B-Instruct-2507"


def test_a_method_is_recognised_by_its_settings() -> None:
    assert role(ProcessConfig().model_dump()) == "process, DeltaNorm, prefixes"
    assert role(ProcessConfig(credit="group_norm", scope="segment").model_dump()) == "process, GroupNorm, segments"
    assert role(ProcessConfig(outcome_weight=0.5).model_dump()) == "combined"
    assert role(OutcomeConfig().model_dump()) == "outcome"
    assert role(SparseConfig().model_dump()) == "sparse"
    assert (role({"type": "sft"}), role({"type": "self_distill"})) == ("sft", "self-distillation")


def test_every_claim_is_asked_of_every_pair_of_fitting_arms() -> None:
    roles = {"a": "outcome", "b": "outcome", "c": "sparse", "base": "base"}
    found = [(claim.stage, arm, other) for claim, arm, other in claimed(roles) if claim.upper == "outcome" and arm]
    assert found == [("stage1", "a", "c"), ("stage1", "b", "c"), ("stage2", "a", "c"), ("stage2", "b", "c")]
    missing = [claim for claim, arm, _ in claimed(roles) if arm is None]
    assert all(claim.paper for claim in missing)
    assert any(claim.lower == "sft" for claim in missing)


def test_claims_name_methods_that_exist() -> None:
    known = {role(method().model_dump()) for method in (ProcessConfig, OutcomeConfig, SparseConfig)}
    known |= {role({"type": "process", "credit": c}) for c in ("end_norm", "group_norm")}
    known |= {role({"type": "process", "scope": "segment"}), "base", "sft", "self-distillation", "combined"}
    assert {name for claim in CLAIMS for name in (claim.upper, claim.lower)} <= known


def test_a_claim_holds_only_if_the_interval_leaves_out_zero() -> None:
    assert verdict(Interval(0.2, 0.1, 0.3)) == "holds"
    assert verdict(Interval(-0.2, -0.3, -0.1)) == "does not hold"
    assert verdict(Interval(0.2, -0.1, 0.5)) == verdict(Interval(0.1, 0.0, 0.2)) == "cannot be told"
    assert verdict(None) == "not run"


@pytest.mark.parametrize(
    ("set_", "source", "problems", "found"),
    [
        ("aime26", "data/a.jsonl", 30, "aime26"),
        ("held_out", "math-ai/AIME_2026", 30, "aime26"),
        ("hmmt-nov-2025", "x.parquet", 30, "hmmt_nov25"),
        ("aime26", "data/a.jsonl", 15, None),  # a part of it
        ("hard_held_out", "world:chain/hard_held_out", 30, None),
        ("aime2", "a.jsonl", 30, None),
    ],
)
def test_a_benchmark_is_known_by_name_or_source_and_whole(
    set_: str, source: str, problems: int, found: str | None
) -> None:
    assert benchmark(set_, source, problems) == found


def test_the_papers_numbers_are_those_that_it_gives() -> None:
    assert paper_value(MODEL, "aime26", "sparse", "stage1", 16) == 0.776
    assert paper_value(MODEL, "imo_answerbench", "process, DeltaNorm, prefixes", "stage2", 1) == 0.357
    assert paper_value("/models/qwen3-4b-instruct-2507/", "aime25", "base", "stage2", 1) == 0.465


@pytest.mark.parametrize(
    ("model", "name", "method", "stage", "k"),
    [
        ("Qwen/Qwen3-8B", "aime26", "outcome", "stage2", 1),
        (MODEL, None, "outcome", "stage2", 1),
        (MODEL, "aime26", "combined", "stage2", 1),
        (MODEL, "aime26", "outcome", "stage2", 16),
        (MODEL, "aime25", "outcome", "stage1", 1),
    ],
)
def test_what_the_paper_did_not_measure_has_no_number(
    model: str, name: str | None, method: str, stage: str, k: int
) -> None:
    assert paper_value(model, name, method, stage, k) is None
