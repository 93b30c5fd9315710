"""The program of a trace is its last complete block of code, or all of it where it is bare code."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.verify.code.extract import extract_program

F = "def f(x):\n    return x\n"


@pytest.mark.parametrize("word", ["python", "py", "python3", "Python", ""])
def test_a_fenced_block_is_the_program(word: str) -> None:
    assert extract_program(f"Idea.\n```{word}\n{F}```\nDone.") == F
    assert extract_program(f"~~~{word}\n{F}~~~") == F
    assert extract_program(f"````{word}\r\n{F}````") == F


def test_the_last_of_several_blocks_counts_and_blocks_of_other_languages_do_not() -> None:
    trace = (
        f"```python\nold()\n```\nbetter:\n```python\n{F}```\nIt prints\n```text\n7\n```\n```bash\npip install x\n```"
    )
    assert extract_program(trace) == F
    assert extract_program("```text\n7\n```") is None


def test_an_empty_block_replaces_nothing() -> None:
    assert extract_program(f"```python\n{F}```\n```python\n\n```") == F


def test_a_block_cut_short_counts_where_no_complete_one_stands() -> None:
    assert extract_program(f"Idea.\n```python\n{F}") == F
    assert extract_program(f"```python\n{F}```\nor\n```python\ndef g(") == F
    assert extract_program("```python") is None


def test_a_block_that_was_never_closed_does_not_swallow_the_next() -> None:
    assert extract_program(f"```python\nold(\n\n```python\n{F}```") == F


def test_bare_code_is_the_program_and_prose_is_none() -> None:
    for code in (
        F,
        f"# a comment\n\nimport math\n{F}",
        "    return x\n",
        "x = 1\nprint(x)\n",
        "class Solution:\n    pass",
    ):
        assert extract_program(code) == code
    assert extract_program("The answer is 7.") is None
    assert extract_program("") is None


@given(st.text(alphabet="`~py \nx", max_size=300))
def test_no_text_breaks_it(trace: str) -> None:
    program = extract_program(trace)
    assert program is None or program in trace


def test_a_long_trace_costs_little() -> None:
    start = time.process_time()
    extract_program("```python\n" * 50_000 + "`" * 500_000)
    assert time.process_time() - start < 2.0
