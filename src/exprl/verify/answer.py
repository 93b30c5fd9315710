r"""Read a final answer, and settle the plain cases exactly: equal text, numbers, words.

Most answers are integers, decimals, fractions or words. For these equality needs no computer algebra:

    normalise:  outer `$`, `\(`, `\boxed`, `\left`, thin spaces, thousands separators and a closing full stop go
    number:     [sign] digits [. digits] | digits / digits | \frac{digits}{digits}, with one optional unit or %
    `matches`:  True or False where the grammar above decides it, None where it takes algebra

Numbers are compared as exact fractions (0.5 = 1/2, 0.33 != 1/3). One stated unit against none is accepted (`72 clips`
for `72`); two different units, `50%` against `0.5` and scale words (`5 million`) are left to algebra. A mixed number
`1 1/2` is never read as 11/2.

    >>> matches("1,440", r"$1440$ dollars"), matches("7", "8"), matches("2x", "x+x")
    (True, False, None)

Refuses to evaluate anything: text is only matched, sliced and converted by `int`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from exprl.verify.boxes import boxed

__all__ = ["MAX_ANSWER", "Quantity", "extract_answer", "final_answers", "matches", "normalise", "quantity"]

MAX_ANSWER = 1000
"""Characters of an answer that is still read; a longer one can only be equal as text."""

_DROP = re.compile(
    r"\\left(?![a-zA-Z])|\\right(?![a-zA-Z])|\\[!,;: ]|\\q?quad(?![a-zA-Z])|\\displaystyle|\^\{?\\circ\}?|~|\\?\$|€|£"
)
_WRAP = re.compile(r"\\\((.*)\\\)|\\\[(.*)\\\]", re.DOTALL)
_FRACTION = re.compile(r"\\[dtc]frac")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:(?:,|\{,\})\d{3})+(?![\d,])")
_SPACES = re.compile(r"(?<!\d)\s+|\s+(?!\d)")  # the space of "1 1/2" stays: it is a mixed number, not 11/2
_NUMBER = re.compile(
    r"(?P<sign>[-+−]?)\s*(?:(?P<whole>\d*)(?:\.(?P<decimals>\d*))?(?:\s*/\s*(?P<below>\d+))?"
    r"|\\frac\s*\{(?P<top>\d+)\}\s*\{(?P<bottom>\d+)\})\s*"
    r"(?:(?P<percent>\\?%)|\\(?:text|mathrm|mbox|textrm)\s*\{\s*(?P<set>[a-zA-Z .]*)\}"
    r"|(?P<unit>[a-zA-Z]{2,}(?: [a-zA-Z]+){0,2}))?"
)
_WORDS = re.compile(r"[^\W\d_]{2,}(?:[\s'-]+[^\W\d_]{2,})*")
_FUNCTIONS = {"pi", "sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "sqrt", "mod", "or", "and"}
_SCALES = {"hundred", "thousand", "million", "billion", "trillion", "dozen", "percent", "half"}
_TEXT = re.compile(r"\\(?:text|mathrm|mbox|textrm|textbf|mathbf)\s*\{([^{}]*)\}")
_AFTER_HASHES = re.compile(r"####[ \t]*([^\n#]+)")
_AFTER_EQUALS = re.compile(r"=\s*(?:\\?[$€£])?\s*(-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?%?)")
_ANY_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?%?")


class Quantity(NamedTuple):
    """A plain number with what stood behind it: `unit` is '' or a lower-case word, `percent` says `%`."""

    value: Fraction
    unit: str = ""
    percent: bool = False


def extract_answer(text: str) -> str | None:
    r"""The last balanced `\boxed{}` of a trace, or None where no answer is stated.

    Nested braces are kept; linear in the length of the text.
    """
    found = boxed(text)
    return found[-1] if found else None


def final_answers(solution: str) -> tuple[str, ...]:
    """What a worked solution may mean as its final answer, the surest reading first.

    The last box; else what follows `####`; else the number after the last `=` and the last number of the text.
    """
    if (answer := extract_answer(solution)) is not None:
        return (answer,)
    if hashes := _AFTER_HASHES.findall(solution):
        return (hashes[-1].strip(),)
    readings = [*_AFTER_EQUALS.findall(solution)[-1:], *_ANY_NUMBER.findall(solution)[-1:]]
    return tuple(dict.fromkeys(readings))


def normalise(answer: str) -> str:
    """An answer without dress: delimiters, sizing commands, separators and needless spaces gone. Never longer."""
    text = answer.strip()
    if (wrapped := _WRAP.fullmatch(text)) is not None:
        text = wrapped[1] if wrapped[1] is not None else wrapped[2]
    text = _FRACTION.sub(r"\\frac", _DROP.sub("", text))
    text = _THOUSANDS.sub(lambda m: m[0].replace("{", "").replace("}", "").replace(",", ""), text)
    return _SPACES.sub("", text).rstrip(".")


def quantity(answer: str) -> Quantity | None:
    """The plain number that an answer is, or None. Exact; units are lower-cased, not converted."""
    text = _FRACTION.sub(r"\\frac", _DROP.sub("", answer)).strip().rstrip(".")
    match = _NUMBER.fullmatch(_THOUSANDS.sub(lambda m: re.sub(r"[{},]", "", m[0]), text))
    if match is None:
        return None
    value = _value(match)
    unit = (match["set"] or match["unit"] or "").strip().lower()
    if value is None or not (_FUNCTIONS | _SCALES).isdisjoint(unit.split()):
        return None
    return Quantity(-value if match["sign"] in "-−" and match["sign"] else value, unit, match["percent"] is not None)


def matches(gold: str, answer: str) -> bool | None:
    """Whether two answers are equal, where text and plain numbers decide it.

    Args:
        gold: the stored answer.
        answer: the stated one, untrusted, of any length.
    Returns:
        True or False where certain; None where it takes algebra to tell.
    """
    if gold.strip() == answer.strip():
        return bool(gold.strip())
    if len(answer) > max(MAX_ANSWER, 2 * len(gold)):
        return False
    left, right = _read(gold), _read(answer)
    if left.text == right.text:
        return bool(left.text) or None
    if left.number is not None and right.number is not None:
        return _same_quantity(left.number, right.number)
    if left.words is not None and right.words is not None:
        return left.words == right.words
    return None if right.text else False


class _Reading(NamedTuple):
    text: str
    number: Quantity | None
    words: str | None


@lru_cache(maxsize=32_768)
def _read(answer: str) -> _Reading:
    spoken = _TEXT.sub(r"\1", answer).strip().rstrip(".")
    words = " ".join(spoken.casefold().split()) if _WORDS.fullmatch(spoken) else None
    return _Reading(normalise(answer), quantity(answer), words)


def _same_quantity(gold: Quantity, answer: Quantity) -> bool | None:
    if gold.percent != answer.percent and (gold.value != answer.value or gold.unit or answer.unit):
        return None  # 50% and 0.5
    if gold.unit and answer.unit and gold.unit != answer.unit:
        return None
    return gold.value == answer.value


def _value(match: re.Match[str]) -> Fraction | None:
    top, bottom = match["top"], match["bottom"]
    if top is not None:
        return Fraction(int(top), int(bottom)) if int(bottom) else None
    whole, decimals, below = match["whole"], match["decimals"], match["below"]
    if not whole and not decimals:
        return None
    value = Fraction(int(whole or "0") * 10 ** len(decimals or "") + int(decimals or "0"), 10 ** len(decimals or ""))
    if below is None:
        return value
    return value / int(below) if int(below) else None
