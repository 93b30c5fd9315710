"""One stage through the engine, with a judge that answers by a script."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import (
    FakeJudge,
    FakeVerifier,
    broken_at,
    outcome,
    process,
    records,
    remember_updates,
    same_weights,
    save_policy,
    some_problems,
    train,
    weights,
)
from transformers import AutoTokenizer, LlamaForCausalLM

from exprl.config import LoraSettings, PolicyConfig, SegmentConfig
from exprl.engines.trl.checkpoint import check_policy_path
from exprl.engines.trl.prompts import prompt_order
from exprl.engines.trl.settings import grpo_settings
from exprl.engines.trl.surroundings import quiet
from exprl.engines.trl.train import Stage, train_stage
from exprl.errors import CheckpointError, DataError, UnscoredLimitError
from exprl.methods import build_method
from exprl.runs import read_jsonl


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy"))


def test_a_stage_ends_in_a_plain_checkpoint_and_a_record_of_every_step(base: Path, tmp_path: Path) -> None:
    final = train(base, tmp_path, process(steps=2))
    assert final == tmp_path / "final"
    assert LlamaForCausalLM.from_pretrained(final).config.hidden_size == 16
    assert AutoTokenizer.from_pretrained(final).eos_token == "<eos>"
    assert not same_weights(base, final)
    metrics, rollouts, verdicts = records(tmp_path)
    assert [row["step"] for row in metrics] == [1, 2]
    assert len(rollouts) == 2 * 8
    judged = [row for row in rollouts if not row["truncated"]]
    assert {str(row["rollout_id"]) for row in verdicts} == {str(row["id"]) for row in rollouts}
    for row in judged:
        spans = row["segments"]
        assert "".join(row["text"][a:b] for a, b in spans) == row["text"]  # type: ignore[index, union-attr]
        assert len(row["scores"]) == len(row["advantages"]) == len(spans)  # type: ignore[arg-type]


def test_what_is_trained_on_is_the_credit_that_is_recorded(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = remember_updates(monkeypatch)
    train(base, tmp_path, process(steps=1))
    rows = read_jsonl(tmp_path / "rollouts.jsonl")
    (batch,) = memory.updates[0].batches
    found = sorted(
        (int(mask.sum()), tuple(round(a, 5) for a in advantages[mask.bool()].tolist()))
        for mask, advantages in zip(batch["completion_mask"], batch["advantages"], strict=True)
    )
    wanted = []
    for row in rows:
        # Segments of three tokens each; the end token has no text and belongs to the last of them.
        per_segment = [round(float(a), 5) for a in row["advantages"]]  # type: ignore[union-attr]
        tokens = int(str(row["tokens"]))
        wanted.append((tokens, tuple(per_segment[min(i // 3, len(per_segment) - 1)] for i in range(tokens))))
    assert found == sorted(wanted)
    assert any(len(set(advantages)) > 1 for _, advantages in found)


def test_training_is_silent(
    base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings(record=True) as heard, caplog.at_level(logging.WARNING):
        warnings.simplefilter("always")
        train(base, tmp_path, outcome(steps=1, kl=0.1, save_every=1))
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in heard] == []
    assert caplog.text == ""


def test_settings_name_nothing_that_is_deprecated(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        on_gpu = grpo_settings(outcome(), tmp_path, seed=0, bf16=False, cpu=False)
        on_cpu = grpo_settings(outcome(), tmp_path, seed=0, bf16=False, cpu=True)
    assert (on_gpu.gradient_checkpointing, on_cpu.gradient_checkpointing) == (True, False)


def test_a_finished_stage_is_not_trained_again(base: Path, tmp_path: Path) -> None:
    final = train(base, tmp_path, outcome(steps=1))
    before = (final / "model.safetensors").stat().st_mtime_ns
    assert train(base, tmp_path, outcome(steps=1), judge=FakeJudge(broken_at(1))) == final
    assert (final / "model.safetensors").stat().st_mtime_ns == before


# -- the judge fails


def test_too_many_unscored_rollouts_stop_the_stage_before_the_update(base: Path, tmp_path: Path) -> None:
    judge = FakeJudge(broken_at(3))
    with pytest.raises(UnscoredLimitError, match=r"step 3: \d+% .*limit 20%.*the judge is broken.*--resume"):
        train(base, tmp_path, outcome(save_every=50), judge=judge)
    metrics, rollouts, _ = records(tmp_path)
    assert [row["step"] for row in metrics] == [1, 2]
    assert {row["step"] for row in rollouts} == {1, 2}
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000002"]
    assert not (tmp_path / "final").exists()


@pytest.mark.parametrize(
    ("step", "updates"),
    [pytest.param(1, 1, marks=pytest.mark.slow), (3, 2), pytest.param(4, 1, marks=pytest.mark.slow)],
)
def test_after_the_judge_is_mended_the_run_is_as_if_it_had_never_failed(
    base: Path, tmp_path: Path, step: int, updates: int
) -> None:
    settings = outcome(steps=5, kl=0.1, updates_per_step=updates)
    whole = train(base, tmp_path / "whole", settings)
    with pytest.raises(UnscoredLimitError):
        train(base, tmp_path / "paused", settings, judge=FakeJudge(broken_at(step)))
    resumed = train(base, tmp_path / "paused", settings)
    assert same_weights(whole, resumed)
    assert records(tmp_path / "whole") == records(tmp_path / "paused")


def test_below_the_limit_training_goes_on_and_counts(base: Path, tmp_path: Path) -> None:
    train(base, tmp_path, outcome(steps=2), judge=FakeJudge(broken_at(2)), limit=1.0)
    metrics, rollouts, _ = records(tmp_path)
    assert metrics[0]["unscored"] == 0.0
    judged = sum(not row["truncated"] for row in rollouts if row["step"] == 2)
    assert metrics[1]["unscored"] == judged / 8
    assert all(row["advantages"] == [None] for row in rollouts if row["step"] == 2 and not row["truncated"])


# -- shapes of a stage


def test_fewer_problems_than_prompts_give_several_groups_of_one_problem(base: Path, tmp_path: Path) -> None:
    train(base, tmp_path, outcome(steps=2, prompts_per_step=3), problems=some_problems(1))
    assert {row["question_id"] for row in read_jsonl(tmp_path / "rollouts.jsonl")} == {"p0"}
    assert [row["rollouts"] for row in read_jsonl(tmp_path / "metrics.jsonl")] == [12, 12]


def test_micro_batches_change_nothing_but_rounding(base: Path, tmp_path: Path) -> None:
    settings = {"steps": 2, "updates_per_step": 2, "kl": 0.1, "entropy_bonus": 0.01, "learning_rate": 1e-3}
    one = weights(train(base, tmp_path / "one", process(**settings)))
    other = weights(train(base, tmp_path / "two", process(**settings, micro_batch=1)))
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < 1e-5


def test_a_problem_that_does_not_fit_is_named(base: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"problem p1: its prompt has 9 tokens, over max_prompt_tokens=8"):
        train(base, tmp_path, outcome(max_prompt_tokens=8))


def test_no_problems_are_refused(base: Path, tmp_path: Path) -> None:

    method = outcome()
    stage = Stage(str(base), method, [], tmp_path, 0)

    from exprl.config import PromptConfig

    with pytest.raises(DataError, match="no problems to train on"):
        train_stage(
            stage,
            build_method(method, FakeJudge(), SegmentConfig()),
            FakeVerifier(),
            PolicyConfig(model=str(base), dtype="float32", device="cpu"),
            PromptConfig(system=None),
        )


# -- the order of prompts


@given(problems=st.integers(1, 12), per_step=st.integers(1, 5), steps=st.integers(1, 12), seed=st.integers(0, 3))
def test_every_problem_is_asked_equally_often_and_once_a_step(
    problems: int, per_step: int, steps: int, seed: int
) -> None:
    order = prompt_order(problems, per_step=per_step, steps=steps, seed=seed)
    assert order.shape == (steps * per_step,)
    counts = np.bincount(order, minlength=problems)
    assert counts.max() - counts.min() <= 1
    if per_step <= problems:
        assert all(len(set(step)) == per_step for step in order.reshape(steps, per_step).tolist())
    assert (order == prompt_order(problems, per_step=per_step, steps=steps, seed=seed)).all()
    longer = prompt_order(problems, per_step=per_step, steps=steps + 1, seed=seed)
    assert (order == longer[: len(order)]).all()


def test_another_seed_asks_in_another_order() -> None:
    one, other = (prompt_order(40, per_step=4, steps=10, seed=seed).tolist() for seed in (0, 1))
    assert one != other


# -- LoRA


def lora_policy(base: Path, **changes: float) -> PolicyConfig:
    return PolicyConfig(
        model=str(base), dtype="float32", device="cpu", lora=LoraSettings.model_validate({"rank": 4, **changes})
    )


def test_lora_trains_an_adapter_and_merges_it(base: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    final = train(base, tmp_path, outcome(steps=2, kl=0.05, save_every=2), policy=lora_policy(base))
    merged = LlamaForCausalLM.from_pretrained(final)
    checkpoint = tmp_path / "checkpoints" / "step-000002"
    assert not (checkpoint / "model.safetensors").exists()
    plain = LlamaForCausalLM.from_pretrained(base)
    with quiet():
        adapted = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base), checkpoint)
    ids = torch.tensor([[3, 4, 5, 6, 7, 8]])
    with torch.no_grad():
        torch.testing.assert_close(merged(ids).logits, adapted(ids).logits, rtol=1e-4, atol=1e-5)
        assert float((merged(ids).logits - plain(ids).logits).abs().max()) > 1e-3
    assert not list(final.glob("adapter*"))
    assert weights(final).keys() == weights(base).keys()


# -- what is no checkpoint


def test_a_path_that_is_no_checkpoint_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder; give a transformers checkpoint"):
        check_policy_path(str(tmp_path / "nowhere"))
    folder = tmp_path / "broken"
    folder.mkdir()
    with pytest.raises(CheckpointError, match=r"config\.json is missing.*stage1/final"):
        check_policy_path(str(folder))
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(CheckpointError, match="pickled weights are not loaded"):
        check_policy_path(str(folder))
    (folder / "model.safetensors").write_bytes((base / "model.safetensors").read_bytes())
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json is damaged"):
        check_policy_path(str(folder))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    check_policy_path(str(folder))
    check_policy_path("Qwen/Qwen3-4B-Instruct-2507")  # a Hub id is left to transformers
