"""Units and amounts: exact factors, prefixes, products; unknown words are not guessed."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.verify.amounts import read_amount
from exprl.verify.units import ONE, read_unit


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("N", r"\mathrm{kg}\cdot\mathrm{m}/\mathrm{s}^2"),
        ("J", "N m"),
        ("V", "J/C"),
        ("T", "Wb/m^2"),
        ("Hz", "s^{-1}"),
        ("J/(mol K)", r"J \cdot mol^{-1} \cdot K^{-1}"),
        ("m/s^2", "m s⁻²"),
        ("m/s", "meters per second"),
        ("cm^3", "mL"),
        ("μm", r"\mu m"),
        ("Ω", "ohms"),
        ("°C", "degrees Celsius"),
        ("min", "minutes"),
        ("kWh", "kilowatt hours"),
        ("L", "dm^3"),
        ("", "rad"),
    ],
)
def test_one_unit_has_many_spellings(one: str, other: str) -> None:
    assert read_unit(one) == read_unit(other)
    assert read_unit(one) is not None


@pytest.mark.parametrize(
    ("unit", "scale"), [("km/h", "5/18"), ("eV", "1.602176634e-19"), ("in", "0.0254"), ("%", "1/100")]
)
def test_factors_are_exact(unit: str, scale: str) -> None:
    found = read_unit(unit)
    assert found is not None
    assert found.scale == Fraction(scale)


@pytest.mark.parametrize("unit", ["furlongs", "m^99", "((m)", "m)", "apples", "x y z", "m " * 99, "__import__('os')"])
def test_what_is_not_known_is_not_guessed(unit: str) -> None:
    assert read_unit(unit) is None


def test_case_tells_milli_from_mega_and_nothing_is_one() -> None:
    assert read_unit("mW") != read_unit("MW")
    assert read_unit("") == ONE


@pytest.mark.parametrize(
    ("text", "value", "digits"),
    [
        ("3", 3.0, 1),
        ("-4.50e-7 C", -4.5e-7, 3),
        ("1,440 J", 1440.0, 3),
        (r"1.20\times10^{-3}\ \mathrm{km/s}", 1.2, 3),
        ("6.02×10²³", 6.02e23, 3),
        ("5.36 x 10^(-4) Tesla", 5.36e-4, 3),
        (r"\frac{1}{2} m", 0.5, 0),
        (r"$v \approx 3\ \text{m/s}$.", 3.0, 1),
        ("10^{5} Pa", 1e5, 0),
        ("1500", 1500.0, 2),
    ],
)
def test_an_amount_is_read_with_its_precision(text: str, value: float, digits: int) -> None:
    amount = read_amount(text)
    assert amount is not None
    assert float(amount.si) == pytest.approx(value)
    assert amount.digits == digits


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m",
        "3 4",
        "3 m 4 s",
        "3e999999999",
        "1" * 300,
        "2^{3}",
        "1 1/2",
        "3,5 m",
        "5!",
        "1/0",
        "2\\pi",
        "-",
        "9^{9^9}",
    ],
)
def test_what_is_not_one_amount_is_not_read(text: str) -> None:
    assert read_amount(text) is None


@given(st.integers(-(10**9), 10**9), st.sampled_from(["m", "km", "s", "J", "kg m/s", ""]))
def test_a_written_amount_is_read_back(number: int, unit: str) -> None:
    amount = read_amount(f"{number} {unit}")
    assert amount is not None
    assert amount.value == number
    assert amount.unit == read_unit(unit)


@given(st.text(max_size=60))
def test_no_text_raises(text: str) -> None:
    read_unit(text)
    read_amount(text)
