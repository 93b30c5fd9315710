"""Judge a suite of attacks under up to three conditions, into a file of verdicts that a kill cannot spoil.

    correct   the problem's own reference
    none      no reference: a problem without one, for a judge that can do without (else the class reads n/a)
    wrong     another problem's reference

A row of the file is keyed by everything that its verdict depends on (judge, template, scope, condition, problem,
reference, text), so that a second call asks only for what is missing, and a file of another suite or judge is simply of
no use. Unscored verdicts are kept out of the file's account: they are asked for again.

What it refuses: to go on with a judge that is down. A whole batch without one score stops the run; an attack that makes
*some* replies unreadable is a finding, and counted as unscored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from exprl.disk.files import append_jsonl, iter_jsonl
from exprl.errors import UnscoredLimitError
from exprl.judge.asking.question import digest_of
from exprl.judge.attacks.case import AttackCase
from exprl.judge.attacks.result import AttackResult, Outcome, summarise
from exprl.judge.attacks.suite import Suite
from exprl.judge.calibrate.conditions import CONDITIONS, Condition
from exprl.judge.protocol import Judge, why_unscored
from exprl.types import Problem, Reference, Scope, Submission, Verdict

__all__ = ["CONDITIONS", "Condition", "attack", "waiting"]

_BATCH = 64


class _Ask(NamedTuple):
    condition: Condition
    case: AttackCase
    submission: Submission
    key: str


async def attack(
    suite: Suite, judges: Mapping[Condition, Judge | None], *, out: Path, scope: Scope = "prefix"
) -> AttackResult:
    """Judge what `out` does not hold yet, and count.

    Args:
        suite: from `build_suite`; attacks on growth need scope "prefix".
        judges: who judges under each condition; None where the judge cannot work so, which counts as unscored. They
            are closed at the end.
        out: the file of verdicts, made or continued. Private: judges' replies may quote references.
        scope: "prefix" or "outcome", as the judge will be used.
    Raises:
        UnscoredLimitError: a batch without a single score.
    """
    stored = _stored(out)
    try:
        for condition, judge in judges.items():
            if judge is not None:
                missing = [ask for ask in _asks(suite, condition, judge, scope) if ask.key not in stored]
                await _judge(judge, missing, out, tried=_keys(out))
    finally:
        for judge in {id(judge): judge for judge in judges.values() if judge is not None}.values():
            await judge.aclose()
    stored = _stored(out)
    outcomes: dict[str, list[Outcome]] = {
        condition: _outcomes(suite, condition, judge, scope, stored) for condition, judge in judges.items()
    }
    return summarise(outcomes, scope=scope, cases=len(suite.cases), problems=len(suite.problems))


def waiting(
    suite: Suite, judges: Mapping[Condition, Judge | None], *, out: Path, scope: Scope = "prefix"
) -> list[Submission]:
    """What `attack` would still have to ask."""
    stored = _stored(out)
    return [
        ask.submission
        for condition, judge in judges.items()
        if judge is not None
        for ask in _asks(suite, condition, judge, scope)
        if ask.key not in stored
    ]


async def _judge(judge: Judge, asks: Sequence[_Ask], out: Path, tried: Container[str]) -> None:
    """Ask, and append. A batch without any score says that the judge is down, unless all of it failed before."""
    for start in range(0, len(asks), _BATCH):
        batch = asks[start : start + _BATCH]
        judged = await judge.score([ask.submission for ask in batch])
        reasons = [why for verdicts in judged if (why := why_unscored(verdicts)) is not None]
        if len(reasons) == len(batch) and any(ask.key not in tried for ask in batch):
            raise UnscoredLimitError(
                f"the judge gave none of {len(batch)} attacks a score ({batch[0].condition} reference); most often: "
                f"{max(set(reasons), key=reasons.count)}. Mend the judge and run the same command again: what is "
                "scored is kept"
            )
        append_jsonl(out, [_row(ask, verdicts) for ask, verdicts in zip(batch, judged, strict=True)])


def _row(ask: _Ask, verdicts: Sequence[Verdict]) -> dict[str, object]:
    return {
        "key": ask.key,
        "condition": ask.condition,
        "case": ask.case.id,
        "class": ask.case.kind,
        "verdicts": [dataclasses.asdict(verdict) for verdict in verdicts],
    }


def _keys(out: Path) -> set[str]:
    return {str(row.get("key")) for row in iter_jsonl(out)}


def _stored(out: Path) -> dict[str, tuple[float, ...]]:
    """The scores of every case that has all of them, by key."""
    found: dict[str, tuple[float, ...]] = {}
    for row in iter_jsonl(out):
        verdicts = row.get("verdicts")
        scores = [one.get("score") for one in verdicts] if isinstance(verdicts, list) else []
        if scores and all(isinstance(score, int | float) for score in scores):
            found[str(row.get("key"))] = tuple(scores)
    return found


def _outcomes(
    suite: Suite, condition: Condition, judge: Judge | None, scope: Scope, stored: Mapping[str, tuple[float, ...]]
) -> list[Outcome]:
    if judge is None:
        return [Outcome(case, None) for case in suite.cases]
    return [Outcome(ask.case, stored.get(ask.key)) for ask in _asks(suite, condition, judge, scope)]


def _asks(suite: Suite, condition: Condition, judge: Judge, scope: Scope) -> Iterator[_Ask]:
    for case in suite.cases:
        problem = _under(condition, suite, case)
        if problem is not None:
            cuts = (case.base, len(case.text)) if case.base else (len(case.text),)
            submission = Submission(problem, f"attack-{case.id}", case.text, cuts, scope)
            yield _Ask(condition, case, submission, _key(judge, condition, submission))


def _under(condition: Condition, suite: Suite, case: AttackCase) -> Problem | None:
    """The problem with the condition's reference; None where no wrong one is left, or the case was copied from it."""
    problem = suite.problems[case.problem_id]
    if condition == "correct":
        return problem
    if condition == "none":
        return dataclasses.replace(problem, reference=Reference(None, None))
    other = suite.wrong.get(problem.id)
    if other is None or other == case.source:
        return None
    return dataclasses.replace(problem, reference=suite.problems[other].reference)


def _key(judge: Judge, condition: Condition, submission: Submission) -> str:
    problem = submission.problem
    parts = [judge.name, judge.template_hash, condition, submission.scope, problem.id, problem.text, problem.domain]
    return digest_of((*parts, problem.reference.digest, submission.text, *map(str, submission.cuts)))
