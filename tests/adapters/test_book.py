"""Problems by id, and errors that show ids only."""

from __future__ import annotations

from pathlib import Path

import pytest
from teas import CANARY, PROBLEMS, write_problems

from exprl.adapters import Book
from exprl.errors import DataError
from exprl.types import Problem, Reference


def test_a_book_is_made_of_problems_a_file_or_another_book(tmp_path: Path) -> None:
    book = Book.of(PROBLEMS)
    assert Book.of(book) is book
    assert Book.of(write_problems(tmp_path / "p.jsonl")).find("teas", "x").reference == PROBLEMS[0].reference
    assert repr(book) == "Book(2 problems)"


def test_an_unknown_id_is_an_error_that_names_it() -> None:
    with pytest.raises(DataError, match="TRL asks for problem 'tees', which is not among the 2") as caught:
        Book.of(PROBLEMS).find("tees", "TRL")
    assert CANARY not in str(caught.value)


def test_two_problems_of_one_id_are_refused() -> None:
    other = Problem("teas", "Another", Reference(None, "1"))
    with pytest.raises(DataError, match="two problems have the id 'teas'"):
        Book([PROBLEMS[0], other])


def test_whole_numbers_name_problems_too() -> None:
    assert Book([Problem("7", "q", Reference(None, "1"))]).find(7, "Inspect").id == "7"
