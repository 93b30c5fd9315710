"""The exact path: what text and numbers decide without algebra."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exprl.verify.answer import Quantity, final_answers, matches, normalise, quantity


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("72", "72"),
        ("72", " 72. "),
        ("72", "$72$"),
        ("72", r"\(72\)"),
        ("72", "72.0"),
        ("72", "72 clips"),
        ("72", r"72\text{ clips}"),
        ("72", r"\$72"),
        ("72", "+72"),
        ("-5", "−5"),
        ("1,440", "1440"),
        ("2,\\!880", "2880"),
        ("1{,}000{,}000", "1000000"),
        ("0.5", "1/2"),
        ("0.5", ".50"),
        (r"\frac{1}{2}", r"\dfrac{2}{4}"),
        ("50", r"50\%"),
        ("60", r"60^\circ"),
        ("Monday", r"\text{monday}"),
        ("New York", "new  york"),
        (r"\left(2, 1\right)", "(2,1)"),
        (r"\sqrt{2}", r"\sqrt{2}"),
    ],
)
def test_equal_answers_match(gold: str, answer: str) -> None:
    assert matches(gold, answer) is True


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("72", "73"),
        ("72", "-72"),
        ("0.33", "1/3"),
        ("1,440", "1.440"),
        ("12345678901234567890", "12345678901234567891"),
        ("blue", "lube"),
        ("72", ""),
        ("72", "9" * 5000),
        ("72", "(" * 3000 + "72" + ")" * 3000),
        (r"5\text{ kg}", r"5\text{ g}"),
        (r"5\text{ MW}", r"5\text{ mW}"),
        (r"864 \mbox{ inches}^2", r"864 \text{ feet}^2"),
        (r"60^\circ", r"60 \text{ radians}"),
        (r"50\%", "50 kg"),
        ("7", "8=7"),
        ("7", "7, not 8"),
        ("4343_6", "4343_7"),
        ("(1,2)", r"\{2,1\}"),
    ],
)
def test_different_answers_do_not(gold: str, answer: str) -> None:
    assert matches(gold, answer) is False


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("2", "2x"),
        ("11/2", "1 1/2"),
        ("0.5", "50%"),
        ("5", "5 million"),
        ("2", "2 pi"),
        ("x+1", "1+x"),
        ("(1,2)", "(2,1)"),
        ("7", "1/0"),
        ("1024", "2^{10}"),
    ],
)
def test_what_takes_algebra_is_left_open(gold: str, answer: str) -> None:
    assert matches(gold, answer) is None


def test_a_mixed_number_is_never_an_improper_fraction() -> None:
    assert normalise("1 1/2") != normalise("11/2")
    assert quantity("1 1/2") is None


def test_quantities_are_exact_and_keep_their_unit() -> None:
    assert quantity("-1,200.50 Miles") == Quantity(Fraction(-2401, 2), "miles")
    assert quantity(r"25\%") == Quantity(Fraction(25), percent=True)


@settings(deadline=None)
@given(st.integers(-(10**12), 10**12), st.integers(1, 999))
def test_a_number_equals_itself_in_every_dress(whole: int, below: int) -> None:
    for dress in (f"{whole}", f"${whole}$", f"{whole:,}", f"{whole}.0", f"{whole} apples"):
        assert matches(str(whole), dress) is True
    assert matches(f"{abs(whole)}/{below}", f"\\frac{{{abs(whole)}}}{{{below}}}") is True
    assert matches(str(whole), str(whole + below)) is False


@settings(deadline=None)
@given(st.text(max_size=80), st.text(max_size=80))
def test_no_text_raises_and_equal_text_is_equal(gold: str, answer: str) -> None:
    matches(gold, answer)
    assert matches(gold, gold) is bool(gold.strip())


@pytest.mark.parametrize("answer", [" " * 10**6, "1" * 10**6, "{" * 10**6, "a " * 5 * 10**5, "1," * 5 * 10**5])
def test_a_megabyte_is_settled_at_once(answer: str) -> None:
    start = time.perf_counter()
    assert matches("7", answer) is False
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(
    "answer", ["1" * 1000, " " * 999 + "x", "a " * 500, "1," * 500, "\\frac" * 200, "-" * 1000, "1/" * 500]
)
def test_a_long_answer_within_the_limit_takes_no_time(answer: str) -> None:
    start = time.perf_counter()
    matches("7", answer)
    assert time.perf_counter() - start < 0.1


@pytest.mark.parametrize(
    ("solution", "answers"),
    [
        (r"3+4=7, so \boxed{8}", ("8",)),
        ("3+4=7\n#### 9", ("9",)),
        ("She sold 48+24 = 72 clips in April and May.", ("72",)),
        ("She earned 2*5 = $1,010.50 in 3 days.", ("1,010.50", "3")),
        ("There are 12.", ("12",)),
        ("None.", ()),
    ],
)
def test_a_solutions_own_answer_is_read_from_where_it_stands(solution: str, answers: tuple[str, ...]) -> None:
    assert final_answers(solution) == answers
