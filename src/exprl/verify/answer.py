r"""Read a final answer, and settle the plain cases exactly: equal text, numbers, words.

Most answers are integers, decimals, fractions or words. For these equality needs no computer algebra:

    normalise:  outer `$`, `\(`, `\boxed`, `\left`, thin spaces, thousands separators and a closing full stop go
    number:     [sign] digits [. digits] | digits / digits | \frac{digits}{digits}, with one optional unit or %
    `matches`:  True or False where the grammar above decides it, None where it takes algebra

Numbers are compared as exact fractions (0.5 = 1/2, 0.33 != 1/3). One stated unit against none is accepted (`72 clips`
for `72`); two units of `exprl.verify.units` are converted, two others, `50%` against `0.5` and scale words (`5
million`) are left to algebra. A mixed number `1 1/2` is never read as 11/2. Certain to be wrong is also what algebra
would read too kindly: `8 = 7`, another base (`12_5` for `12_7`), square feet for square inches, a set for a tuple, and words
that take back or hedge (`7, not 8`) where the stored answer has none.

    >>> matches("1,440", r"$1440$ dollars"), matches("7", "8"), matches("2x", "x+x")
    (True, False, None)

Refuses to evaluate anything: text is only matched, sliced and converted by `int`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from exprl.verify.amounts import read_amount
from exprl.verify.boxes import boxed
from exprl.verify.stated import stated_answer
from exprl.verify.units import read_unit

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
_BASED = re.compile(r"([0-9a-zA-Z]+)_\{?(\d+)\}?")
_SET_UNIT = re.compile(r"\\(?:text|textrm|mathrm|mbox)\s*\{")
_DEGREES = re.compile(r"\\circ|°")
_HEDGE = re.compile(r"\b(?:not|n't|but|either|neither|maybe|perhaps|possibly|instead|unless|rather)\b", re.IGNORECASE)
_ANY_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?%?")


class Quantity(NamedTuple):
    """A plain number with what stood behind it: `unit` is '' or a lower-case word, `percent` says `%`."""

    value: Fraction
    unit: str = ""
    percent: bool = False


def extract_answer(text: str, *, stated: bool = False) -> str | None:
    r"""The last balanced `\boxed{}` of a trace, or None where no answer is stated.

    Nested braces are kept; linear in the length of the text.

    Args:
        text: a trace, untrusted.
        stated: without any box, read an answer that is stated in words (`exprl.verify.stated`).
    """
    found = boxed(text)
    if found:
        return found[-1]
    return stated_answer(text) if stated else None


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
    unit = _spelled((match["set"] or match["unit"] or "").strip())
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
        if _DEGREES.search(gold) and right.number.unit in ("rad", "radian", "radians"):
            return False
        return _same_quantity(left.number, right.number)
    if left.words is not None and right.words is not None:
        return left.words == right.words
    return None if right.text and not _surely_wrong(gold, answer) else False


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
    if gold.percent != answer.percent and (gold.unit or answer.unit):
        return False
    if gold.percent != answer.percent and gold.value != answer.value:
        return None  # 50% and 0.5
    if gold.unit and answer.unit and gold.unit != answer.unit:
        return _same_measure(gold, answer)
    return gold.value == answer.value


def _same_measure(gold: Quantity, answer: Quantity) -> bool | None:
    """Whether two amounts in different units are one: 5 km and 5000 m. None where a unit is not known."""
    left, right = read_unit(gold.unit), read_unit(answer.unit)
    if left is None or right is None:
        return None
    return left.dimension == right.dimension and (
        left.scale * gold.value + left.offset == right.scale * answer.value + right.offset
    )


def _surely_wrong(gold: str, answer: str) -> bool:
    """What algebra would let pass: a false equation, another base, a set for a tuple, words that take back."""
    numbers = [quantity(side) for side in answer.split("=")]
    if len({number.value for number in numbers if number is not None}) > 1 and None not in numbers:
        return True
    left, right = normalise(gold), normalise(answer)
    if (base := _BASED.fullmatch(right)) and ((own := _BASED.fullmatch(left)) is None or own.groups() != base.groups()):
        return True
    if _SET_UNIT.search(gold) and _SET_UNIT.search(answer) and _other_measure(gold, answer):
        return True
    if left.startswith("(") and left.endswith(")") and right.startswith("\\{"):
        return True
    return _HEDGE.search(answer) is not None and _HEDGE.search(gold) is None


def _other_measure(gold: str, answer: str) -> bool:
    """Whether both are amounts in known units, and not the same one."""
    left, right = read_amount(gold), read_amount(answer)
    if left is None or right is None or not (left.has_unit and right.has_unit):
        return False
    return left.unit.dimension != right.unit.dimension or left.si != right.si


def _spelled(unit: str) -> str:
    """Lower case, but not where that is another unit (MW, mW)."""
    return unit.lower() if read_unit(unit.lower()) == read_unit(unit) else unit


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
