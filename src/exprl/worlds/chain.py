r"""The chain world: a four-digit number goes through a chain of operations, written out step by step.

    problem    3 steps from 4486: 1) rot 2) -100 3) rev
    reference   1) rot(4486)=4864### 2) -100+(4864)=4764### 3) rev(4764)=4674###\boxed{4674}

Six skills: add or subtract one unit of a decimal place (without carry), reverse the digits (`rev`), rotate them to the left
(`rot`), swap the two halves (`swp`). No zero digit occurs, so there are 6,561 states: an answer cannot be guessed, and
every step of a chain gives a new number, so no short cut leads to it. Chains at whose answer careless attempts arrive by luck
are not used as problems: a right answer has to be derived.

The corpus that primes the policy holds right traces of *easy* problems (1-3 steps), some with a slip that is noticed
(`wait`) and done again, and *careless* attempts at longer ones: each step is right with probability 0.05 only, slips
pass unnoticed, and no attempt that came out right is kept. The policy so has all the parts and the form of a long
solution, but has never composed one: that is what makes the hard problems hard, and nothing in their format.

Hard problems have 7 or 8 steps in equal shares, so that what is unlocked on the shorter ones feeds the longer. With 6 steps
two slips cancel often enough (a few times in 100,000 attempts) to feed sparse RL.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from exprl.types import Problem, Reference

__all__ = [
    "EASY_STEPS",
    "HARD_STEPS",
    "MARKER",
    "Chain",
    "apply",
    "attempt",
    "corpus",
    "draw_operation",
    "draw_start",
    "make_chain",
    "problems",
    "slip",
]

MARKER = "###"
UNITS = (1, 10, 100, 1000)
SHUFFLES = ("rev", "rot", "swp")
OPERATIONS = (*SHUFFLES, *(f"{sign}{unit}" for sign in "+-" for unit in UNITS))
EASY_STEPS = (1, 2, 3)
HARD_STEPS = (7, 8)
LONG_STEPS = (4, 5, 6, 7, 8)
MISREAD = dict(zip("123456789", "567891234", strict=True))
"""Which digit a slip makes of which: four too high, counting on from 9 at 1."""

LONG_SHARE = 0.4
"""Share of the corpus that is careless attempts at long chains."""
RIGHT = 0.05
"""Chance of each step of a careless attempt to be right."""
NOTICED = 0.05
"""Chance of a slip, in an easy trace, that is noticed and done again."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A start, the operations on it, and the number after each of them."""

    start: int
    operations: tuple[str, ...]
    values: tuple[int, ...]

    @property
    def text(self) -> str:
        """The problem as the policy sees it."""
        steps = "".join(f" {i}) {operation}" for i, operation in enumerate(self.operations, 1))
        return f"{len(self.operations)} steps from {self.start}:{steps}"

    @property
    def answer(self) -> str:
        """The number at the end."""
        return str(self.values[-1])

    @property
    def solution(self) -> str:
        """The worked reference."""
        before = (self.start, *self.values[:-1])
        steps = enumerate(zip(before, self.operations, self.values, strict=True), 1)
        return "".join(line(i, v, o, w) for i, (v, o, w) in steps) + boxed(self.values[-1])


def apply(value: int, operation: str) -> int:
    """The number after one operation."""
    digits = str(value)
    if operation == "rev":
        return int(digits[::-1])
    if operation == "rot":
        return int(digits[1:] + digits[0])
    if operation == "swp":
        return int(digits[2:] + digits[:2])
    return value + int(operation)


def line(step: int, value: int, operation: str, result: int) -> str:
    """One step as the traces write it, closed by the marker."""
    left = f"{operation}({value})" if operation in SHUFFLES else f"{operation}+({value})"
    return f" {step}) {left}={result}{MARKER}"


def boxed(value: int) -> str:
    """The final answer."""
    return f"\\boxed{{{value}}}"


def make_chain(rng: random.Random, steps: int) -> Chain:
    """Draw a chain; arithmetic and shuffles alternate at random but a shuffle never follows a shuffle."""
    while True:
        start = draw_start(rng)
        operations: list[str] = []
        values: list[int] = []
        while len(operations) < steps and (step := _draw_step(rng, start, operations, values)) is not None:
            operations.append(step[0])
            values.append(step[1])
        if len(operations) == steps:
            return Chain(start, tuple(operations), tuple(values))


def draw_start(rng: random.Random) -> int:
    """A number of four digits, at least three of them different and none of them 0."""
    while True:
        start = rng.randint(1111, 9999)
        if "0" not in str(start) and len(set(str(start))) >= 3:
            return start


def draw_operation(rng: random.Random, value: int) -> str:
    """An operation that changes the number, without a carry and without a digit 0."""
    while True:
        operation = rng.choice(SHUFFLES) if rng.random() < 0.45 else f"{rng.choice('+-')}{rng.choice(UNITS)}"
        if is_number(result := apply(value, operation)) and result != value:
            return operation


def is_number(value: int) -> bool:
    """Whether the world knows this number: four digits, none of them 0."""
    return 1111 <= value <= 9999 and "0" not in str(value)


def attempt(rng: random.Random, chain: Chain) -> str:
    """A trace of the corpus: right for an easy chain, careless and wrong for a longer one."""
    if len(chain.operations) <= max(EASY_STEPS):
        return _careful(rng, chain)
    while True:
        trace, result = _careless(rng, chain)
        if result != chain.values[-1]:
            return trace


def corpus(seed: int) -> Iterator[tuple[str, str]]:
    """Endless (problem, trace) pairs."""
    rng = random.Random(seed)
    while True:
        steps = rng.choice(LONG_STEPS if rng.random() < LONG_SHARE else EASY_STEPS)
        chain = make_chain(rng, steps)
        yield chain.text, attempt(rng, chain)


def problems(name: str, count: int, seed: int, steps: tuple[int, ...]) -> list[Problem]:
    """`count` different problems, the numbers of steps taking turns; ids are `name-0000` and on."""
    rng = random.Random(f"{name}/{seed}")
    seen: set[str] = set()
    made: list[Problem] = []
    while len(made) < count:
        chain = make_chain(rng, steps[len(made) % len(steps)])
        if chain.text not in seen and not _lucky(chain):
            seen.add(chain.text)
            reference = Reference(solution=chain.solution, answer=chain.answer)
            meta: dict[str, str | int | float] = {"steps": len(chain.operations)}
            made.append(Problem(f"{name}-{len(made):04d}", chain.text, reference, "math", meta))
    return made


def _lucky(chain: Chain, tries: int = 400) -> bool:
    """Whether careless attempts, some of them with a wrong operation, arrive at the answer of a long chain by luck."""
    if len(chain.operations) <= max(EASY_STEPS):
        return False
    rng = random.Random(chain.text)
    for _ in range(tries):
        operations = [rng.choice(OPERATIONS) if rng.random() < 0.15 else operation for operation in chain.operations]
        other = Chain(chain.start, tuple(operations), chain.values)
        if _careless(rng, other)[1] == chain.values[-1]:
            return True
    return False


def _draw_step(rng: random.Random, start: int, operations: list[str], values: list[int]) -> tuple[str, int] | None:
    value = values[-1] if values else start
    for _ in range(30):
        shuffled = bool(operations) and operations[-1] in SHUFFLES
        if rng.random() < 0.45 and not shuffled:
            operation = rng.choice(SHUFFLES)
        elif operations and not shuffled:
            continue  # two units in a row could be done in either order: a short cut for the judge
        else:
            operation = f"{rng.choice('+-')}{rng.choice(UNITS)}"
        result = apply(value, operation)
        if result not in (start, *values) and is_number(result):
            return operation, result
    return None


def _careful(rng: random.Random, chain: Chain) -> str:
    trace, value = "", chain.start
    for step, (operation, result) in enumerate(zip(chain.operations, chain.values, strict=True), 1):
        if rng.random() < NOTICED:
            trace += line(step, value, operation, slip(result)) + " wait"
        trace += line(step, value, operation, result)
        value = result
    return trace + boxed(value)


def _careless(rng: random.Random, chain: Chain) -> tuple[str, int]:
    trace, value = "", chain.start
    for step, operation in enumerate(chain.operations, 1):
        result = apply(value, operation)
        if not 1000 <= result <= 9999:
            result = value
        if rng.random() < RIGHT:
            trace += line(step, value, operation, result)
        else:
            result = slip(result)
            trace += line(step, value, operation, result)
        value = result
    return trace + boxed(value), value


def slip(value: int) -> int:
    """The number with its leading digit misread.

    A slip is one decision, so its chance is not a product over digits; and since it takes nine misreadings of the same digit
    to bring it back, an attempt hardly ever ends in the right answer by luck.
    """
    digits = str(value)
    return int(MISREAD[digits[0]] + digits[1:])
