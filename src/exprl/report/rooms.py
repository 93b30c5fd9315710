"""The reading room: which rollouts are shown.

Per arm and stage, of the first seed: the best and the worst of the last quarter of training (one a problem), and the
problems whose mean score changed most between their first and their last visit, each with the rollout nearest to the
mean of its group, so that what is shown is typical and not picked. Where scores are missing (sparse stages) the
verifier's word stands in for them; a rollout with neither is not ranked.

Nothing of the judge's is read here: a room shows what the policy was shown and what it wrote, with numbers beside it.

    >>> [shown.heading for shown in rooms(record, limit=48, budget=4000)[0].shown]                 # doctest: +SKIP
    ['Best: problem train-0003, step 58', 'Worst: problem train-0011, step 57', ...]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exprl.report.pieces import Piece, cut, elided
from exprl.report.read import STAGES, Glance, Record, Stage
from exprl.report.rows import Row, number, string

__all__ = ["Room", "Shown", "rooms"]


@dataclass(frozen=True, slots=True)
class Shown:
    """One rollout on show."""

    id: str
    heading: str
    note: str
    problem: str
    facts: tuple[str, ...]
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Room:
    """The rollouts of one arm and stage; `unranked` of `rollouts` have no score."""

    arm: str
    stage: str
    seed: int
    scorer: str
    shown: tuple[Shown, ...]
    rollouts: int
    unranked: int


@dataclass(frozen=True, slots=True)
class _Choice:
    glance: Glance
    heading: str
    note: str = ""
    again: bool = False


def rooms(record: Record, *, limit: int, budget: int) -> list[Room]:
    """Reading rooms of every arm and stage that wrote rollouts.

    Args:
        limit: rollouts on show over all rooms; each room gets an equal part, at least two.
        budget: characters of text a rollout.
    """
    # Arms whose segments have scores of their own come first: they are the ones to read.
    order = ("process", "outcome")
    arms = sorted(record.arms, key=lambda arm: (*order, record.method(arm)).index(record.method(arm)))
    stages = [runs[0] for arm in arms for stage in STAGES if (runs := _with_rollouts(record, arm, stage))]
    each = max(2, limit // max(1, len(stages)))
    return [_room(record, stage, each, budget) for stage in stages]


def _with_rollouts(record: Record, arm: str, stage: str) -> list[Stage]:
    return [run for run in record.of(arm, stage) if run.glances]


def _room(record: Record, stage: Stage, each: int, budget: int) -> Room:
    choices = _chosen(stage, each)
    shown = tuple(_shown(record, stage, choice, budget) for choice in choices)
    unranked = sum(glance.score is None for glance in stage.glances)
    scorer = "score" if _judged(record, stage) else "verifier"
    return Room(stage.arm, STAGES[stage.stage], stage.seed, scorer, shown, len(stage.glances), unranked)


def _chosen(stage: Stage, each: int) -> list[_Choice]:
    steps = [glance.step for glance in stage.glances]
    begin = max(steps) - (max(steps) - min(steps)) / 4
    late = [g for g in stage.glances if g.step >= begin and g.score is not None]
    pairs = _most_changed(stage.glances, max(1, each // 4))
    ends = max(1, (each - len(pairs)) // 2)
    if len({_rank(g) for g in late}) == 1:
        return [*(_Choice(g, "All alike") for g in _one_a_problem(late, ends)), *pairs]
    best = _one_a_problem(sorted(late, key=lambda g: (-_rank(g), g.offset)), ends)
    worst = _one_a_problem(sorted([g for g in late if g not in best], key=lambda g: (_rank(g), g.offset)), ends)
    return [*(_Choice(g, "Best") for g in best), *(_Choice(g, "Worst") for g in worst), *pairs]


def _most_changed(glances: Sequence[Glance], count: int) -> list[_Choice]:
    visits: dict[str, dict[int, list[Glance]]] = {}
    for glance in glances:
        if glance.score is not None:
            visits.setdefault(glance.question_id, {}).setdefault(glance.step, []).append(glance)
    pairs = [(steps[min(steps)], steps[max(steps)]) for steps in visits.values()]
    moved = [(early, late) for early, late in pairs if abs(_mean(late) - _mean(early)) > 1e-9]
    moved.sort(key=lambda pair: (-abs(_mean(pair[1]) - _mean(pair[0])), pair[0][0].offset))
    return [choice for early, late in moved[:count] for choice in _pair(early, late)]


def _pair(early: Sequence[Glance], late: Sequence[Glance]) -> Iterator[_Choice]:
    before, after = _mean(early), _mean(late)
    change = f"{before:.2f} at step {early[0].step}, {after:.2f} at step {late[0].step} ({after - before:+.2f})"
    note = f"Mean score of this problem's rollouts: {change}. Shown is the rollout nearest to the mean."
    yield _Choice(_typical(early), "Most changed, early", note)
    yield _Choice(_typical(late), "Most changed, late", "The same problem.", again=True)


def _typical(group: Sequence[Glance]) -> Glance:
    mean = _mean(group)
    return min(group, key=lambda g: (round(abs((g.score or 0.0) - mean), 9), -_rank(g), g.offset))


def _one_a_problem(ranked: Sequence[Glance], count: int) -> list[Glance]:
    first: dict[str, Glance] = {}
    for glance in ranked:
        first.setdefault(glance.question_id, glance)
    return list(first.values())[:count]


def _rank(glance: Glance) -> float:
    # Among equal scores a verified answer counts for more than a wrong one.
    return (glance.score or 0.0) + 1e-3 * (glance.correct or 0.0)


def _mean(group: Sequence[Glance]) -> float:
    return sum(g.score or 0.0 for g in group) / len(group)


def _shown(record: Record, stage: Stage, choice: _Choice, budget: int) -> Shown:
    row = stage.rollout(choice.glance)
    question = record.problems.get(("hard_train", choice.glance.question_id))
    problem = (
        ""
        if choice.again
        else question.text
        if question
        else f"(problems.jsonl has no text for {choice.glance.question_id})"
    )
    return Shown(
        id=string(row, "id"),
        heading=f"{choice.heading}: problem {choice.glance.question_id}, step {choice.glance.step}",
        note=choice.note,
        problem=elided(problem, budget),
        facts=tuple(_facts(row, choice.glance, _judged(record, stage))),
        pieces=cut(
            string(row, "text"),
            _spans(row),
            _numbers(row, "scores"),
            _numbers(row, "advantages"),
            asked=not (row.get("truncated") and _judged(record, stage)),
            budget=budget,
        ),
    )


def _judged(record: Record, stage: Stage) -> bool:
    return stage.stage == "stage1" and record.judged(stage.arm)


def _facts(row: Row, glance: Glance, judged: bool) -> Iterator[str]:
    correct = {True: "right answer", False: "wrong answer"}
    yield "answer unscored" if glance.correct is None else correct[glance.correct > 0.5]
    if judged:
        yield "no score of the judge's" if glance.score is None else f"judge's last score {glance.score:.2f}"
    tokens = number(row, "tokens")
    if tokens is not None:
        yield f"{tokens:,.0f} tokens"
    if row.get("truncated"):
        yield "ran into the token budget"


def _numbers(row: Row, key: str) -> list[float | None]:
    values = row.get(key)
    return [number({key: value}, key) for value in values] if isinstance(values, list) else []


def _spans(row: Row) -> list[tuple[int, int]]:
    spans = row.get("segments")
    return [(s[0], s[1]) for s in spans if _is_span(s)] if isinstance(spans, list) else []


def _is_span(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(end, int) for end in value)
