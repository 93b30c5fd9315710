"""What is written of a training step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from exprl.engines.trl.ledger import Ledger
from exprl.methods import Credits, RolloutBatch
from exprl.runs import read_jsonl
from exprl.types import Problem, Reference, Rollout, Segment, Usage, Verdict

NAN = float("nan")
LOG = {"loss": 0.5, "entropy": 1.25, "kl": 0.01, "grad_norm": 2.0, "clip_ratio/region_mean": 0.125}


def batch_of(step: int, right: tuple[float | None, ...] = (1.0, 0.0, 0.0, None)) -> RolloutBatch:
    """Two groups of two: p0 and p1; the third rollout is truncated."""
    problems = [Problem(f"p{i // 2}", f"question {i // 2}", Reference("SECRET", "7")) for i in range(4)]
    rollouts = [
        Rollout(f"{step:06d}-{i:04d}", problem.id, "ab###cd", tokens=4 + i, truncated=i == 2)
        for i, problem in enumerate(problems)
    ]
    verified = [Verdict(score) if score is not None else Verdict(None, unscored="timeout") for score in right]
    return RolloutBatch(problems, rollouts, np.array([0, 0, 1, 1]), [np.arange(4)] * 4, verified)


def credits_of() -> Credits:
    """Rollouts 0 and 1 are scored, 2 is truncated, 3 has no score."""
    usage = Usage(calls=1, prompt_tokens=100, completion_tokens=10, cached_tokens=50)
    scored = (Verdict(0.25, likert=2, raw="it quotes SECRET", judge="j", prompt_hash="h", usage=usage), Verdict(0.75))
    unscored = (Verdict(None, unscored="judge timeout", usage=usage), Verdict(0.5))
    cut = (Verdict(None, unscored="truncated: not sent to the judge"),) * 2
    verdicts = [scored, scored, cut, unscored]
    return Credits(
        segments=[(Segment(0, 5), Segment(5, 7))] * 4,
        rewards_R=np.array([0.75, 0.25, 0.0, NAN]),
        advantages_RS=np.array([[-0.5, 1 / 3], [0.5, 0.0], [0.0, 0.0], [NAN, NAN]]),
        scores=[tuple(v.score for v in row) for row in verdicts],
        verdicts=verdicts,
    )


def test_the_numbers_of_a_step_are_counted_by_hand(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, training_problems=4)
    ledger.record(1, batch_of(1), credits_of())
    row = ledger.commit(1, LOG, seconds=1.5)
    assert read_jsonl(tmp_path / "metrics.jsonl") == [row]
    assert row == {
        "step": 1,
        "reward": pytest.approx((0.75 + 0.25 + 0.0) / 3),  # without the rollout that has none
        "reward_std": pytest.approx(np.std([0.75, 0.25, 0.0], ddof=1)),
        "correct": pytest.approx(1 / 3),  # of the three that were verified
        "unlocked": 0.25,  # p0, of four training problems
        "entropy": 1.25,
        "tokens": 5.5,
        "segments": 2.0,
        "truncated": 0.25,
        "unscored": 0.25,  # the truncated one was not asked about
        "zero_signal": 0.5,  # p1's group: one at 0, one out of the loss
        "kl": 0.01,
        "loss": 0.5,
        "grad_norm": 2.0,
        "clip_ratio": 0.125,
        "seconds": 1.5,
        "rollouts": 4,
        "judge_calls": 3,
        "judge_prompt_tokens": 300,
        "judge_completion_tokens": 30,
        "judge_cached_tokens": 150,
    }


def test_what_trl_does_not_know_is_null_and_never_nan(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, 4)
    everything_unscored = Credits(
        segments=[(Segment(0, 7),)] * 4,
        rewards_R=np.full(4, NAN),
        advantages_RS=np.full((4, 1), NAN),
        scores=[(None,)] * 4,
        verdicts=[(Verdict(None, unscored="down"),)] * 4,
    )
    ledger.record(1, batch_of(1, right=(None,) * 4), everything_unscored)
    row = ledger.commit(1, {"loss": 0.0, "entropy": NAN, "grad_norm": float("inf")}, seconds=0.0)
    assert [row[key] for key in ("reward", "reward_std", "correct", "entropy", "kl", "grad_norm")] == [None] * 6
    assert (row["zero_signal"], row["unscored"]) == (1.0, 0.75)
    assert all(r["advantages"] == [None] for r in read_jsonl(tmp_path / "rollouts.jsonl"))


def test_rollouts_hold_spans_scores_and_advantages_and_nothing_of_the_reference(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, 4)
    ledger.record(1, batch_of(1), credits_of())
    ledger.commit(1, LOG, 0.0)
    first, _, _, last = read_jsonl(tmp_path / "rollouts.jsonl")
    assert first == {
        "id": "000001-0000",
        "question_id": "p0",
        "step": 1,
        "text": "ab###cd",
        "tokens": 4,
        "truncated": False,
        "correct": 1.0,
        "segments": [[0, 5], [5, 7]],
        "scores": [0.25, 0.75],
        "advantages": [-0.5, 0.333333],
    }
    assert (last["correct"], last["scores"], last["advantages"]) == (None, [None, 0.5], [None, None])
    for name in ("rollouts.jsonl", "metrics.jsonl"):
        assert "SECRET" not in (tmp_path / name).read_text()
    verdicts = read_jsonl(tmp_path / "verdicts.jsonl")
    assert len(verdicts) == 8
    assert verdicts[0] == {
        "rollout_id": "000001-0000",
        "cut": 0,
        "score": 0.25,
        "unscored": None,
        "likert": 2,
        "raw": "it quotes SECRET",
        "judge": "j",
        "prompt_hash": "h",
        "usage": {"calls": 1, "prompt_tokens": 100, "completion_tokens": 10, "cached_tokens": 50},
    }


def test_nothing_is_written_before_the_update_is_done(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, 4)
    ledger.record(1, batch_of(1), credits_of())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError, match="without record"):
        Ledger(tmp_path, 4).commit(1, LOG, 0.0)


def test_unlocked_problems_add_up_over_steps(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, 4)
    shares = []
    for step, right in enumerate([(0.0, 0.0, 0.0, None), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0)], 1):
        ledger.record(step, batch_of(step, right), credits_of())
        shares.append(ledger.commit(step, LOG, 0.0)["unlocked"])
    assert shares == [0.0, 0.25, 0.5]
    assert ledger.unlocked == {"p0", "p1"}


def test_rewinding_forgets_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, 4)
    for step in (1, 2, 3):
        ledger.record(step, batch_of(step), credits_of())
        ledger.commit(step, LOG, 0.0)
    for name in ("metrics.jsonl", "rollouts.jsonl", "verdicts.jsonl"):
        with (tmp_path / name).open("a") as file:
            file.write(json.dumps({"step": 4, "torn": "by a kill"})[:-3])
    resumed = Ledger(tmp_path, 4)
    resumed.rewind(2, ["p0"])
    assert [row["step"] for row in read_jsonl(tmp_path / "metrics.jsonl")] == [1, 2]
    assert {row["step"] for row in read_jsonl(tmp_path / "rollouts.jsonl")} == {1, 2}
    assert {str(row["rollout_id"])[:6] for row in read_jsonl(tmp_path / "verdicts.jsonl")} == {"000001", "000002"}
    assert resumed.unlocked == {"p0"}
    resumed.rewind(0, [])
    assert all(read_jsonl(tmp_path / name) == [] for name in ("metrics.jsonl", "rollouts.jsonl", "verdicts.jsonl"))
