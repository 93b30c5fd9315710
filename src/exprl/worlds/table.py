r"""The table world: small code tasks, whose truth is what the program does.

    problem    3 rows of f: 1) rot(4486) 2) -100+(4764) 3) rev(4764)
    reference  ```python
               def f(x):
                # 1) rot(4486)
                if x == 1: return 4864
                # 2) -100+(4764)
                if x == 2: return 4664
                # 3) rev(4764)
                if x == 3: return 4674
               ```
    tests      f(1) == 4864, f(2) == 4664, f(3) == 4674

Every row is one step of the chain world by itself, and has a test of its own. A program with half of its rows right passes
half of its tests: the share of tests passed is a dense reward that no judge has to give, while all of them at once are
as rare for a careless policy as the answer of a long chain.

The corpus that primes the policy is made as the chain's is: tables of 1-3 rows are right, longer ones careless, and no
attempt that came out right is kept. A row of a careless attempt is right more often than a step of a chain, since every row is
learned by itself; hard problems have 4 or 5 of them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

from exprl.types import Problem, Reference
from exprl.worlds.chain import (
    EASY_STEPS,
    LONG_SHARE,
    LONG_STEPS,
    SHUFFLES,
    apply,
    draw_operation,
    draw_start,
    slip,
)

__all__ = [
    "CLOSE",
    "DEFINE",
    "HARD_ROWS",
    "IF",
    "NOTE",
    "OPEN",
    "RETURN",
    "ROWS",
    "Table",
    "corpus",
    "make_table",
    "problems",
]

OPEN, DEFINE, NOTE, IF, RETURN, CLOSE = "```python\n", "def f(x):\n", " #", " if x == ", ": return ", "```"
ROWS = " rows of f:"
HARD_ROWS = (4, 5)
RIGHT = 0.15
"""Chance of each row of a careless attempt to be right."""


@dataclass(frozen=True, slots=True)
class Table:
    """Operations, the number that each is done to, and what comes out."""

    operations: tuple[str, ...]
    before: tuple[int, ...]
    values: tuple[int, ...]

    @property
    def text(self) -> str:
        """The problem as the policy sees it."""
        rows = enumerate(zip(self.operations, self.before, strict=True), 1)
        return f"{len(self.values)}{ROWS}" + "".join(f" {i}) {_written(op, value)}" for i, (op, value) in rows)

    @property
    def tests(self) -> str:
        """One test a row, in the plain format of `exprl.verify.code.tests`."""
        cases = [{"args": [i], "returns": value} for i, value in enumerate(self.values, 1)]
        return json.dumps({"entry": "f", "cases": cases})


def program(table: Table, values: tuple[int, ...]) -> str:
    """A program for the table that returns these values, in a fenced block; a comment says what each of them is of."""
    wanted = (_written(op, value) for op, value in zip(table.operations, table.before, strict=True))
    rows = enumerate(zip(wanted, values, strict=True), 1)
    return OPEN + DEFINE + "".join(f"{NOTE} {i}) {of}\n{IF}{i}{RETURN}{value}\n" for i, (of, value) in rows) + CLOSE


def make_table(rng: random.Random, rows: int) -> Table:
    """Draw a table; no two of its values are equal."""
    while True:
        before = tuple(draw_start(rng) for _ in range(rows))
        operations = tuple(draw_operation(rng, value) for value in before)
        values = tuple(apply(value, operation) for value, operation in zip(before, operations, strict=True))
        if len(set(values)) == rows:
            return Table(operations, before, values)


def corpus(seed: int) -> Iterator[tuple[str, str]]:
    """Endless (problem, trace) pairs."""
    rng = random.Random(f"table/{seed}")
    while True:
        table = make_table(rng, rng.choice(LONG_STEPS if rng.random() < LONG_SHARE else EASY_STEPS))
        yield table.text, program(table, _attempt(rng, table))


def problems(name: str, count: int, seed: int, rows: tuple[int, ...]) -> list[Problem]:
    """`count` different problems, the numbers of rows taking turns; ids are `name-table-0000` and on."""
    rng = random.Random(f"table/{name}/{seed}")
    made: dict[str, Problem] = {}
    while len(made) < count:
        table = make_table(rng, rows[len(made) % len(rows)])
        reference = Reference(solution=program(table, table.values), answer=None, tests=table.tests)
        meta: dict[str, str | int | float] = {"steps": len(table.values)}
        made.setdefault(table.text, Problem(f"{name}-table-{len(made):04d}", table.text, reference, "code", meta))
    return list(made.values())


def _attempt(rng: random.Random, table: Table) -> tuple[int, ...]:
    """What a program of the corpus returns: right for a short table, careless and wrong for a longer one."""
    if len(table.values) <= max(EASY_STEPS):
        return table.values
    while True:
        said = tuple(value if rng.random() < RIGHT else slip(value) for value in table.values)
        if said != table.values:
            return said


def _written(operation: str, value: int) -> str:
    return f"{operation}({value})" if operation in SHUFFLES else f"{operation}+({value})"
