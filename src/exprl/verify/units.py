r"""Units of measurement: a small table with exact factors, prefixes, and products of powers.

A unit is a factor to SI and a dimension, the exponents of (m, kg, s, A, K, mol, cd):

    km/h  ->  1000/3600, (1, 0, -1, 0, 0, 0, 0)            15 km/h  =  15 * 1000/3600 m/s

Factors are exact where the unit is defined exactly (all of SI, eV, the inch, the atmosphere) and carry the published
digits elsewhere (the atomic mass unit, pi in degrees). Angles have no dimension: 1 rad = 1, 1 degree = pi/180. Degrees
Celsius and Fahrenheit are points on a scale: alone they have an offset, in products they are differences.

    >>> read_unit(r"\mathrm{kg}\cdot\mathrm{m}/\mathrm{s}^2") == read_unit("newtons")
    True
    >>> read_unit("furlongs") is None
    True

`J/mol K` is `J/(mol K)`, as textbooks mean it. Refuses words it does not know (None, not a guess), exponents beyond 12 and
products of more than 16 factors.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

__all__ = ["ONE", "Unit", "read_unit"]


class Unit(NamedTuple):
    """What one of it is in SI: `scale * x + offset`, of a dimension."""

    scale: Fraction
    dimension: tuple[int, ...]
    offset: Fraction = Fraction(0)


ONE = Unit(Fraction(1), (0,) * 7)
_LONGEST = 200
_FACTORS = 16
_POWER = 12

# symbol, factor, exponents of m kg s A K mol cd, words; a trailing * says that it takes prefixes
_TABLE = """
m* 1 1,0,0,0,0,0,0 metre meter | g* 1/1000 0,1,0,0,0,0,0 gram gramme | s* 1 0,0,1,0,0,0,0 second sec
A* 1 0,0,0,1,0,0,0 ampere amp | K* 1 0,0,0,0,1,0,0 kelvin | mol* 1 0,0,0,0,0,1,0 mole | cd* 1 0,0,0,0,0,0,1 candela
Hz* 1 0,0,-1,0,0,0,0 hertz | N* 1 1,1,-2,0,0,0,0 newton | Pa* 1 -1,1,-2,0,0,0,0 pascal | J* 1 2,1,-2,0,0,0,0 joule
W* 1 2,1,-3,0,0,0,0 watt | C* 1 0,0,1,1,0,0,0 coulomb | V* 1 2,1,-3,-1,0,0,0 volt | F* 1 -2,-1,4,2,0,0,0 farad
ohm* 1 2,1,-3,-2,0,0,0 ohm | S* 1 -2,-1,3,2,0,0,0 siemens | Wb* 1 2,1,-2,-1,0,0,0 weber | T* 1 0,1,-2,-1,0,0,0 tesla
H* 1 2,1,-2,-2,0,0,0 henry henrie | Bq* 1 0,0,-1,0,0,0,0 becquerel | Gy* 1 2,0,-2,0,0,0,0 gray
Sv* 1 2,0,-2,0,0,0,0 sievert | lx* 1 -2,0,0,0,0,0,1 lux | rad* 1 0,0,0,0,0,0,0 radian | sr 1 0,0,0,0,0,0,0 steradian
% 1/100 0,0,0,0,0,0,0 percent | ppm 1/1000000 0,0,0,0,0,0,0 ppm
deg 0.01745329251994329576923690768488612713443 0,0,0,0,0,0,0 degree
rev 6.283185307179586476925286766559005768394 0,0,0,0,0,0,0 revolution turn
rpm 0.1047197551196597746154214461093167628066 0,0,-1,0,0,0,0 rpm
min 60 0,0,1,0,0,0,0 minute | h 3600 0,0,1,0,0,0,0 hour hr | d 86400 0,0,1,0,0,0,0 day
wk 604800 0,0,1,0,0,0,0 week | yr* 31557600 0,0,1,0,0,0,0 year | L* 1/1000 3,0,0,0,0,0,0 litre liter
l* 1/1000 3,0,0,0,0,0,0 - | M* 1000 -3,0,0,0,0,1,0 molar | t 1000 0,1,0,0,0,0,0 tonne | ha 10000 2,0,0,0,0,0,0 hectare
eV* 1.602176634e-19 2,1,-2,0,0,0,0 electronvolt | u 1.66053906660e-27 0,1,0,0,0,0,0 amu dalton
cal* 4.184 2,1,-2,0,0,0,0 calorie | Wh* 3600 2,1,-2,0,0,0,0 watthour | erg 1e-7 2,1,-2,0,0,0,0 erg
dyn 1e-5 1,1,-2,0,0,0,0 dyne | G 1e-4 0,1,-2,-1,0,0,0 gauss | D 3.33564e-30 1,0,1,1,0,0,0 debye
bar* 100000 -1,1,-2,0,0,0,0 bar | atm 101325 -1,1,-2,0,0,0,0 atmosphere | torr 20265/152 -1,1,-2,0,0,0,0 torr
mmHg 133.322387415 -1,1,-2,0,0,0,0 mmhg | psi 6894.757293168361 -1,1,-2,0,0,0,0 psi
angstrom 1e-10 1,0,0,0,0,0,0 angstrom ångström | au 149597870700 1,0,0,0,0,0,0 au
ly* 9460730472580800 1,0,0,0,0,0,0 lightyear | pc* 3.0856775814913673e16 1,0,0,0,0,0,0 parsec
in 0.0254 1,0,0,0,0,0,0 inch inche | ft 0.3048 1,0,0,0,0,0,0 foot feet | yd 0.9144 1,0,0,0,0,0,0 yard
mi 1609.344 1,0,0,0,0,0,0 mile | mph 0.44704 1,0,-1,0,0,0,0 mph | lb 0.45359237 0,1,0,0,0,0,0 pound
oz 0.028349523125 0,1,0,0,0,0,0 ounce | lbf 4.4482216152605 1,1,-2,0,0,0,0 lbf
hp 745.69987158227022 2,1,-3,0,0,0,0 horsepower | degC 1 0,0,0,0,1,0,0 celsius | degF 5/9 0,0,0,0,1,0,0 fahrenheit
"""
_OFFSETS = {"degC": Fraction("273.15"), "degF": Fraction("273.15") - 32 * Fraction(5, 9)}
_PREFIXES = dict(
    zip(
        ["Y", "Z", "E", "P", "T", "G", "M", "k", "h", "da", "d", "c", "m", "u", "n", "p", "f", "a", "z", "y"],
        [*range(24, 2, -3), 2, 1, -1, -2, *range(-3, -25, -3)],
        strict=True,
    )
)
_PREFIX_WORDS = dict(
    zip(
        ["tera", "giga", "mega", "kilo", "hecto", "deci", "centi", "milli", "micro", "nano", "pico", "femto"],
        ["T", "G", "M", "k", "h", "d", "c", "m", "u", "n", "p", "f"],
        strict=True,
    )
)

_PLAIN: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), into)
    for pattern, into in (
        (r"\\(?:text|textrm|mathrm|mathit|mbox|rm|operatorname|si|unit|left|right|displaystyle)(?![a-zA-Z])", ""),
        (r"\\[ ,;:!]|~|\\q?quad|\\?\$", " "),
        (r"(?:\^\s*\{?\s*\\circ\s*\}?|\\degree|°|º)\s*\{?\s*([CF])\b", r" deg\1"),
        (r"(?i)\bdeg(?:rees?)?\s+(?:celsius|c)\b", "degC"),
        (r"(?i)\bdeg(?:rees?)?\s+(?:fahrenheit|f)\b", "degF"),
        (r"℃", "degC"),
        (r"\^\s*\{?\s*\\circ\s*\}?|\\degree|°|º", " deg "),
        (r"\\mu\s?|[µμ]", "u"),
        (r"\\Omega|[ΩΩ]", "ohm"),
        (r"\\(?:AA|mathring\{A\})|Å", "angstrom"),
        (r"\\%", "%"),
        (r"\\(?:cdot|times|ast)\b|[·⋅×•*]", " * "),
        (r"\\[dt]?frac\s*\{([^{}]{0,60})\}\s*\{([^{}]{0,60})\}", r"(\1)/(\2)"),
        (r"(?i)\bper\b", "/"),
        (r"(?i)\b(?:square|sq\.?)\s+([a-z]+)", r"\1^2"),
        (r"(?i)\bcubic\s+([a-z]+)", r"\1^3"),
        (r"(?i)\s+squared\b", "^2"),
        (r"(?i)\s+cubed\b", "^3"),
        (r"\^\s*[{(]\s*([-−+]?\s*\d{1,2})\s*[})]", r"^\1"),
        (r"−", "-"),
        (r"[{}]", " "),
        (r"\*\s*\*", "^"),
        (r"(?i)\b(light|electron|watt)[ -](year|volt|hour)", r"\1\2"),
        (r"(?i)(?<=kilo)watt-?hour", "watthour"),
    )
)
_SUPERSCRIPT = re.compile(r"[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_DIGITS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_TOKEN = re.compile(r"\s*(?:([A-Za-zÅåö%]+)\s*(?:\^\s*([-+]?\s*\d{1,2})(?!\d)|(-\d)(?!\d))?|(1)(?=\s*/)|([*/()]))\s*")


def _table() -> tuple[dict[str, Unit], dict[str, str], frozenset[str]]:
    symbols: dict[str, Unit] = {}
    words: dict[str, str] = {}
    prefixed = set()
    for entry in _TABLE.replace("\n", "|").split("|"):
        if not entry.strip():
            continue
        name, scale, exponents, *names = entry.split()
        symbol = name.rstrip("*")
        dimension = tuple(map(int, exponents.split(",")))
        symbols[symbol] = Unit(Fraction(scale), dimension, _OFFSETS.get(symbol, Fraction(0)))
        words |= dict.fromkeys(names, symbol)
        if name.endswith("*"):
            prefixed.add(symbol)
    return symbols, words, frozenset(prefixed)


_SYMBOLS, _WORDS, _PREFIXED = _table()


@lru_cache(maxsize=8192)
def read_unit(text: str) -> Unit | None:
    """The unit that a text names, `ONE` for an empty text, None where any part of it is not known."""
    if len(text) > _LONGEST:
        return None
    plain = _plain(text)
    if (alone := _lookup(plain.strip())) is not None:
        return alone
    factors = _factors(plain)
    return None if factors is None else _product(factors)


def _plain(text: str) -> str:
    text = _SUPERSCRIPT.sub(lambda m: "^" + m[0].translate(_DIGITS), text)
    for pattern, into in _PLAIN:
        text = pattern.sub(into, text)
    return text


def _factors(text: str) -> list[tuple[Unit, int]] | None:
    """(unit, exponent) pairs of a product; everything behind a slash divides, until its bracket or another one."""
    found: list[tuple[Unit, int]] = []
    place, sign, outer = 0, 1, [1]
    while place < len(text.rstrip()):
        token = _TOKEN.match(text, place)
        if token is None or token.end() == place or len(found) > _FACTORS:
            return None
        place = token.end()
        name, power, tight, _, mark = token.groups()
        if name is not None:
            unit = _lookup(name)
            exponent = int((power or tight or "1").replace(" ", ""))
            if unit is None or abs(exponent) > _POWER:
                return None
            found.append((unit, sign * exponent))
        elif mark == "(":
            outer.append(sign)
        elif mark == ")":
            if len(outer) == 1:
                return None
            outer.pop()
            sign = outer[-1]
        elif mark == "/":
            sign = -outer[-1]
    return found if len(outer) == 1 else None


def _product(factors: list[tuple[Unit, int]]) -> Unit:
    scale, dimension = Fraction(1), ONE.dimension
    for unit, power in factors:
        scale *= unit.scale**power
        dimension = tuple(a + power * b for a, b in zip(dimension, unit.dimension, strict=True))
    return Unit(scale, dimension)


@lru_cache(maxsize=8192)
def _lookup(name: str) -> Unit | None:
    """A single unit by symbol, prefixed symbol, word, plural or prefixed word."""
    if name in _SYMBOLS:
        return _SYMBOLS[name]
    for length in (2, 1):
        prefix, symbol = name[:length], name[length:]
        if prefix in _PREFIXES and symbol in _PREFIXED:
            return _scaled(symbol, prefix)
    word = name.lower()
    for spelled in (word, word.removesuffix("s")):
        if spelled in _WORDS:
            return _SYMBOLS[_WORDS[spelled]]
        for prefix, short in _PREFIX_WORDS.items():
            rest = spelled.removeprefix(prefix)
            if rest != spelled and _WORDS.get(rest) in _PREFIXED:
                return _scaled(_WORDS[rest], short)
    return None


def _scaled(symbol: str, prefix: str) -> Unit:
    unit = _SYMBOLS[symbol]
    return unit._replace(scale=unit.scale * Fraction(10) ** _PREFIXES[prefix])
