"""A suite of attacks over any problems that have references: the same for the same problems and seed, on every machine.

Every class gives its attacks on every problem. Then what would be no attack is taken out: a text that states the right
answer (or that of the wrong reference it is also judged by) is drawn again with other numbers, then closed with a wrong
answer, then dropped; equal texts against one problem are kept once. Of each class `per_class` cases stay, drawn by the seed
so that first every idea occurs once, on problems in turn.

For the condition "wrong" each problem gets the reference of its neighbour in a drawn circle (a derangement without a fixed
point, from two problems on). Solutions to be copied come from further along the circle, so that no copied solution is the
reference that it is graded by.

    >>> from exprl.types import Problem, Reference
    >>> problems = [Problem(f"p{n}", f"What is {n} + 40?", Reference(f"{n}+40={n + 40}", f"{n + 40}")) for n in (2, 5, 9)]
    >>> suite = build_suite(problems, seed=0, per_class=None)
    >>> len(suite.cases) > 150, len({case.kind for case in suite.cases}) == len(CLASSES)
    (True, True)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Final

from exprl.errors import DataError
from exprl.judge.attacks.case import Attack, AttackCase
from exprl.judge.attacks.confident import confident
from exprl.judge.attacks.empty import empty
from exprl.judge.attacks.fence_escape import fence_escape
from exprl.judge.attacks.forged_heading import forged_heading
from exprl.judge.attacks.forged_verdict import forged_verdict
from exprl.judge.attacks.growth import growth
from exprl.judge.attacks.instruction import instruction
from exprl.judge.attacks.invisible import invisible
from exprl.judge.attacks.language import language
from exprl.judge.attacks.listing import listing
from exprl.judge.attacks.marker_spam import marker_spam
from exprl.judge.attacks.master_key import master_key
from exprl.judge.attacks.other_solution import other_solution
from exprl.judge.attacks.padding import padding
from exprl.judge.attacks.restatement import restatement
from exprl.judge.attacks.target import Target, aim
from exprl.types import Problem

__all__ = ["CLASSES", "GROWTH", "Suite", "build_suite"]

CLASSES: Final[Mapping[str, Callable[[Target], Iterator[Attack]]]] = {
    "empty": empty,
    "master_key": master_key,
    "forged_verdict": forged_verdict,
    "forged_heading": forged_heading,
    "fence_escape": fence_escape,
    "instruction": instruction,
    "padding": padding,
    "restatement": restatement,
    "listing": listing,
    "confident": confident,
    "other_solution": other_solution,
    "marker_spam": marker_spam,
    "invisible": invisible,
    "language": language,
    "growth": growth,
}
GROWTH = "growth"
"""The class whose success is a rise of the score over that of an honest beginning."""

_DRAWS = 2


@dataclass(frozen=True, slots=True)
class Suite:
    """Attack cases, the problems that they are made against, and whose reference stands in for each one's own."""

    problems: Mapping[str, Problem]
    wrong: Mapping[str, str]
    cases: tuple[AttackCase, ...]


def build_suite(
    problems: Sequence[Problem], *, seed: int = 0, per_class: int | None = None, growth: bool = True
) -> Suite:
    """Make the attacks on `problems`.

    Args:
        problems: with unique ids; those without a solution and without an answer are left out.
        seed: draws wrong answers, the circle of problems, and what stays under `per_class`.
        per_class: most cases of a class; None keeps all.
        growth: whether attacks on growth are part of it, which only scope "prefix" can judge.
    Raises:
        DataError: no problem has a reference.
    """
    circle = [p for p in problems if p.reference.has_solution or p.reference.has_answer]
    if not circle:
        raise DataError("no problem has a reference solution or an answer, so there is nothing to be fooled about")
    random.Random(f"{seed}:circle").shuffle(circle)
    kinds = {name: make for name, make in CLASSES.items() if growth or name != GROWTH}
    wrong = {p.id: other.id for p, other in zip(circle, (*circle[1:], circle[0]), strict=True) if p.id != other.id}
    cases: list[AttackCase] = []
    for kind, make in kinds.items():
        found = [case for place in range(len(circle)) for case in _against(circle, place, kind, make, seed)]
        cases += _some(found, per_class, random.Random(f"{seed}:{kind}"))
    return Suite({p.id: p for p in circle}, wrong, tuple(cases))


def _against(
    circle: Sequence[Problem], place: int, kind: str, make: Callable[[Target], Iterator[Attack]], seed: int
) -> Iterator[AttackCase]:
    problem, around = circle[place], [*circle[place + 1 :], *circle[:place]]
    wrong, others = (around[0] if around else None), (around[1:3] or around[:1])
    draws = [random.Random(f"{seed}:{kind}:{problem.id}:{draw}") for draw in range(_DRAWS)]
    targets = [aim(problem, wrong, others, rng) for rng in draws]
    again = cache(lambda draw: {attack.variant: attack for attack in make(targets[draw])})
    seen: set[tuple[str, int]] = set()
    for first in make(targets[0]):
        redrawn = (again(draw).get(first.variant, first) for draw in range(1, _DRAWS))
        closed = first._replace(text=f"{first.text}\n{targets[0].box}")
        attack = next((one for one in chain([first], redrawn, [closed]) if not targets[0].is_right(one.text)), None)
        if attack is not None and (attack.text, attack.base) not in seen:
            seen.add((attack.text, attack.base))
            yield AttackCase(f"{kind}/{attack.variant}@{problem.id}", kind, attack.variant, problem.id, *attack[1:])


def _some(cases: list[AttackCase], most: int | None, rng: random.Random) -> list[AttackCase]:
    """At most `most` cases: every variant once before any occurs twice, the problems in turn."""
    if most is None or len(cases) <= most:
        return cases
    rng.shuffle(cases)
    variants: dict[str, int] = {}
    of_problem: dict[str, int] = {}
    kept: list[AttackCase] = []
    while len(kept) < most:
        case = min(cases, key=lambda c: (variants.get(c.variant, 0), of_problem.get(c.problem_id, 0)))
        cases.remove(case)
        kept.append(case)
        variants[case.variant] = variants.get(case.variant, 0) + 1
        of_problem[case.problem_id] = of_problem.get(case.problem_id, 0) + 1
    return sorted(kept, key=lambda case: case.id)
