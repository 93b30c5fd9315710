"""Does what a program gave equal what was expected? Plain values and text, compared where no candidate ever ran.

Values came over as plain builtin types, so that `==` means what Python says: `1 == True == 1.0`, a list is no tuple, sets and
dicts have no order. Two things are added. NaN equals NaN: an expected NaN could otherwise never be met. A tolerance, where a
test states one, counts as in numpy: |a - b| <= atol + rtol * |b| (rtol only where one of them is a float), for
numbers at any depth, and never for bools.

    equal    as above                           differs  the contrary
    json     tuples count as lists              within   one of the expected values
    truth    as `assert x` and `assert not x`   is       `is None`, `is True`: equal and of the same type
    below    |a - b| < atol, strictly

Text (`same_output`) is compared line by line and there token by token; white space at the ends and blank lines at the end do
not count. Tokens are equal as text, or as numbers to 1e-6 where the expected one is written with a point or an exponent.

    >>> compare("equal", [1.0, float("nan")], [1, float("nan")]), compare("equal", (1, 2), [1, 2])
    (True, False)
    >>> same_output("0.33333333 \\n7\\n\\n", "0.333333\\n7"), same_output("8.0", "8")
    (True, False)
"""

from __future__ import annotations

import math
import re
from typing import Literal

from exprl.verify.sandbox.program import Plain

__all__ = ["Comparison", "compare", "same_output"]

Comparison = Literal["equal", "json", "differs", "within", "truth", "is", "below"]

_DECIMAL = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d{1,4})?")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?")
_TOLERANCE = 1e-6
_LONGEST_NUMBER = 400


def compare(how: Comparison, given: Plain, expected: Plain, atol: float = 0.0, rtol: float = 0.0) -> bool:
    """Whether `given` meets `expected`. Never raises: what is nested too deeply to be compared is not equal."""
    try:
        return _compare(how, given, expected, atol, rtol)
    except (RecursionError, TypeError, ValueError, OverflowError):
        return False


def _compare(how: Comparison, given: Plain, expected: Plain, atol: float, rtol: float) -> bool:
    match how:
        case "truth":
            return bool(given) == bool(expected)
        case "is":
            return type(given) is type(expected) and given == expected
        case "differs":
            return not _equal(given, expected, atol, rtol)
        case "within":
            return isinstance(expected, list | tuple | set | frozenset) and any(
                _equal(given, one, atol, rtol) for one in expected
            )
        case "below":
            return _is_number(given) and _is_number(expected) and abs(given - expected) < atol  # type: ignore[operator, arg-type]
        case "json":
            return _equal(_as_json(given), _as_json(expected), atol, rtol)
    return _equal(given, expected, atol, rtol)


def _equal(given: Plain, expected: Plain, atol: float, rtol: float) -> bool:
    if isinstance(given, list) and isinstance(expected, list):
        return _all_equal(given, expected, atol, rtol)
    if isinstance(given, tuple) and isinstance(expected, tuple):
        return _all_equal(list(given), list(expected), atol, rtol)
    if isinstance(given, dict) and isinstance(expected, dict):
        return given.keys() == expected.keys() and all(_equal(given[k], expected[k], atol, rtol) for k in expected)
    if _is_number(given) and _is_number(expected):
        return _close(given, expected, atol, rtol)  # type: ignore[arg-type]
    return bool(given == expected)


def _all_equal(given: list[Plain], expected: list[Plain], atol: float, rtol: float) -> bool:
    return len(given) == len(expected) and all(_equal(a, b, atol, rtol) for a, b in zip(given, expected, strict=True))


def _is_number(value: Plain) -> bool:
    return isinstance(value, int | float | complex) and not isinstance(value, bool)


def _close(given: int | float | complex, expected: int | float | complex, atol: float, rtol: float) -> bool:
    if given == expected or (given != given and expected != expected):
        return True
    if not (atol or rtol):
        return False
    if isinstance(given, int) and isinstance(expected, int):
        rtol = 0.0  # whole numbers are exact, however large
    distance = abs(given - expected)
    return math.isfinite(distance) and distance <= atol + rtol * abs(expected)


def _as_json(value: Plain) -> Plain:
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    return {key: _as_json(item) for key, item in value.items()} if isinstance(value, dict) else value


def same_output(given: str, expected: str) -> bool:
    """Whether a program printed what was expected of it."""
    if given == expected:
        return True
    lines, wanted = _lines(given), _lines(expected)
    return len(lines) == len(wanted) and all(_same_line(a, b) for a, b in zip(lines, wanted, strict=True))


def _lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _same_line(given: str, expected: str) -> bool:
    if given == expected:
        return True
    tokens, wanted = given.split(), expected.split()
    return len(tokens) == len(wanted) and all(_same_token(a, b) for a, b in zip(tokens, wanted, strict=True))


def _same_token(given: str, expected: str) -> bool:
    if given == expected:
        return True
    if max(len(given), len(expected)) > _LONGEST_NUMBER:
        return False
    if not (_DECIMAL.fullmatch(expected) and _NUMBER.fullmatch(given)):
        return False
    return _close(float(given), float(expected), _TOLERANCE, _TOLERANCE)
