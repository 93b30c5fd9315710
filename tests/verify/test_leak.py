"""What an actor would read is checked for its reference, and no error says what was found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.errors import LeakError
from exprl.types import Reference
from exprl.verify.leak import LeakCheck

SOLUTION = (
    "Take the price of tea from the table, which is 4, and multiply it by the 3 cups that were ordered: 12 francs."
)
QUESTION = "How much do 3 cups of tea cost?"


def check(solution: str | None = SOLUTION, answer: str | None = "12 francs", tests: str | None = None) -> LeakCheck:
    return LeakCheck(Reference(solution, answer, tests), QUESTION)


def test_eight_words_of_the_solution_in_a_row_are_found_in_any_dress() -> None:
    text = "hint: the TABLE,\nwhich  is 4 -- and multiply it by the 3 cups..."
    assert check().finds(text) == "words of the solution"
    assert check().finds("the table which is 4 and multiply") is None  # seven


def test_what_the_question_says_is_no_leak() -> None:
    own = LeakCheck(Reference("How much do 3 cups of tea cost? 12.", None), QUESTION)
    assert own.finds(QUESTION) is None


def test_a_short_solution_counts_as_a_whole() -> None:
    assert check("3*4 = 12", None).finds("try 3*4 = 12") == "words of the solution"
    assert check("42", None).finds("42") is None  # one word stands in too many texts


def test_a_long_answer_is_found_unless_a_tool_may_find_it() -> None:
    assert check(None).finds("It is 12  Francs.") == "the stored answer"
    assert check(None).finds("It is 12 francs.", answer=False) is None
    assert check(None, "12").finds("12") is None


def test_tests_are_hidden_too() -> None:
    tests = '[{"input": "1 2 3 4 5 6 7 8 9", "output": "45"}]'
    assert check(None, None, tests).finds("try 1 2 3 4 5 6 7 8") == "words of the tests"


def test_the_error_says_where_and_not_what() -> None:
    with pytest.raises(LeakError) as caught:
        check().refuse(SOLUTION, "message 3")
    assert "message 3 holds words of the solution" in str(caught.value)
    assert "francs" not in str(caught.value)
    assert "francs" not in repr(check())


@given(st.text(max_size=40), st.text(max_size=40))
def test_the_whole_solution_is_always_found(before: str, after: str) -> None:
    assert check().finds(f"{before} {SOLUTION} {after}") == "words of the solution"
