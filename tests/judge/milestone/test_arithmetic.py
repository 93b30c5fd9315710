"""Written arithmetic: exact values by hand, and nothing that a text holds can raise or run away."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exprl.judge.milestone.arithmetic import Number, evaluate, tail, tokens


def value(text: str) -> Number | None:
    found = evaluate(tail(tokens(text)))
    return None if found is None else found.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("48/2", 24),
        ("2+3*4", 14),
        ("(2+3)*4", 20),
        ("10-4-3", 3),
        ("2^3^2", 512),
        ("-3+5", 2),
        ("8 + -4", 4),
        ("1,200 / 4", 300),
        ("0.1 + 0.2", Fraction(3, 10)),
        (".5 x 8", 4),
        ("25% of 80", 20),
        ("1/2*110", 55),
        ("3 × 4 ÷ 6", 2),
        (r"2 \times 3 \cdot 4", 24),
        (r"\left(2+3\right)\cdot 2", 10),
        ("2(3+4)", 14),
        ("(1+2)(3+4)", 21),
        ("5 x $100", 500),
        ("15 gallons – 3 gallons", 12),
        ("8 games x 2 hours per game", 16),
        ("5 meters at the 1st turn + 8 meters after the 2nd turn", 13),
        ("4 days * 5 pages/day", 20),
        ("a 120-page book, and 12 x 2", 24),
        ("She sold clips to 48 friends and 48/2", 24),
        ("- 48/2", 24),
    ],
)
def test_the_expression_at_the_end_of_a_text_has_its_value(text: str, expected: Number) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    "text", ["", "no number", "1/0", "0^-1", "2^99999", "9" * 31, "rev(41)", "1 +", "37%5", "2^0.5"]
)
def test_what_has_no_value_has_none(text: str) -> None:
    assert value(text) is None


def test_trivial_operations_give_no_results() -> None:
    for text in ("24+0", "0+24", "1*24", "24*1", "24/1", "24-0", "24^1", "0*7"):
        found = evaluate(tokens(text))
        assert found is not None
        assert found.results == ()


def test_every_intermediate_value_is_a_result() -> None:
    found = evaluate(tokens("48/2 + 48"))
    assert found is not None
    assert (found.operands, found.results) == ((48, 2, 48), (24, 72))


@settings(deadline=None)
@given(st.text(alphabet="0123456789+-*/^()[]{}.,%=xX of$\\frac ~@abc\n", max_size=200))
def test_no_text_raises(text: str) -> None:
    value(text)


@pytest.mark.parametrize("text", ["(" * 10**5 + "1" + ")" * 10**5, "1+" * 10**5 + "1", "9^" * 10**5 + "9", "1" * 10**6])
def test_hostile_expressions_cost_no_more_than_their_length(text: str) -> None:
    start = time.process_time()
    value(text)
    assert time.process_time() - start < 2


@settings(deadline=None)
@given(st.integers(1, 10**6), st.integers(1, 10**6), st.sampled_from("+-*/"))
def test_two_numbers_are_combined_exactly(left: int, right: int, symbol: str) -> None:
    expected = {"+": left + right, "-": left - right, "*": left * right, "/": Fraction(left, right)}[symbol]
    assert value(f"{left} {symbol} {right}") == expected
