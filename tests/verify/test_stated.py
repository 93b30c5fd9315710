"""Answers stated in words: the last one counts, and only where it cannot be read in two ways."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exprl.verify import extract_answer
from exprl.verify.stated import balanced, stated_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 7.", "7"),
        ("The final answer is $\\frac{1}{2}$.", "$\\frac{1}{2}$"),
        ("**Final Answer**\n\n$7$", "$7$"),
        ("**Answer:** 7\n\nThis follows from the sum.", "7"),
        ("The answer is therefore 7.", "7"),
        ("The answer to this problem is 12.", "12"),
        ("The answer is 3.5 kg.", "3.5 kg"),
        ("The answer is $$\n\\frac{1}{2}\n$$", "$$\n\\frac{1}{2}\n$$"),
        ("The answer is $2^{25} \\cdot 26!$.", "$2^{25} \\cdot 26!$"),
        ("The answer is 6. No: the answer is 7.", "7"),
        ("#### 6\n#### 7", "7"),
        ("<answer>\n7\n</answer>", "7"),
        ("<think>The answer is 6.</think>The answer is 7.", "7"),
        ("so\n\n7", "7"),
        ("so\n\n$x + 7$", "$x + 7$"),
    ],
)
def test_a_plain_statement_is_read(text: str, answer: str) -> None:
    assert stated_answer(text) == answer
    assert extract_answer(text, stated=True) == answer
    assert extract_answer(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "It is 7.",
        "The answer is not 7.",
        "The answer isn't 7.",
        "If the answer is 7, we stop.",
        "Check whether the answer is 7.",
        "I doubt the answer is 7.",
        "The answer is 7?",
        "The answer is 7. Wait, no.",
        "The answer is 7. Actually it is 8.",
        "<think>The answer is 7.",
        "<think>6</think> 1 + 6 = <think> the answer is 7",
        "The answer is } 7 {.",
        "The answer is {7.",
        "<answer>7",
        "The answer is " + "7" * 1001,
        "The answer 7",
    ],
)
def test_what_can_be_read_in_two_ways_states_nothing(text: str) -> None:
    assert stated_answer(text) is None


def test_a_box_beats_words_even_when_it_is_empty() -> None:
    assert extract_answer("\\boxed{8} The answer is 7.", stated=True) == "8"
    assert extract_answer("\\boxed{} The answer is 7.", stated=True) == ""


@settings(deadline=None)
@given(st.text(alphabet="answer is:.{}$\\[]<>#7\n ", max_size=120))
def test_what_is_stated_stands_in_the_text_and_is_balanced(text: str) -> None:
    answer = stated_answer(text)
    assert answer is None or (answer in text and balanced(answer) and answer)


@pytest.mark.parametrize(
    "text",
    [
        "answer is " * 10**5,
        "answer to " * 10**5,
        "$" * 10**6,
        "answer is \\[" + "x" * 10**6,
        "<answer>" * 10**5,
        " " * 10**6,
    ],
)
def test_a_megabyte_takes_less_than_two_seconds(text: str) -> None:
    start = time.perf_counter()
    stated_answer(text)
    assert time.perf_counter() - start < 2
