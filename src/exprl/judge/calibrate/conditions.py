"""The three conditions: the same answers with the correct reference, with none, and with another problem's.

If a judge does as well without the reference, or with a wrong one, it is not the reference that it judges by.

The wrong reference is a seeded derangement over *problems* (several rows may answer one problem): no problem keeps its
own, and none gets one with an equal final answer where this can be avoided. Problems are put in a seeded order with
equal answers side by side, and every problem takes the reference that stands m places further on, m being the number of
problems that share the most frequent answer:

    a group of g <= m equal answers cannot reach itself by a step of m, as long as m <= P / 2

For m > P / 2 it cannot be avoided: more than half of the problems have one answer.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

from exprl.config import JudgeConfig, LLMJudgeConfig, PanelJudgeConfig
from exprl.errors import ConfigError, DataError
from exprl.judge.calibrate.labelled import Labelled
from exprl.judge.milestone.milestones import stated_answer
from exprl.types import Problem, Reference
from exprl.verify.answer import final_answers, normalise, quantity

__all__ = [
    "CONDITIONS",
    "Condition",
    "derangement",
    "needs_reference",
    "parse_conditions",
    "under",
    "without_cache",
    "without_reference",
    "wrong_references",
]

Condition = Literal["correct", "none", "wrong"]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)
_NO_REFERENCE = Reference(None, None)


def parse_conditions(text: str) -> tuple[Condition, ...]:
    """`correct,none,wrong` as conditions, in that order.

    Raises:
        ConfigError: another word, or no `correct`, which the others are compared with.
    """
    words = {word.strip() for word in text.split(",") if word.strip()}
    if unknown := words - set(CONDITIONS):
        raise ConfigError(f"unknown condition {sorted(unknown)[0]!r}; there are {', '.join(CONDITIONS)}")
    if "correct" not in words:
        raise ConfigError("conditions must hold 'correct': the others are compared with it")
    return tuple(condition for condition in CONDITIONS if condition in words)


def under(condition: Condition, rows: Sequence[Labelled], wrong: Mapping[str, Reference]) -> list[Problem]:
    """The rows' problems as a condition shows them; `wrong` is `wrong_references`."""
    if condition == "correct":
        return [row.problem for row in rows]
    if condition == "none":
        return [replace(row.problem, reference=_NO_REFERENCE) for row in rows]
    return [replace(row.problem, reference=wrong[row.problem.text]) for row in rows]


def wrong_references(rows: Sequence[Labelled], seed: int) -> dict[str, Reference]:
    """Another problem's reference for each problem's text.

    Raises:
        DataError: there is one problem only.
    """
    problems = list({row.problem.text: row.problem for row in reversed(rows)}.values())[::-1]
    if len(problems) < 2:
        raise DataError("a wrong reference is another problem's, and there is one problem only; leave out 'wrong'")
    order = derangement([_final_answer(problem) for problem in problems], seed)
    return {problem.text: problems[other].reference for problem, other in zip(problems, order, strict=True)}


def derangement(answers: Sequence[str], seed: int) -> list[int]:
    """For each of P >= 2 places another one, with another answer where this can be avoided; every place is taken once."""
    count = len(answers)
    order = list(range(count))
    random.Random(seed).shuffle(order)
    first = {answer: place for place, answer in reversed([(p, answers[i]) for p, i in enumerate(order)])}
    order.sort(key=lambda i: first[answers[i]])  # stable: equal answers stand together, in the shuffled order
    step = max(Counter(answers).values()) % count or 1
    found = [0] * count
    for place, i in enumerate(order):
        found[i] = order[(place + step) % count]
    return found


def without_reference(config: JudgeConfig) -> JudgeConfig:
    """The same judge, not shown a reference. A judge that cannot do without one stays as it is, and will not score."""
    return _each(config, {"reference": False})


def without_cache(config: JudgeConfig) -> JudgeConfig:
    """The same judge, asked anew each time."""
    return _each(config, {"cache": False})


def needs_reference(config: JudgeConfig) -> bool:
    """Whether a judge has no score to give without a reference."""
    if isinstance(config, PanelJudgeConfig):
        return all(needs_reference(member.judge) for member in config.members.values() if member.weight)
    return not isinstance(config, LLMJudgeConfig)


def _each(config: JudgeConfig, changes: Mapping[str, object]) -> JudgeConfig:
    if isinstance(config, PanelJudgeConfig):
        members = {
            name: member.model_copy(update={"judge": _each(member.judge, changes)})
            for name, member in config.members.items()
        }
        return config.model_copy(update={"members": members})
    return config.model_copy(update=changes) if isinstance(config, LLMJudgeConfig) else config


def _final_answer(problem: Problem) -> str:
    """What the reference ends in, in a form that equal answers share. It stays in this module."""
    solution, answer, _ = problem.reference.reveal()
    text = answer if answer is not None and answer.strip() else stated_answer(solution or "")
    if text is None:
        text = next(iter(final_answers(solution or "")), "")
    read = quantity(text)
    return str(read.value) if read is not None else normalise(text).casefold()
