"""Equations in lines: what is claimed, and whether it holds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exprl.judge.milestone.claims import Claim, claims_of, lines, standing


def told(line: str) -> list[tuple[object, object, bool]]:
    return [(claim.key, claim.result, claim.holds) for claim in claims_of(line)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Natalia sold 48/2 = 24 clips in May.", [(24, 24, True)]),
        ("37+25=62 ", [(62, 62, True)]),
        ("12+5=16", [(17, 16, False)]),
        ("16 - 3 = <<16-3=13>>13 ducks", [(13, 13, True)]),
        (r"So $a+b = -3+3=\boxed{0}$.", [(0, 0, True)]),
        ("5*3 + 2 = 15 + 2 = 17", [(17, 17, True), (17, 17, True)]),
        ("8*2 = 16 and 16+4 = 20", [(16, 16, True), (20, 20, True)]),
        ("10/3 = 3.33", [(pytest.approx(10 / 3), pytest.approx(3.33), True)]),
        ("10/3 = 3", [(pytest.approx(10 / 3), 3, False)]),
        (r"1/2 + 1/4 = \frac{3}{4}", [(0.75, 0.75, True)]),
        ("20/80 = 25%", [(0.25, 0.25, True)]),
        ("20/80*100 = 25%", [(25, 25, True)]),
        ("rev(4125)=5214", [("rev(4125)", 5214, False)]),
        ("so rev( 41 ) + 1 = 15", [("rev(41)+1", 15, False)]),
        ("reverse 4125 = 5214", [("reverse4125", 5214, False)]),
        ("24 = 24", []),
        ("x = 5", []),
        ("= 24", []),
        ("48/2 = 24 + 1 more", []),
    ],
)
def test_a_line_claims(line: str, expected: list[tuple[object, object, bool]]) -> None:
    assert told(line) == expected


def test_only_lines_with_an_equals_sign_are_lines_and_hashes_end_them() -> None:
    text = "one\n1+1=2 ###2+2=4\nlast"
    assert [text[line.start : line.end] for line in lines(text)] == ["1+1=2 ", "2+2=4"]


def stands(*stated: str) -> list[bool]:
    return standing([claim for line in stated for claim in claims_of(line)])


def test_the_last_result_of_a_left_side_stands() -> None:
    assert stands("12+5=16", "12+5=17") == [False, True]
    assert stands("12+5=17", "5+12=18") == [False, True]
    assert stands("12+5=17", "2+2=4", "12+5=17") == [True, True, True]


def test_a_left_side_with_more_than_three_results_has_none() -> None:
    assert stands("12+5=14", "12+5=15", "12+5=17") == [False, False, True]
    assert stands("12+5=14", "12+5+0=15", "5+12=16", "12+5=17") == [False, False, False, False]


@settings(deadline=None)
@given(st.text(alphabet="0123456789+-*/()=. \\frac{}%x$a", max_size=120))
def test_no_line_raises(line: str) -> None:
    assert all(isinstance(claim, Claim) for claim in claims_of(line))
