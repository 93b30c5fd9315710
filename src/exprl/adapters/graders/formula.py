"""The formula of a `multi` grader (`0.7 * correct + 0.3 * min(style, 1)`), read by a grammar and nothing else.

sum      product (("+" | "-") product)*            power    atom ("^" power)?
product  signed (("*" | "/") signed)*              atom     number | grader | function "(" sum ("," sum)* ")" | "(" sum ")"
signed   "-" signed | power                        function min max abs floor ceil exp sqrt log

>>> evaluate("0.5 * a + max(b, 0.25)", {"a": 1.0, "b": 0.0})
0.75
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from exprl.errors import DataError

__all__ = ["FormulaError", "evaluate"]

_TOKEN = re.compile(r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>[-+*/^(),]))")
_LONGEST = 1000
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": min, "max": max, "abs": abs, "floor": math.floor, "ceil": math.ceil, "exp": math.exp, "sqrt": math.sqrt,
    "log": math.log,
}  # fmt: skip


class FormulaError(DataError):
    """A formula that cannot be read or has no finite value."""


def evaluate(formula: str, values: Mapping[str, float]) -> float:
    """The value of a formula.

    Args:
        values: the graders' rewards by name.
    Raises:
        FormulaError: no formula of this grammar, an unknown name, or no finite value.
    """
    reader = _Reader(formula, values)
    try:
        value = float(reader.sum())
    except (ArithmeticError, ValueError, TypeError, RecursionError) as error:
        raise FormulaError(f"calculate_output {formula[:80]!r} has no value: {type(error).__name__}") from None
    if reader.token is not None or not math.isfinite(value):
        raise FormulaError(f"calculate_output {formula[:80]!r} cannot be read to its end, or is not finite")
    return value


class _Reader:
    def __init__(self, formula: str, values: Mapping[str, float]) -> None:
        self._formula, self._values = formula, values
        self._tokens = _tokens(formula)
        self._place = 0

    @property
    def token(self) -> str | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _take(self, *signs: str) -> str | None:
        token = self.token
        if token is None or (signs and token not in signs):
            return None
        self._place += 1
        return token

    def _need(self, sign: str) -> None:
        if self._take(sign) is None:
            raise FormulaError(f"calculate_output {self._formula[:80]!r} lacks a {sign!r}")

    def sum(self) -> float:
        value = self._product()
        while (sign := self._take("+", "-")) is not None:
            value = value + self._product() if sign == "+" else value - self._product()
        return value

    def _product(self) -> float:
        value = self._signed()
        while (sign := self._take("*", "/")) is not None:
            value = value * self._signed() if sign == "*" else value / self._signed()
        return value

    def _signed(self) -> float:
        return -self._signed() if self._take("-") else self._power()

    def _power(self) -> float:
        value = self._atom()
        return math.pow(value, self._power()) if self._take("^") else value

    def _atom(self) -> float:
        token = self._take()
        if token == "(":
            value = self.sum()
            self._need(")")
            return value
        if token is None or token in "+*/^),":
            raise FormulaError(f"calculate_output {self._formula[:80]!r} lacks a value")
        if token[0].isdigit():
            return float(token)
        if token in _FUNCTIONS and self.token == "(":
            return self._call(_FUNCTIONS[token])
        if token not in self._values:
            raise FormulaError(f"calculate_output names {token[:80]!r}; there are {', '.join(self._values)}")
        return self._values[token]

    def _call(self, function: Callable[..., float]) -> float:
        self._need("(")
        given = [self.sum()]
        while self._take(","):
            given.append(self.sum())
        self._need(")")
        return function(given) if function in (min, max) else function(*given)


def _tokens(formula: str) -> list[str]:
    if len(formula) > _LONGEST:
        raise FormulaError(f"calculate_output has {len(formula)} characters; {_LONGEST} are read")
    found, place = [], 0
    text = formula.rstrip()
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            raise FormulaError(f"calculate_output {formula[:80]!r} cannot be read at character {place}")
        found.append(token[0].strip())
        place = token.end()
    return found
