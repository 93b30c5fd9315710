"""The ceiling of what judging costs: numbers worked by hand."""

from __future__ import annotations

import pytest

from exprl.config import LLMJudgeConfig, MilestoneJudgeConfig, PanelJudgeConfig
from exprl.judge.budget import Ceiling, judging_ceiling, longest_problem
from exprl.types import Problem, Reference

WORK = {"traces": 10, "cuts": 4, "trace_tokens": 400, "problem_tokens": 100}


def llm(**changes: object) -> LLMJudgeConfig:
    return LLMJudgeConfig.model_validate({"model": "m", "max_tokens": 50} | changes)


def test_every_cut_is_a_call_that_reads_all_and_writes_its_limit() -> None:
    assert judging_ceiling(llm(), **WORK) == Ceiling(40, 40 * 2000, 40 * 50, None)


def test_one_call_may_judge_all_prefixes_and_samples_multiply() -> None:
    assert judging_ceiling(llm(prefixes="once"), **WORK).calls == 10
    assert judging_ceiling(llm(samples=3, temperature=0.7), **WORK).calls == 120


def test_prices_are_per_million_tokens_and_nothing_is_taken_as_cached() -> None:
    cost = judging_ceiling(llm(price_in=2.0, price_cached=0.2, price_out=8.0), **WORK).cost
    assert cost == pytest.approx((80_000 * 2.0 + 2_000 * 8.0) / 1e6)


def test_a_judge_without_a_model_costs_nothing() -> None:
    assert judging_ceiling(MilestoneJudgeConfig(), **WORK) == Ceiling(40, 0, 0, 0.0)


def test_a_panel_is_the_sum_of_its_members() -> None:
    members = {"a": {"judge": llm(price_in=1, price_out=1)}, "b": {"judge": {"type": "milestone"}, "weight": 0}}
    panel = PanelJudgeConfig.model_validate({"members": members})
    assert judging_ceiling(panel, **WORK) == Ceiling(80, 80_000, 2_000, pytest.approx(0.082))


def test_the_longest_problem_counts_its_reference() -> None:
    short, long = Problem("a", "12", Reference("34", "5")), Problem("b", "1" * 10, Reference("2" * 20, None))
    assert longest_problem([short, long]) == 15
    assert longest_problem([]) == 0
