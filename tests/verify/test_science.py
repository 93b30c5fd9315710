"""ScienceVerifier: units, tolerance, parts; what is not an amount is for the judge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.types import Problem, Reference, Verdict
from exprl.verify.parts import split_parts
from exprl.verify.science import ScienceVerifier


def grade(
    gold: str | None, text: str, verifier: ScienceVerifier | None = None, *, question: str = "?", unit: str = ""
) -> Verdict:
    problem = Problem("p", question, Reference(None, gold), "science", {"unit": unit})
    return (verifier or ScienceVerifier()).verify([(problem, text)])[0]


@pytest.mark.parametrize(
    "question",
    [
        "Give it in m/s.",
        "What is the speed in meters per second?",
        "How many m/s is it?",
        "Speed (in $\\mathrm{m/s}$)?",
    ],
)
def test_a_bare_number_counts_where_the_question_names_the_unit(question: str) -> None:
    assert grade("20 m/s", "\\boxed{20}", question=question).score == 1.0
    assert grade("20 m/s", "\\boxed{20}", question="How fast, in km/h?").score == 0.0
    assert grade("20 m/s", "\\boxed{20}", ScienceVerifier(bare="never"), question=question).score == 0.0
    assert grade("20 m/s", "\\boxed{20}", ScienceVerifier(bare="always")).score == 1.0


def test_a_unit_in_its_own_column_is_the_stored_unit() -> None:
    assert grade("20", "\\boxed{20}", unit="m/s").score == 1.0
    assert grade("20", "\\boxed{72 km/h}", unit="m/s").score == 1.0
    assert grade("20", "\\boxed{20 kg}", unit="m/s").score == 0.0


def test_the_tolerance_is_one_percent_or_what_the_stored_digits_state() -> None:
    assert [grade("1.00 m", f"\\boxed{{{x} m}}").score for x in ("1.01", "0.99", "1.011")] == [1, 1, 0]
    assert [grade("1.0000 m", f"\\boxed{{{x} m}}").score for x in ("1.0001", "1.0002")] == [1, 0]
    assert grade("1.00 m", "\\boxed{1.04 m}", ScienceVerifier(0.05)).score == 1.0
    assert grade("0", "\\boxed{0.001}").score == 0.0


def test_boxes_of_their_own_are_parts_and_labels_beat_order() -> None:
    assert grade("(a) 3 m (b) 5 s", "(a) \\boxed{3 m} (b) \\boxed{5 s}").score == 1.0
    assert grade("3 m; 5 s", "\\boxed{5 s; 3 m}").score == 0.0
    assert grade("(a) 3 m (b) 5 s", "\\boxed{(a) 3 m}").score == 0.0


def test_dense_is_the_share_of_right_parts() -> None:
    verifier = ScienceVerifier(dense=True)
    assert grade("(a) 3 m (b) 5 s", "\\boxed{(a) 3 m (b) 6 s}", verifier).score == 0.5
    assert grade("(a) 3 m (b) 5 s", "\\boxed{(a) 2 m (b) 6 s}", verifier).score == 0.0


def test_what_is_not_an_amount_is_for_the_judge() -> None:
    assert grade("it rises", "\\boxed{it goes up}").unscored == "needs the judge: the stored answer is not an amount"
    assert grade("3 m", "\\boxed{\\sqrt{9} m}").unscored == "needs the judge: the answer is not an amount"
    assert grade("it rises", "\\boxed{It rises}").score is None
    assert grade("it rises", "\\boxed{it rises}").score == 1.0
    assert grade(None, "\\boxed{3}").unscored == "no stored answer"
    assert grade("3 m", "I do not know").score == 0.0


@pytest.mark.parametrize(
    "bomb", ["1e999999999 m", "9^{9^{9^9}}", "(" * 3000, "a, " * 1300, "(a) " * 900, "1" * 10**6, "m " * 2000]
)
def test_bombs_are_not_computed(bomb: str) -> None:
    assert grade("3 m", "\\boxed{" + bomb + "}").score in (None, 0.0)


@given(st.lists(st.integers(1, 999), min_size=1, max_size=6))
def test_parts_are_found_again_in_every_form(numbers: list[int]) -> None:
    parts = [f"{number} m" for number in numbers]
    for text in ("; ".join(parts), "\n".join(parts), ", ".join(parts)):
        assert [part.text for part in split_parts(text)] == parts
    if len(parts) > 1:
        labelled = " ".join(f"({label}) {part}" for label, part in zip("abcdef", parts, strict=False))
        assert [part.text for part in split_parts(labelled)] == parts


@given(st.floats(1e-30, 1e30), st.sampled_from(["m/s", "J", "kg", "eV", "°C", "T"]))
def test_an_amount_equals_itself_and_not_its_double(value: float, unit: str) -> None:
    gold = f"{value:.3e} {unit}"
    assert grade(gold, f"The answer is {gold}.").score == 1.0
    assert grade(gold, f"\\boxed{{{2 * value:.3e} {unit}}}").score == 0.0


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_text_raises(gold: str, answer: str) -> None:
    grade(gold, "\\boxed{" + answer + "}")
