r"""Read one amount: a number as science writes it, with its unit and with the precision that it states.

    number:  [sign] digits [. digits] [e5 | \times 10^{5} | x 10^5 | · 10⁵]  |  10^{5}  |  a/b  |  \frac{a}{b}
    amount:  [symbol = | \approx] number unit

A name in front (`v = 3 m/s`) is dropped. Numbers are exact fractions; `digits` counts significant digits, trailing zeros
of a whole number aside (1500 has 2, 1.500 has 4).

    >>> amount = read_amount(r"$v \approx 1.20\times10^{-3}\ \mathrm{km/s}$")
    >>> float(amount.value * amount.unit.scale), amount.digits
    (1.2, 3)

Refuses (None): exponents beyond 400, more than 200 characters, units that are not known, two numbers in one text, and
anything that would have to be computed. Text is matched and sliced, never evaluated.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from exprl.verify.units import ONE, Unit, read_unit

__all__ = ["Amount", "read_amount"]

_LONGEST = 200
_EXPONENT = 400
_NAME = re.compile(r"[^=≈\d]{0,60}?(?:_\{?\w{1,12}\}?)?[^=≈\d]{0,20}(?:=|≈|\\approx|\\simeq|\\sim)\s*")
_ABOUT = re.compile(r"(?:\\approx|\\simeq|\\sim|≈|~|about|approximately|roughly)\s*", re.IGNORECASE)
_DRESS = re.compile(r"\\left(?![a-zA-Z])|\\right(?![a-zA-Z])|\\\(|\\\)|\\\[|\\\]|\$")
_THIN = re.compile(r"(?<=\d)(?:\{,\}|,\\!|\\,|,)(?=\d{3}(?!\d))")
_SUPERSCRIPT = re.compile(r"10([⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,4})")
_DIGITS = str.maketrans("⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹", "-+0123456789")
_POWER = r"10\s*(?:\^|\*\*)\s*[{(]{0,2}\s*(?P<NAME>[-+−]?\s*\d{1,4})\s*[)}]{0,2}"
_TIMES = r"\s*(?:\\times|\\cdot|×|·|⋅|\*|[xX])\s*"
_NUMBER = re.compile(
    r"(?P<sign>[-+−]?)\s*(?:"
    + _POWER.replace("NAME", "bare")
    + r"|\\[dtc]?frac\s*\{\s*(?P<top>\d{1,40}(?:\.\d{1,40})?)\s*\}\s*\{\s*(?P<bottom>\d{1,40}(?:\.\d{1,40})?)\s*\}"
    + r"|(?P<whole>\d{0,60})(?P<point>\.(?P<decimals>\d{0,60}))?(?:\s*/\s*(?P<below>\d{1,40})(?![\d.]))?"
    + r"(?:[eE](?P<e>[-+−]?\d{1,4})(?!\d)|"
    + _TIMES
    + _POWER.replace("NAME", "ten")
    + r")?)"
)


class Amount(NamedTuple):
    """A number, its unit (`ONE` where none is written) and the significant digits that it states (0: exact)."""

    value: Fraction
    unit: Unit
    digits: int
    has_unit: bool
    is_whole: bool

    @property
    def si(self) -> Fraction:
        """The amount in SI units."""
        return self.value * self.unit.scale + self.unit.offset


@lru_cache(maxsize=8192)
def read_amount(text: str) -> Amount | None:
    """The amount that a text is, or None where it is not exactly one."""
    if len(text) > _LONGEST:
        return None
    plain = _plain(text)
    match = _NUMBER.match(plain)
    if match is None or not match[0].strip("+-− "):
        return None
    value = _value(match)
    written = plain[match.end() :].strip()
    unit = read_unit(written)
    if value is None or unit is None or re.match(r"[-+.\d!_]|\^(?!\s*\{?\s*\\circ)", written):
        return None
    return Amount(value, unit, _significant(match), unit is not ONE and bool(written), _is_whole(match))


def _plain(text: str) -> str:
    text = _SUPERSCRIPT.sub(lambda m: "10^" + m[1].translate(_DIGITS), text.strip())
    text = _THIN.sub("", _DRESS.sub("", text)).replace("\\%", "%").strip().rstrip(".").strip()
    name = _NAME.match(text)
    text = text[name.end() :] if name is not None else text
    return _ABOUT.sub("", text, count=1).strip() if _ABOUT.match(text) else text


def _value(match: re.Match[str]) -> Fraction | None:
    number = _mantissa(match)
    exponent = int(_sign(match["bare"] or match["e"] or match["ten"] or "0"))
    if number is None or abs(exponent) > _EXPONENT:
        return None
    return (-number if match["sign"] in ("-", "−") else number) * Fraction(10) ** exponent


def _mantissa(match: re.Match[str]) -> Fraction | None:
    if match["bare"] is not None:
        return Fraction(1)
    if match["top"] is not None:
        bottom = Fraction(match["bottom"])
        return Fraction(match["top"]) / bottom if bottom else None
    if not (match["whole"] or match["decimals"]):
        return None
    number = Fraction(f"{match['whole'] or 0}.{match['decimals'] or 0}")
    below = int(match["below"] or "1")
    return number / below if below else None


def _significant(match: re.Match[str]) -> int:
    """0 for what is exact by its form: a fraction, a bare power of ten."""
    if match["whole"] is None or match["below"] is not None:
        return 0
    if match["point"] is None:
        return len(match["whole"].strip("0"))
    return len((match["whole"] + (match["decimals"] or "")).lstrip("0"))


def _is_whole(match: re.Match[str]) -> bool:
    return bool(match["whole"]) and not (match["point"] or match["below"] or match["e"] or match["ten"])


def _sign(text: str) -> str:
    return text.replace("−", "-").replace(" ", "")
