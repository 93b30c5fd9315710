r"""The equations that a text states, line by line.

A *claim* is an equation `left = result` with a written number on the right: `48/2 = 24 clips`, `5 x $100 = $500`,
`rev(4125)=5214`, `-3+3=\boxed{0}`. In a chain `a = b = 5` every side is claimed to be 5. Where the left side is
arithmetic, the claim `holds` if it evaluates to the result, or, for a result written with decimals, to within its
last digit (`10/3 = 3.33`). Where it is not, nobody here can tell, and the claim keeps its left side as text.

A line (ended by a newline or a run of `#`) is read on its own, so the claims of a text that ends inside a line are
those of the whole lines before it and of the piece: what a prefix claims never depends on what follows it.

    >>> [(c.key, c.result, c.holds) for c in claims_of("She sold 48/2 = 24 clips, and rev(41)=14.")]
    [(24, 24, True), ('rev(41)', 14, False)]

Bounded: of one line 1,000 equations are read, of one side 600 characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from exprl.judge.milestone.arithmetic import Number, Token, evaluate, number, tail, tokens

__all__ = ["Claim", "Line", "claims_of", "lines", "standing"]

_EQUATIONS = 1000
_SIDE = 600
_CACHED = 300
_RESULTS = 3
_LINE = re.compile(r"[^\n#]+")
_FRACTION = re.compile(r"\\[dtc]?frac\s?(?:\{([^{}]{1,40})\}\s?\{([^{}]{1,40})\}|(\d)\s?(\d))")
_CLAUSE = re.compile(r"[.,;:!?](?=\s)")


class Claim(NamedTuple):
    """One equation.

    `key` names the left side: its value where it is arithmetic, so that `12+5`, `5+12` and `12+5+0` are one left
    side, else its text without space. `written` is that text for every claim. `operands` are the numbers on the left,
    `results` the values of its non-trivial operations (empty where it is not arithmetic). `linked` marks the later
    sides of a chain.
    """

    key: Number | str
    result: Number
    holds: bool
    written: str
    operands: tuple[Number, ...]
    results: tuple[Number, ...]
    linked: bool


class Line(NamedTuple):
    """A line as the half-open span [start, end) of its text, which holds a `=`."""

    start: int
    end: int


def lines(text: str) -> Iterator[Line]:
    """The lines of a text that may hold an equation."""
    for match in _LINE.finditer(text):
        if "=" in match[0]:
            yield Line(*match.span())


def claims_of(line: str) -> tuple[Claim, ...]:
    """The claims of one line, in order. Short lines are remembered: rollouts of one problem repeat them."""
    return _cached(line) if len(line) <= _CACHED else _read(line)


def standing(claims: Sequence[Claim]) -> list[bool]:
    """Which claims stand: of one left side the last result does, from where no other result follows it.

    A left side that was given more than 3 different results has none.
    """
    since: dict[Number | str, int] = {}
    last: dict[Number | str, Number] = {}
    different: dict[Number | str, set[Number]] = {}
    for place, claim in enumerate(claims):
        if last.get(claim.key) != claim.result:
            since[claim.key] = place
            last[claim.key] = claim.result
            different.setdefault(claim.key, set()).add(claim.result)
    return [place >= since[c.key] and len(different[c.key]) <= _RESULTS for place, c in enumerate(claims)]


def _read(line: str) -> tuple[Claim, ...]:
    sides = [_Side(text) for text in _flat(line).split("=", _EQUATIONS)[: _EQUATIONS + 1]]
    found: list[Claim] = []
    result: _Result | None = None
    for place in range(len(sides) - 2, -1, -1):
        right = sides[place + 1]
        if not (right.whole and place + 2 < len(sides)):
            result = right.result()
        if result is not None and (claim := sides[place].claim(result, linked=place > 0 and sides[place].whole)):
            found.append(claim)
    return tuple(reversed(found))


_cached = lru_cache(maxsize=65_536)(_read)


def _flat(line: str) -> str:
    return _FRACTION.sub(_slash, line) if "frac" in line else line


def _slash(match: re.Match[str]) -> str:
    top, bottom = match[1] or match[3], match[2] or match[4]
    plain = top.isdecimal() and bottom.isdecimal()
    return f"({top}/{bottom})" if plain else f"(({top})/({bottom}))"


class _Result(NamedTuple):
    """What stands to the right of `=`: one number, `25%` also as 25; `decimals` as written."""

    readings: tuple[Number, ...]
    decimals: int


class _Side:
    """What stands between two `=`: the result of what is to its left, the left side of what is to its right."""

    def __init__(self, text: str) -> None:
        self._text = text
        short = len(text) <= _SIDE
        self._head = tokens(text if short else text[: _SIDE // 3])
        self._tail = tail(self._head if short else tokens(text[-_SIDE:]))
        spoken = sum(token.kind == "W" for token in self._head)
        self.whole = short and len(self._tail) > 2 and len(self._tail) == len(self._head) - spoken

    def result(self) -> _Result | None:
        """The number at the head, or None where none or an expression stands there."""
        head, place = self._head, 0
        while place < len(head) and (head[place].kind == "B" or (head[place].kind == "W" and place < 2)):
            place += 1
        sign = place < len(head) and head[place].kind == "O" and head[place].text in "-−"
        place += sign
        if place == len(head) or head[place].kind != "N":
            return None
        return _ending(head, place, -1 if sign else 1)

    def claim(self, result: _Result, *, linked: bool) -> Claim | None:
        """The claim that this side equals `result`, or None where it ends in nothing like an expression."""
        if not self._tail:
            return None
        value = evaluate(self._tail)
        operation = len(self._tail) > 2
        if value is not None and operation:
            reading = next((r for r in result.readings if r == value.value), None)
            if reading is None:
                reading = next((r for r in result.readings if _rounds(value.value, r, result.decimals)), None)
            stated = result.readings[0] if reading is None else reading
            written = "".join(token.text for token in self._tail)
            return Claim(value.value, stated, reading is not None, written, value.operands, value.results, linked)
        return self._opaque(result, bare=value is not None)

    def _opaque(self, result: _Result, *, bare: bool) -> Claim | None:
        """A left side that is no arithmetic; `bare` is a lone number, whose words then say what is done to it."""
        written = "".join(
            (_CLAUSE.split(self._text[-_SIDE:])[-1] if bare else "".join(t.text for t in self._tail)).split()
        )
        operands = tuple(
            value
            for token in self._tail
            for digits in re.findall(r"\d+(?:\.\d+)?", token.text)
            if (value := number(digits)) is not None
        )
        return (
            Claim(written, result.readings[0], False, written, operands, (), linked=False)
            if operands and re.search(r"[^\W\d]|[@|~%]", written)
            else None
        )


def _ending(head: list[Token], place: int, sign: int) -> _Result | None:
    text = head[place].text
    value = number(text)
    place += 1
    if place + 1 < len(head) and head[place].text == "/" and head[place + 1].kind == "N":
        below = number(head[place + 1].text)
        value = Fraction(value) / below if value is not None and below else None
        place += 2
    percent = place < len(head) and head[place].kind == "P"
    place += percent
    while place < len(head) and head[place].kind == "E":
        place += 1
    goes_on = place + 1 < len(head) and head[place].kind in "OQ" and head[place + 1].kind in "NBF"
    if value is None or goes_on:
        return None
    value *= sign
    return _Result((Fraction(value) / 100, value) if percent else (value,), len(text.partition(".")[2]))


def _rounds(value: Number, written: Number, decimals: int) -> bool:
    return decimals > 0 and abs(value - written) * 10**decimals < 1
