"""Labelled answers: what a judge is calibrated on.

A row of a .jsonl, .jsonl.gz or .parquet file holds `id`, `problem`, `reference`, `candidate` and `correct` (true or
false, 1 or 0), and may hold the stored `answer` and the `domain`. A row without a reference cannot be judged by one: it is
counted and left out. A subsample keeps the mix of labels, and is the same for the same seed.

What this module refuses, with file, line, column and remedy: what `exprl.data` refuses of problems, a candidate that is
no text, a label that is none, and a file in which all answers have the same label. The reference's text is in no message.

    >>> load_labelled(Path("gsm8k_judge_calibration.jsonl"), "math").rows[0].correct  # doctest: +SKIP
    False
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from exprl.config import ColumnMap, SourceConfig
from exprl.data.load import load_problems
from exprl.data.rows import Row, read_rows
from exprl.errors import DataError
from exprl.types import Domain, Problem

__all__ = ["Labelled", "LabelledSet", "load_labelled", "missing_column", "source_of", "subsample", "text_in"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Labelled:
    """One answer to a problem, with the truth about it."""

    id: str
    problem: Problem
    candidate: str
    correct: bool


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """The rows that can be judged, and how many more there were without a reference."""

    rows: tuple[Labelled, ...]
    without_reference: int


def load_labelled(path: Path, domain: Domain) -> LabelledSet:
    """Read labelled answers.

    Args:
        domain: of rows whose file has no `domain` column.
    Raises:
        DataError: whatever cannot be used, with its place.
    """
    source = source_of(path, domain)
    problems = load_problems(source)
    rows = [
        Labelled(problem.id, problem, text_in(row, "candidate"), _label(row))
        for problem, row in zip(problems, read_rows(source), strict=True)
    ]
    judged = tuple(row for row in rows if row.problem.reference.has_solution or row.problem.reference.has_answer)
    _require_both_labels(path, judged)
    return LabelledSet(judged, len(rows) - len(judged))


def subsample(rows: Sequence[_T], limit: int | None, seed: int, label: Callable[[_T], bool]) -> list[_T]:
    """At most `limit` rows with the mix of labels kept and both labels present, in the order of the file."""
    if limit is None or limit >= len(rows):
        return list(rows)
    groups = [[i for i, row in enumerate(rows) if label(row) is which] for which in (True, False)]
    if all(groups) and limit > 1:
        share = round(limit * len(groups[0]) / len(rows))
        sizes = [min(max(share, 1), limit - 1)]
    else:
        sizes = [limit if groups[0] else 0]
    sizes.append(limit - sizes[0])
    generator = random.Random(seed)
    taken = {i for group, size in zip(groups, sizes, strict=True) for i in generator.sample(group, len(group))[:size]}
    return [row for i, row in enumerate(rows) if i in taken]


def source_of(path: Path, domain: Domain, solution: str = "reference") -> SourceConfig:
    """The file as a source of problems; the `domain` column is used where the file has one."""
    source = SourceConfig(path=str(path), domain=domain, columns=ColumnMap(solution=solution))
    first = next(iter(read_rows(source)), None)
    if first is None:
        raise DataError(f"{path}: no rows; check the path")
    if "domain" not in first.cells:
        return source
    return source.model_copy(update={"columns": ColumnMap(solution=solution, domain="domain")})


def text_in(row: Row, column: str) -> str:
    """A text of a row, which may be empty.

    Raises:
        DataError: no such column, or no text in it.
    """
    value = row.cells.get(column, row)
    if value is row:
        raise missing_column(row, column)
    if not isinstance(value, str):
        raise DataError(f"{row.where}, column {column!r}: expected text, found {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise DataError(f"{row.where}, column {column!r}: holds half a surrogate pair; mend the escape") from None
    return value


def missing_column(row: Row, column: str) -> DataError:
    """An error that names the columns that there are."""
    names = ", ".join(str(name) for name in list(row.cells)[:12]) or "no columns"
    return DataError(f"{row.where}: no column {column!r}; it has {names}")


def _label(row: Row) -> bool:
    if "correct" not in row.cells:
        raise missing_column(row, "correct")
    value = row.cells["correct"]
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    shown = repr(value)[:40] if isinstance(value, str | int | float) else type(value).__name__
    raise DataError(f"{row.where}, column 'correct': expected true, false, 1 or 0, found {shown}")


def _require_both_labels(path: Path, rows: Sequence[Labelled]) -> None:
    if not rows:
        raise DataError(f"{path}: no row has a reference or an answer to judge by")
    labels = {row.correct for row in rows}
    if len(labels) == 1:
        which, other = ("correct", "wrong") if labels.pop() else ("wrong", "correct")
        raise DataError(f"{path}: all {len(rows)} answers are labelled {which}; add {other} ones to compare them with")
