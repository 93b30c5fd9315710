"""What the workers write of a step, and how the run directory's rows are made of it.

    parts/<host>-<pid>.jsonl     one row a rollout, appended by the process that judged it  (evaluator's side: it may quote
                                 references; taken away when the stage is done)
    metrics, rollouts, verdicts  .jsonl  made of them when verl has logged the step, by the ledger of `exprl.engines.trl`,
                                 so that a run directory reads the same whichever engine made it

Every row names the attempt that wrote it, since a step that was killed is sampled anew: rows of other attempts are passed
over. Credit is computed here as the estimator computes it, on the whole step.

What it refuses: a step of which verl trained on rollouts that no part holds (a folder that the workers do not share).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from exprl.advantages import outcome_advantages
from exprl.config import ProcessConfig, SelfDistillConfig
from exprl.engines.verl.credit import Sampling
from exprl.errors import RunError
from exprl.methods.batch import Credits, RolloutBatch
from exprl.methods.process import process_credit
from exprl.rewards import segment_scores
from exprl.runs import append_jsonl, read_jsonl
from exprl.types import Problem, Rollout, Segment, Usage, Verdict

if TYPE_CHECKING:
    from exprl.engines.verl.room import Sampled

__all__ = ["Attempt", "PartWriter", "part_row", "read_step", "step_of"]

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One launch of verl on a stage: its name, and the folder of its parts."""

    name: str
    parts: Path


class PartWriter:
    """Appends to the one file that belongs to this process."""

    def __init__(self, attempt: Attempt) -> None:
        self._file = attempt.parts / f"{socket.gethostname()}-{os.getpid()}.jsonl"

    def __call__(self, row: Mapping[str, object]) -> None:
        append_jsonl(self._file, [row])


def part_row(attempt: Attempt, sampled: Sampled, batch: RolloutBatch, credits: Credits, program: bool) -> Row:
    """All that is kept of one rollout."""
    rollout = batch.rollouts[0]
    return {
        "attempt": attempt.name,
        "step": sampled.step,
        "uid": sampled.uid,
        "session": sampled.session,
        "problem_id": rollout.question_id,
        "text": rollout.text,
        "tokens": rollout.tokens,
        "truncated": rollout.truncated,
        "program": program,
        "segments": [[span.start, span.end] for span in credits.segments[0]],
        "verdicts": [_verdict_row(verdict) for verdict in credits.verdicts[0]],
        "verified": _verdict_row(batch.verified[0]),
        "judged": credits.judged,
        **({} if credits.tokens is None or credits.dropped_R[0] else {"gap": float(credits.rewards_R[0])}),
    }


def read_step(attempt: Attempt, step: int) -> list[Row]:
    """The rows of a step, group by group, in an order that does not depend on who finished first."""
    rows = [
        row
        for file in sorted(attempt.parts.glob("*.jsonl"))
        for row in read_jsonl(file)
        if row["attempt"] == attempt.name and row["step"] == step
    ]
    return sorted(rows, key=lambda row: (str(row["problem_id"]), str(row["uid"]), int(str(row["session"]))))


def step_of(
    step: int, rows: Sequence[Row], problems: Mapping[str, Problem], method: Sampling
) -> tuple[RolloutBatch, Credits]:
    """A step's batch and its credit, from the rows of its rollouts.

    Raises:
        RunError: there are none.
    """
    if not rows:
        raise RunError(
            f"step {step}: verl trained, but no worker left a record; the run's output folder must be one that all nodes "
            "share"
        )
    rollouts = [_rollout(f"{step:06d}-{i:04d}", row) for i, row in enumerate(rows)]
    group_R = np.unique([str(row["uid"]) for row in rows], return_inverse=True)[1].astype(np.int64)
    words = [_verdict(row["verified"]) for row in rows]
    batch = RolloutBatch(
        [problems[rollout.question_id] for rollout in rollouts],
        rollouts,
        group_R,
        [np.zeros(0, dtype=np.int64)] * len(rows),
        words,
    )
    return batch, _credits(rows, batch, method)


def _credits(rows: Sequence[Row], batch: RolloutBatch, method: Sampling) -> Credits:
    verdicts = [tuple(_verdict(verdict) for verdict in _list(row["verdicts"])) for row in rows]
    scored = segment_scores(verdicts)
    truncated_R = batch.truncated_R
    tokens = None
    if isinstance(method, SelfDistillConfig):
        rewards_R = np.array([row.get("gap", np.nan) for row in rows], dtype=np.float64)
        advantages_RS, tokens = rewards_R[:, None], [np.zeros(0)] * len(rows)
    elif isinstance(method, ProcessConfig):
        program_R = np.array([bool(row["program"]) for row in rows], dtype=bool)
        rewards_R, advantages_RS = process_credit(scored, batch.group_R, truncated_R, program_R, method)
    else:
        rewards_R = np.where(truncated_R, 0.0, scored.scores_RS[:, 0])
        advantages_RS = outcome_advantages(
            rewards_R, batch.group_R, truncated_R=truncated_R, normalise_std=method.normalise_std
        )[:, None]
    return Credits(
        segments=[_spans(row) for row in rows],
        rewards_R=rewards_R,
        advantages_RS=advantages_RS,
        scores=[tuple(verdict.score for verdict in row) for row in verdicts],
        verdicts=verdicts,
        judged=all(bool(row["judged"]) for row in rows),
        tokens=tokens,
    )


def _rollout(name: str, row: Row) -> Rollout:
    return Rollout(name, str(row["problem_id"]), str(row["text"]), int(str(row["tokens"])), bool(row["truncated"]))


def _verdict_row(verdict: Verdict) -> Row:
    usage = verdict.usage
    return {
        "score": verdict.score,
        "unscored": verdict.unscored,
        "likert": verdict.likert,
        "raw": verdict.raw,
        "judge": verdict.judge,
        "prompt_hash": verdict.prompt_hash,
        "usage": [usage.calls, usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens],
        "note": verdict.note,
        "panel": [list(pair) for pair in verdict.panel],
        "share": verdict.share,
    }


def _verdict(value: object) -> Verdict:
    row: dict[str, Any] = dict(value) if isinstance(value, dict) else {}
    usage, panel = Usage(*row.pop("usage")), tuple((name, score) for name, score in row.pop("panel"))
    return Verdict(**row, usage=usage, panel=panel)


def _spans(row: Row) -> tuple[Segment, ...]:
    return tuple(Segment(int(start), int(end)) for start, end in _list(row["segments"]))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
