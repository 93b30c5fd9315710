"""Boxes: the last balanced one is the answer, at any length and nesting."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exprl.verify import extract_answer
from exprl.verify.boxes import boxed


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{7}.", "7"),
        (r"\boxed{1} then \boxed{2}", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\text{a {b} c}}", r"\text{a {b} c}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed{ \boxed{ 5 } }", "5"),
        (r"\boxed{x = \boxed{5}}", r"x = \boxed{5}"),
        (r"\boxed{3} and \boxed{4", "3"),
        (r"\boxed{open \boxed{5}", "5"),
        (r"\fbox{6}", "6"),
        (r"{ stray \boxed{8} }", "8"),
        (r"} \boxed{9}", "9"),
        (r"\boxed{}", ""),
        (r"\boxed {4}", "4"),
    ],
)
def test_the_last_balanced_box_is_the_answer(text: str, answer: str) -> None:
    assert extract_answer(text) == answer


@pytest.mark.parametrize("text", ["", "7", r"\boxed{7", "boxed{7}", r"\boxed 7", "the answer is 7", "\boxed{7}"])
def test_without_a_balanced_box_there_is_no_answer(text: str) -> None:
    assert extract_answer(text) is None


@settings(deadline=None)
@given(st.text(alphabet="\\boxed{}5 ", max_size=80))
def test_every_content_is_balanced(text: str) -> None:
    for content in boxed(text):
        plain = content.replace("\\{", "").replace("\\}", "")
        assert plain.count("{") == plain.count("}")


@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{" * 10**5,
        r"\boxed{" * 10**5 + "}" * 10**5,
        r"\boxed{1}" * 10**5,
        "{" * 10**6,
        r"\boxed{a \boxed{b} " * 4 * 10**4,
    ],
    ids=["open", "nested", "many", "braces", "mixed"],
)
def test_a_megabyte_of_boxes_takes_a_second(text: str) -> None:
    start = time.perf_counter()
    extract_answer(text + "}" * 3)
    assert time.perf_counter() - start < 2
