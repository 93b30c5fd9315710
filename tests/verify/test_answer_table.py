"""docs/answers.md says what is accepted: every row of its tables is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exprl.types import Problem, Reference
from exprl.verify import MathVerifier
from exprl.verify.choice import ChoiceVerifier
from exprl.verify.protocol import Verifier
from exprl.verify.science import ScienceVerifier

PAGE = Path(__file__).parents[2] / "docs" / "answers.md"
SCORES = {"right": 1.0, "wrong": 0.0, "unscored": None}
QUESTION = "Which?\nA. 29.48%\nB. 10.39%\nC. a good conductor\nD. none of these"


def rows(heading: str, columns: int) -> list[tuple[str, ...]]:
    """The cells of the table under a heading, up to and including the verdict."""
    section = PAGE.read_text(encoding="utf-8").split(f"## {heading}", 1)[1].split("\n## ", 1)[0]
    lines = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return [tuple(cell.strip().strip("`") for cell in line[:columns]) for line in lines]


def failures(verifier: Verifier, cases: list[tuple[str, str, str]], question: str = "?") -> list[str]:
    pairs = [(Problem("p", question, Reference(None, gold)), trace) for gold, trace, _ in cases]
    verdicts = verifier.verify(pairs)
    return [
        f"{gold!r} {trace!r}: {verdict.score}, not {told}"
        for (gold, trace, told), verdict in zip(cases, verdicts, strict=True)
        if verdict.score != SCORES[told]
    ]


def boxed(table: list[tuple[str, ...]]) -> list[tuple[str, str, str]]:
    return [(gold, f"\\boxed{{{answer}}}", told) for gold, answer, told in table]


def test_no_row_is_passed_over() -> None:
    text = PAGE.read_text(encoding="utf-8")
    found = [rows("Mathematics", 3), rows("Statements", 2), rows("Choices", 3), rows("Science", 3)]
    assert sum(map(len, found)) == len(re.findall(r"^\| `", text, re.MULTILINE)) > 100


def test_the_tables_of_mathematics_and_of_statements_hold() -> None:
    pytest.importorskip("math_verify", reason="math-verify is in the 'eval' extra")
    cases = [*boxed(rows("Mathematics", 3)), *(("7", trace, told) for trace, told in rows("Statements", 2))]
    verifier = MathVerifier(timeout=4.0)
    try:
        assert failures(verifier, cases) == []
    finally:
        verifier.close()


def test_the_table_of_choices_holds() -> None:
    assert failures(ChoiceVerifier(), [(g, t, v) for g, t, v in rows("Choices", 3)], QUESTION) == []


def test_the_table_of_science_holds() -> None:
    assert failures(ScienceVerifier(), boxed(rows("Science", 3))) == []
