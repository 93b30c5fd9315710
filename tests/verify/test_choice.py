"""ChoiceVerifier: letters and texts, the last statement, denials; ambiguity is unscored, never wrong or right."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.types import Problem, Reference, Verdict
from exprl.verify.choice import ChoiceVerifier
from exprl.verify.options import read_options

TEXTS = {"A": "29.48%", "B": "10.39%", "C": "a good conductor", "D": "78.51%"}
LISTED = "\n".join(f"{letter}: {text}" for letter, text in TEXTS.items())
QUESTION = f"Which?\n\n{LISTED}\nPlease reason step by step."


def grade(text: str, gold: str | None = "B", question: str = QUESTION, options: str = "") -> Verdict:
    problem = Problem("p", question, Reference(None, gold), "science", {"options": options})
    return ChoiceVerifier().verify([(problem, text)])[0]


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{B}",
        "\\boxed{b}",
        "\\boxed{\\textbf{(B)}}",
        "\\boxed{\\text{B. 10.39\\%}}",
        "\\boxed{10.39\\%}",
        "Answer: Option B",
        "The answer is **B**.",
        "The answer is (B) 10.39%.",
        "The correct answer is B) 10.39%",
        "<answer>\nB\n</answer>",
        "I choose option (b).",
        "It is not A. B is correct.",
        "The answer is not A but B.",
        "The answer is B, not A.",
        "The answer is B rather than A.",
        "The correct answer is neither A nor C, but B.",
        "The answer is B because A is wrong.",
        "The answer is A. No: the answer is B.",
        "\\boxed{A} no, \\boxed{B}",
        LISTED + "\nThe answer is B.",
        LISTED + "\n\nB",
        "B. 10.39%",
        "<think>The answer is A.</think>The answer is B.",
    ],
)
def test_a_choice_is_read(text: str) -> None:
    assert grade(text).score == 1.0
    assert grade(text, "D").score == 0.0


@pytest.mark.parametrize(
    "text",
    [
        LISTED,
        "The answer is A or B.",
        "Either A or B is correct.",
        "\\boxed{A or B}",
        "\\boxed{B. 29.48\\%}",
        "\\boxed{E}",
        "\\boxed{42}",
        "The answer is none of the above.",
        "\\boxed{" + "A B C D " * 400 + "}",
    ],
)
def test_what_chooses_no_one_option_is_unscored(text: str) -> None:
    verdict = grade(text)
    assert verdict.score is None
    assert verdict.unscored is not None
    assert "10.39" not in verdict.unscored


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "If the answer is B, then ...",
        "I don't think B is correct.",
        "<think>The answer is B.",
        "\\boxed{A, B}",
    ],
)
def test_what_states_nothing_or_too_much_is_wrong(text: str) -> None:
    assert grade(text).score == 0.0


def test_several_letters_are_a_set() -> None:
    for text in ("\\boxed{A, C}", "\\boxed{C and A}", "\\boxed{AC}", "The answer is (A) and (C)."):
        assert grade(text, "A, C").score == 1.0
    assert grade("\\boxed{A}", "AC").score == 0.0
    assert grade("\\boxed{A, B, C}", "AC").score == 0.0


def test_the_stored_answer_may_be_text_and_an_unknown_one_is_unscored() -> None:
    assert grade("\\boxed{B}", "10.39%").score == 1.0
    assert grade("\\boxed{B}", "(B) 10.39%").score == 1.0
    assert grade("\\boxed{B}", "no such option").unscored == "the stored answer names no option"
    assert grade("\\boxed{B}", None).unscored == "no stored answer"


def test_equal_option_texts_are_ambiguous_and_their_letters_are_not() -> None:
    question = "Which?\nA. 8 s\nB. 2 s\nC. 8 s"
    assert grade("\\boxed{8 s}", "A", question).score is None
    assert grade("\\boxed{A}", "A", question).score == 1.0
    assert grade("\\boxed{C}", "A", question).score == 0.0


@pytest.mark.parametrize(
    "question",
    [
        "Q\nA. one\nB. two",
        "Q\n(A) one\n(B) two",
        "Q\nA) one\nB) two",
        "Q\na: one\nb: two",
        r"$\textbf{(A)}\ one \qquad \textbf{(B)}\ two$",
    ],
)
def test_options_are_read_from_the_question(question: str) -> None:
    assert read_options(question) == {"A": "one", "B": "two"}


def test_options_may_stand_in_a_column() -> None:
    for options in ('["one", "two"]', '{"A": "one", "B": "two"}', "A. one\nB. two"):
        assert grade("\\boxed{two}", "B", "Which?", options).score == 1.0


@given(st.sampled_from("ABCD"), st.sampled_from("ABCD"), st.sampled_from(["{}", "({})", "Option {}", "**{}**"]))
def test_the_last_of_two_statements_wins(first: str, last: str, form: str) -> None:
    text = f"The answer is {form.format(first)}. Then again, the answer is {form.format(last)}."
    assert grade(text, last).score == 1.0
    assert grade(text, "ABCD"[("ABCD".index(last) + 1) % 4]).score == 0.0


@given(st.text(max_size=80))
def test_no_text_raises(text: str) -> None:
    grade(text)
    grade("\\boxed{" + text + "}")
    read_options(text)


@pytest.mark.parametrize("text", ["A is correct " * 80_000, "not A " * 160_000, "(A) " * 250_000, "A. x\n" * 200_000])
def test_a_megabyte_takes_less_than_two_seconds(text: str) -> None:
    start = time.perf_counter()
    grade(text)
    assert time.perf_counter() - start < 2
