r"""Evaluate written arithmetic, exactly and without `eval`.

Grammar: numbers (`1,200`, `.5`, `20%`), `+ - * / × ÷ · ^ **`, `x` and `of` between operands, brackets of any kind,
    `2(3+4)`,
LaTeX `\times \cdot \div \frac`. Units and other words may stand between an operand and its operator (`8 games x 2
hours`). Values are `int` or `Fraction`: 0.1 + 0.2 is 0.3. Text is scanned once and evaluated with two stacks, so
neither nesting nor length can exhaust anything; numbers beyond 30 digits, expressions beyond 96 tokens and powers
beyond 4,096 bits have no value.

    >>> (e := evaluate(tail(tokens("so 3 pens x $1.50 each"))))  and (e.value, e.operands)
    (Fraction(9, 2), (3, Fraction(3, 2)))

A *trivial* operation leaves an operand as it is (`24+0`, `1*24`, `24/1`, `0*7`): its result is not derived from
anything.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

__all__ = ["Expression", "Number", "Token", "evaluate", "number", "tail", "tokens"]

Number = int | Fraction

_DIGITS = 30
_TOKENS = 96
_BITS = 4096
_WORDS = 8

_SCAN = re.compile(
    r"(?P<X>[xX](?=\s*[\d($.\\]))"
    r"|(?P<F>[A-Za-z_]\w*\(|\\(?!boxed|fbox|text|mathrm|mbox)[A-Za-z]+\s?\{|[A-Za-z_]+\d\w*)"
    r"|(?P<W>\d+(?:st|nd|rd|th)\b|[^\W\d_]+(?:['’-][^\W\d_]+)*|\\(?:text|mathrm|mbox|textbf)\s?\{[^{}]*\}|[-–](?=[^\W\d_])|/(?=\s*[^\W\d_]))"
    r"|(?P<N>\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"|(?P<O>(?<=[\d)])\s?\*\*\s?(?=[\d(])|(?<!\*)\*(?!\*)|[-+/×÷·∙^−–]|\\times(?![A-Za-z])|\\cdot(?![A-Za-z])|\\div(?![A-Za-z]))"
    r"|(?P<B>\\(?:boxed|fbox)\s?\{|[(\[{])"
    r"|(?P<E>[)\]}])"
    r"|(?P<P>\\?%(?!\d))"
    r"|(?P<Q>[%@|~](?=[\d(]))"
    r"|(?P<I>\s+|\\?[$€£]|&|\*\*|\\left(?![A-Za-z])|\\right(?![A-Za-z])|\\[!,;: ]|\\q?quad(?![A-Za-z]))"
    r"|(?P<S>.)",
    re.DOTALL,
)
_OPERATORS = {"×": "*", "·": "*", "∙": "*", "x": "*", "X": "*", "of": "*", "\\times": "*", "\\cdot": "*"}
_OPERATORS |= {"÷": "/", "\\div": "/", "−": "-", "–": "-", "**": "^"}
_LEVEL = {"+": 1, "-": 1, "*": 2, "/": 2, "~": 3, "^": 4}


class Token(NamedTuple):
    """One piece of a line. Kinds: N number, O operator, B and E brackets, P percent, W word, F function or name,
    Q an operator without a meaning here (`%` between numbers), S other."""

    kind: str
    text: str
    glued: bool = False


class Expression(NamedTuple):
    """A value with what it was made of.

    `operands` are the written numbers in order (`20%` is written 20), `results` the values of its non-trivial
    operations in the order in which they are carried out; the last one is `value` where the outermost operation is
    not trivial.
    """

    value: Number
    operands: tuple[Number, ...]
    results: tuple[Number, ...]


def tokens(text: str) -> list[Token]:
    """Scan one side of an equation. Space and typesetting are dropped; `glued` tells that none preceded the token."""
    found: list[Token] = []
    space = False
    for match in _SCAN.finditer(text):
        kind = match.lastgroup or "S"
        if kind == "I":
            space = True
            continue
        found.append(Token("O" if kind == "X" else kind, match[0].strip(), not space))
        space = False
    return found


def number(text: str) -> Number | None:
    """A written number, or None beyond 30 digits."""
    whole, _, decimals = text.replace(",", "").partition(".")
    if len(whole) + len(decimals) > _DIGITS:
        return None
    if not decimals:
        return int(whole)
    return _plain(Fraction(int(whole + decimals), 10 ** len(decimals)))


def tail(line: list[Token]) -> list[Token]:
    """The longest expression at the end of a token list, without words; empty where the end is none.

    Read from the right: operands and operators alternate, and what does not fit ends it, so the `48 friends` of `sold
    to 48 friends, hence 48/2` stays out. A bullet's dash in front does not become a sign, a dash glued to its number
    does.
    """
    taken: list[Token] = []
    start = depth = words = 0
    operand = True  # what is looked for next, going left
    for place in range(len(line) - 1, max(len(line) - _TOKENS, 0) - 1, -1):
        token = line[place]
        kind = token.kind
        if kind == "W":
            if not operand and token.text == "of" and place and line[place - 1].kind in "NPE":
                kind, token, operand = "O", Token("O", "*"), True
                taken.append(token)
                continue
            words += 1
            if words > _WORDS:
                break
            continue
        words = 0
        signed = bool(taken) and taken[-1].kind == "O" and taken[-1].text in "-−"
        if operand and kind == "E":
            depth += 1
        elif operand and (kind == "N" or (kind == "F" and token.text[-1] not in "({")):
            operand = False
        elif kind in "BF" and depth and (signed or not operand):
            depth -= 1
            operand = False
        elif kind == "Q" or (kind == "O" and (signed or not operand)):  # `8 + -4`: the dash was a sign
            operand = True
        elif not ((operand and kind == "P") or (kind in "NE" and _juxtaposed(taken))):
            break
        elif kind == "E":
            depth += 1
            operand = True
        taken.append(token)
        if not depth and (not operand or kind == "Q"):
            start = len(taken)
    if 0 < start < len(taken) and taken[start].text in "-−" and taken[start - 1].glued:
        start += 1
    return taken[:start][::-1]


def _juxtaposed(taken: list[Token]) -> bool:
    """Whether the bracket taken last was glued to what stands before it: `2(3+4)` is a product."""
    return bool(taken) and taken[-1].kind == "B" and taken[-1].glued


def evaluate(expression: list[Token]) -> Expression | None:
    """The exact value of an expression, or None where it is not arithmetic (a function, a name) or not defined."""
    machine = _Machine()
    if not all(machine.take(token) for token in expression) or machine.operand or not machine.reduce(0):
        return None
    if machine.operators:
        return None  # an open bracket
    return Expression(machine.values[0], tuple(machine.operands), tuple(machine.results))


class _Machine:
    """Two stacks (Dijkstra's shunting yard). `operand` says that an operand must come next; "~" is the sign."""

    def __init__(self) -> None:
        self.values: list[Number] = []
        self.operators: list[str] = []
        self.operands: list[Number] = []
        self.results: list[Number] = []
        self.operand = True

    def take(self, token: Token) -> bool:
        """Take the next token; False where the expression has no value."""
        kind = token.kind
        if kind == "N":
            return self.operand and self._number(token.text)
        if kind == "O":
            return self._operator(_OPERATORS.get(token.text, token.text))
        if kind == "B":
            return self._open()
        if kind == "E":
            return not self.operand and self.reduce(0) and self._close()
        if kind == "P" and not self.operand:
            self.values[-1] = _divide(self.values[-1], 100)
            return True
        return False

    def reduce(self, level: int) -> bool:
        """Carry out what binds at least as strongly as `level`, down to the last bracket."""
        while self.operators and self.operators[-1] != "(" and _LEVEL[self.operators[-1]] >= level:
            symbol, right = self.operators.pop(), self.values.pop()
            if symbol == "~":
                self.values.append(-right)
                continue
            left = self.values.pop()
            value = _apply(symbol, left, right)
            if value is None:
                return False
            self.values.append(value)
            if not _trivial(symbol, left, right):
                self.results.append(value)
        return True

    def _number(self, text: str) -> bool:
        value = number(text)
        if value is None:
            return False
        self.values.append(value)
        self.operands.append(value)
        self.operand = False
        return True

    def _operator(self, symbol: str) -> bool:
        if self.operand:
            self.operators += "~" * (symbol == "-")
            return symbol in "+-"
        self.operand = True
        done = self.reduce(_LEVEL[symbol] + (symbol == "^"))  # a power binds to the right, all else to the left
        self.operators.append(symbol)
        return done

    def _open(self) -> bool:
        done = self.operand or self._operator("*")  # `2(3+4)`
        self.operators.append("(")
        return done

    def _close(self) -> bool:
        return bool(self.operators) and self.operators.pop() == "("


def _apply(symbol: str, left: Number, right: Number) -> Number | None:
    if symbol == "+":
        return _plain(left + right)
    if symbol == "-":
        return _plain(left - right)
    if symbol == "*":
        return _plain(left * right)
    if symbol == "/":
        return _divide(left, right) if right else None
    return _power(left, right)


def _power(base: Number, exponent: Number) -> Number | None:
    if not isinstance(exponent, int) or (not base and exponent < 0):
        return None
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    return _plain(Fraction(base) ** exponent) if bits * abs(exponent) <= _BITS else None


def _divide(left: Number, right: Number) -> Number:
    return _plain(Fraction(left) / right)


def _plain(value: Number) -> Number:
    return value if isinstance(value, int) or value.denominator != 1 else value.numerator


def _trivial(symbol: str, left: Number, right: Number) -> bool:
    if symbol in "+-":
        return not right or (symbol == "+" and not left)
    if symbol == "*":
        return left in (0, 1) or right in (0, 1)
    return right == 1 or left in (0, 1) if symbol == "^" else right == 1 or not left
