"""The evaluator's side: what the judge wrote, and why it gave no score.

A judge's reply may quote the reference, and a reason for a missing score may quote the reply. All of it goes into one
section that is closed by default and says so; nothing read here is used anywhere else on the page. Replies are shown
only of a language model, a few an arm: first of the rollouts in the reading room, then of others, as unlike in score
as can be.

    >>> evaluator_side(record, []).replies                                                         # doctest: +SKIP
    ()
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from exprl.report.pieces import elided
from exprl.report.read import Record, Stage
from exprl.report.rooms import Room
from exprl.report.rows import Row, child, number, read_rows, string

__all__ = ["EvaluatorSide", "Reason", "Reply", "evaluator_side"]

_EACH = 3
_CHARACTERS = 3000


@dataclass(frozen=True, slots=True)
class Reply:
    """One raw reply of the judge."""

    arm: str
    rollout: str
    cut: str
    score: str
    raw: str


@dataclass(frozen=True, slots=True)
class Reason:
    """How often an arm's verdicts were missing for a reason."""

    arm: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class EvaluatorSide:
    """Everything of the section. `judge` is "llm" or "milestone"."""

    judge: str
    model: str
    replies: tuple[Reply, ...]
    reasons: tuple[Reason, ...]


def evaluator_side(record: Record, rooms: Collection[Room]) -> EvaluatorSide:
    """Raw verdicts and reasons of a run; no replies unless the judge is a language model."""
    judge = child(record.config, "judge")
    kind = string(judge, "type")
    on_show = {shown.id for room in rooms for shown in room.shown}
    replies: list[Reply] = []
    reasons: list[Reason] = []
    for arm in record.arms:
        counts: Counter[str] = Counter()
        rows = list(_worth_showing(record, arm, on_show, counts))
        reasons += [Reason(arm, elided(reason, 300), count) for reason, count in counts.most_common(5)]
        replies += [_reply(arm, row) for row in rows] if kind == "llm" else []
    return EvaluatorSide(kind, string(judge, "model"), tuple(replies), tuple(reasons))


def _worth_showing(record: Record, arm: str, on_show: Collection[str], counts: Counter[str]) -> Iterator[Row]:
    picked: dict[tuple[bool, float | None], Row] = {}
    for run in record.of(arm, "stage1"):
        for row in _verdicts(run):
            score, shown = number(row, "score"), string(row, "rollout_id") in on_show
            if score is None:
                counts[string(row, "unscored") or "no reason given"] += 1
            if string(row, "raw"):
                picked.setdefault((shown, score), row)
    # Rollouts on show first; among them the highest score, the lowest, and one without.
    for _, row in sorted(picked.items(), key=lambda item: (not item[0][0], _place(item[0][1])))[:_EACH]:
        yield row


def _verdicts(run: Stage) -> Iterator[Row]:
    return (row for _, row in read_rows(run.folder / "verdicts.jsonl"))


def _place(score: float | None) -> float:
    """The farther from the middle the sooner; an unscored verdict is as telling as an extreme one."""
    return -0.5 if score is None else -abs(score - 0.5)


def _reply(arm: str, row: Row) -> Reply:
    score, likert, cut = number(row, "score"), number(row, "likert"), number(row, "cut")
    said = "unscored: " + elided(string(row, "unscored"), 300) if score is None else f"score {score:.2f}"
    said += f" ({likert:.0f} of 5)" if likert is not None else ""
    where = f"prefix {cut + 1:.0f}" if cut is not None else "whole trace"
    return Reply(arm, string(row, "rollout_id"), where, said, elided(string(row, "raw"), _CHARACTERS))
