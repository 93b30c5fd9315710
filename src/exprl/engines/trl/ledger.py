"""What is written of each training step: metrics, rollouts, verdicts, alarms, and which problems were unlocked.

The ledger holds what the trainer's own log cannot: counts over groups, the verifier's word on every rollout in every arm,
and the judge's usage. Rows are appended when a step is complete, so a kill loses the step in flight and nothing else.
On resume, rows past the checkpoint are dropped, since those steps run again. What the monitor measured stands in the
metrics, so that its history outlives a kill; an alarm that pauses the run is written at once, the others with their step.

Rollouts and metrics are the policy's side: nothing of a reference is in them. Verdicts are the evaluator's side.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from exprl.measures import Measures, read_measures
from exprl.methods.batch import Credits, RolloutBatch, unscored_rollouts
from exprl.monitor import Alarm, Watched
from exprl.runs import append_jsonl, read_jsonl, write_jsonl
from exprl.types import Usage

__all__ = ["Ledger", "StepCounts"]

Row = dict[str, object]


@dataclasses.dataclass(frozen=True, slots=True)
class StepCounts:
    """What a step's batch says before the update; shares are of rollouts unless said otherwise."""

    reward: float | None
    reward_std: float | None
    correct: float | None
    truncated: float
    unscored: float
    zero_signal: float
    tokens: float
    segments: float
    usage: Usage


class Ledger:
    """Append-only record of one stage of one arm, under `folder`."""

    def __init__(self, folder: Path, training_problems: int) -> None:
        self._folder = folder
        self._problems = training_problems
        self._unlocked: set[str] = set()
        self._pending: StepCounts | None = None
        self._rows: tuple[list[Row], list[Row]] = ([], [])
        self._watched: Watched | None = None
        self._history: list[tuple[int, Measures]] = []

    @property
    def unlocked(self) -> frozenset[str]:
        """Ids of the training problems for which a right answer has been sampled in this stage."""
        return frozenset(self._unlocked)

    @property
    def history(self) -> tuple[tuple[int, Measures], ...]:
        """What the monitor measured in the steps that are written."""
        return tuple(self._history)

    def rewind(self, step: int, unlocked: Sequence[str]) -> None:
        """Forget every row after `step`; called once when a stage starts or resumes."""
        self._unlocked = set(unlocked)
        kept: set[str] = set()
        self._history = []
        for name in ("metrics.jsonl", "rollouts.jsonl", "alarms.jsonl"):
            path = self._folder / name
            if name == "alarms.jsonl" and not path.exists():
                continue
            rows = [row for row in read_jsonl(path) if int(str(row["step"])) <= step]
            write_jsonl(path, rows)
            kept |= {str(row["id"]) for row in rows if "id" in row}
            if name == "metrics.jsonl":
                self._history = [(int(str(row["step"])), read_measures(row.get("monitor"))) for row in rows]
        path = self._folder / "verdicts.jsonl"
        if path.exists():
            write_jsonl(path, [row for row in read_jsonl(path) if str(row["rollout_id"]) in kept])

    def alarm(self, found: Sequence[Alarm]) -> None:
        """Write alarms at once: those of a step that is not going to be made."""
        append_jsonl(self._folder / "alarms.jsonl", [_alarm_row(alarm) for alarm in found])

    def record(self, step: int, batch: RolloutBatch, credits: Credits, watched: Watched | None = None) -> StepCounts:
        """Take in a judged batch, and what the monitor says of it; it is written when the step's update is done."""
        for problem, word in zip(batch.problems, batch.verified, strict=True):
            if word.score == 1.0:
                self._unlocked.add(problem.id)
        self._rows = (_rollout_rows(step, batch, credits), _verdict_rows(batch, credits))
        self._pending = _count(batch, credits)
        self._watched = watched
        return self._pending

    def commit(self, step: int, log: Mapping[str, float], seconds: float) -> Row:
        """Write the step that `record` took in, with the trainer's own numbers. Returns the metrics row."""
        counts = self._pending
        if counts is None:
            raise RuntimeError("commit() without record(): the trainer logged a step that sampled nothing")
        row: Row = {
            "step": step,
            "reward": counts.reward,
            "reward_std": counts.reward_std,
            "correct": counts.correct,
            "unlocked": len(self._unlocked) / self._problems,
            "entropy": _finite(log.get("entropy")),
            "tokens": counts.tokens,
            "segments": counts.segments,
            "truncated": counts.truncated,
            "unscored": counts.unscored,
            "zero_signal": counts.zero_signal,
            "kl": _finite(log.get("kl")),
            "loss": _finite(log.get("loss")),
            "grad_norm": _finite(log.get("grad_norm")),
            "clip_ratio": _finite(log.get("clip_ratio/region_mean")),
            "seconds": seconds,
            "rollouts": len(self._rows[0]),
            "judge_calls": counts.usage.calls,
            "judge_prompt_tokens": counts.usage.prompt_tokens,
            "judge_completion_tokens": counts.usage.completion_tokens,
            "judge_cached_tokens": counts.usage.cached_tokens,
        }
        if self._watched is not None:
            row["monitor"] = {name: [value, n] for name, (value, n) in self._watched.measures.items()}
            self.alarm(self._watched.alarms)
            self._history.append((step, self._watched.measures))
        rollouts, verdicts = self._rows
        append_jsonl(self._folder / "rollouts.jsonl", rollouts)
        append_jsonl(self._folder / "verdicts.jsonl", verdicts)
        append_jsonl(self._folder / "metrics.jsonl", [row])
        self._pending, self._rows, self._watched = None, ([], []), None
        return row


def _count(batch: RolloutBatch, credits: Credits) -> StepCounts:
    rewards = credits.rewards_R[~np.isnan(credits.rewards_R)]
    correct = [word.score for word in batch.verified if word.score is not None]
    signal_R = np.abs(np.nan_to_num(credits.advantages_RS)).max(axis=1) > 0
    groups = np.unique(batch.group_R)
    live = np.unique(batch.group_R[signal_R])
    usage = sum((verdict.usage for row in credits.verdicts for verdict in row), Usage())
    return StepCounts(
        reward=float(rewards.mean()) if rewards.size else None,
        reward_std=float(rewards.std(ddof=1)) if rewards.size > 1 else None,
        correct=sum(correct) / len(correct) if correct else None,
        truncated=float(batch.truncated_R.mean()),
        unscored=float(unscored_rollouts(credits, batch.truncated_R).mean()),
        zero_signal=1.0 - len(live) / len(groups),
        tokens=float(np.mean([rollout.tokens for rollout in batch.rollouts])),
        segments=float(np.mean([len(spans) for spans in credits.segments])),
        usage=usage,
    )


def _rollout_rows(step: int, batch: RolloutBatch, credits: Credits) -> list[Row]:
    rows: list[Row] = []
    for i, rollout in enumerate(batch.rollouts):
        spans = credits.segments[i]
        advantages = credits.advantages_RS[i, : len(spans)].tolist()
        rows.append(
            {
                "id": rollout.id,
                "question_id": rollout.question_id,
                "step": step,
                "text": rollout.text,
                "tokens": rollout.tokens,
                "truncated": rollout.truncated,
                "correct": batch.verified[i].score,
                "segments": [[span.start, span.end] for span in spans],
                "scores": list(credits.scores[i]),
                "advantages": [None if math.isnan(a) else round(a, 6) for a in advantages],
            }
        )
    return rows


def _verdict_rows(batch: RolloutBatch, credits: Credits) -> list[Row]:
    return [
        {
            "rollout_id": rollout.id,
            "cut": cut,
            "score": verdict.score,
            "unscored": verdict.unscored,
            "likert": verdict.likert,
            "raw": verdict.raw,
            "judge": verdict.judge,
            "prompt_hash": verdict.prompt_hash,
            "usage": _usage(verdict.usage),
            **({"note": verdict.note} if verdict.note else {}),
            **({"panel": dict(verdict.panel)} if verdict.panel else {}),
        }
        for rollout, row in zip(batch.rollouts, credits.verdicts, strict=True)
        for cut, verdict in enumerate(row)
    ]


def _alarm_row(alarm: Alarm) -> Row:
    return {
        "step": alarm.step,
        "name": alarm.name,
        "level": alarm.level,
        "value": alarm.value,
        "threshold": alarm.threshold,
        "words": alarm.words,
    }


def _usage(usage: Usage) -> Row:
    # Written out: `dataclasses.asdict` copies deeply, and there are thousands of verdicts a step.
    return {
        "calls": usage.calls,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
    }


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
