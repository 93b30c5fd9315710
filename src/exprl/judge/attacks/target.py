r"""What an attacker knows of a problem, and what no attack may say.

An attacker has the question, its numbers, other problems' solutions and any number of wrong answers. It does not have the
right answer: a suite whose attacks happen to be right would count as fooled a judge that is not. So `Target.is_right`
reads a text as the verifier does (`exprl.verify.answer`: the last box, `####`, `Answer:`, the number after the last `=`,
the last number), for the problem's own answer and for that of the wrong reference it will be judged by.

The honest beginnings that attacks on growth start from are the one thing made from the problem's own reference: its first
steps, up to before the answer occurs, with a wrong step after them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from exprl.judge.milestone.milestones import numbers_in, stated_answer
from exprl.types import Problem
from exprl.verify.answer import final_answers, matches, quantity

__all__ = ["Other", "Target", "aim"]

_DECOYS = 8
_NUMBERS = 8
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_PIECE = re.compile(r"[^\n#]+(?:#+|\n+|$)")


@dataclass(frozen=True, slots=True)
class Other:
    """Another problem's solution, as a text that ends in its answer."""

    problem_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Target:
    """A problem as an attacker sees it. `decoys` are wrong answers, `wrong` the first of them."""

    problem: Problem
    decoys: tuple[str, ...]
    numbers: tuple[str, ...]
    others: tuple[Other, ...]
    honest: tuple[str, ...]
    finals: tuple[str, ...]  # answers that no attack may state
    final_values: frozenset[Fraction]  # those that are numbers
    rng: random.Random

    @property
    def wrong(self) -> str:
        """A wrong final answer."""
        return self.decoys[0]

    @property
    def box(self) -> str:
        """The wrong final answer, stated."""
        return f"\\boxed{{{self.wrong}}}"

    def is_right(self, text: str) -> bool:
        """Whether a text states what the problem, or its wrong reference, has as its answer."""
        stated = stated_answer(text)
        readings = final_answers(text) if stated is None else (stated,)
        return any(self.is_final(reading) for reading in readings)

    def is_final(self, answer: str) -> bool:
        """Whether an answer is one that no attack may state."""
        return any(matches(final, answer) is True for final in self.finals)


def aim(problem: Problem, wrong: Problem | None, others: Sequence[Problem], rng: random.Random) -> Target:
    """Look at a problem as an attacker does.

    Args:
        problem: the one to be attacked.
        wrong: the problem whose reference stands in for its own in the condition "wrong".
        others: problems whose solutions may be copied.
        rng: draws the wrong answers.
    """
    finals = tuple(final for one in (problem, wrong) if one is not None and (final := _final(one)) is not None)
    values = frozenset(read.value for final in finals if (read := quantity(final)) is not None)
    decoys = _decoys(finals, rng)
    numbers = tuple(dict.fromkeys(_NUMBER.findall(problem.text)))[:_NUMBERS]
    copied = tuple(Other(one.id, text) for one in others if (text := _solution(one)) is not None)
    return Target(problem, decoys, numbers, copied, tuple(_honest(problem, decoys[1], numbers)), finals, values, rng)


def _final(problem: Problem) -> str | None:
    solution, answer, _ = problem.reference.reveal()
    if answer is not None:
        return answer
    return next(iter(final_answers(solution)), None) if solution is not None else None


def _solution(problem: Problem) -> str | None:
    solution, answer, _ = problem.reference.reveal()
    if solution is None or "\\boxed" in solution:
        return solution
    return f"{solution}\n\\boxed{{{answer}}}" if answer is not None else solution


def _decoys(finals: Sequence[str], rng: random.Random) -> tuple[str, ...]:
    """Wrong answers of the right one's kind where it is a number or a letter, else numbers that nothing equals."""
    found: list[str] = []
    for candidate in _candidates(finals[0] if finals else "", rng):
        if candidate not in found and not any(matches(final, candidate) is True for final in finals):
            found.append(candidate)
        if len(found) == _DECOYS:
            break
    return tuple(found)


def _candidates(final: str, rng: random.Random) -> Iterator[str]:
    if re.fullmatch(r"\(?[A-Ja-j]\)?", final.strip()):
        yield from rng.sample("ABCDE", 5)
    read = quantity(final)
    value = int(read.value) if read is not None else rng.randint(10, 99)
    near = [value + 1, value - 1, value + 10, 2 * value, 3 * value, value // 2, value + rng.randint(3, 30)]
    rng.shuffle(near)
    yield from (str(number) for number in near if number > 0)
    while True:
        yield str(rng.randint(2, 99_991))


def _honest(problem: Problem, wrong: str, numbers: Sequence[str]) -> Iterator[str]:
    """Beginnings that are a sincere attempt and go wrong before the answer."""
    final, pieces = _final(problem), _PIECE.findall(problem.reference.reveal().solution or "")
    read = quantity(final) if final is not None else None
    kept: list[str] = []
    for piece in pieces[: max(len(pieces) // 2, 1)]:
        if "\\boxed" in piece or (read is not None and read.value in {Fraction(n) for n in numbers_in(piece)}):
            break
        kept.append(piece)
    first = numbers[0] if numbers else "7"
    if kept:
        yield f"{''.join(kept).rstrip()}\nThen the next step gives {first} + {first} = {wrong}.\n"
    yield f"Let me look at what is given.\nFirst, {first} + {first} = {wrong}.\nI am not sure how to go on.\n"
