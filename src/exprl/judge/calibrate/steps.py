"""Traces with step labels, and the references that they are joined with.

A row is one of ProcessBench's: `id`, `problem`, `steps` (a list of texts) and `label`, the 0-based index of the first
wrong step, -1 where all are right. These sets hold no references, so they are looked up by problem text in files of
problems (`id`, `problem`, `solution`, `answer`); a row's own `reference` goes first. A trace whose problem is in none of them
is counted and left out, never judged without.

The trace is the steps with a blank line between them; prefix t ends where step t does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from exprl.config import ColumnMap, SourceConfig
from exprl.data.load import load_problems
from exprl.data.overlap import normalise
from exprl.data.rows import Row, read_rows
from exprl.errors import DataError
from exprl.judge.calibrate.labelled import missing_column
from exprl.types import Domain, Problem, Reference, Submission

__all__ = ["Trace", "TraceSet", "load_references", "load_traces"]


@dataclass(frozen=True, slots=True)
class Trace:
    """Steps with the index of the first wrong one; None where all are right."""

    id: str
    problem: Problem
    steps: tuple[str, ...]
    first_error: int | None

    @property
    def submission(self) -> Submission:
        """All prefixes that end with a step."""
        cuts, end = [], -2
        for step in self.steps:
            end += 2 + len(step)
            cuts.append(end)
        return Submission(self.problem, self.id, "\n\n".join(self.steps), tuple(cuts), "prefix")


@dataclass(frozen=True, slots=True)
class TraceSet:
    """The traces that can be judged, and how many more there were without a reference."""

    traces: tuple[Trace, ...]
    without_reference: int


def load_references(paths: Sequence[Path], domain: Domain) -> dict[str, Reference]:
    """References by normalised problem text; the first file that has a problem wins.

    Raises:
        DataError: a file that cannot be used.
    """
    found: dict[str, Reference] = {}
    for path in paths:
        for problem in load_problems(SourceConfig(path=str(path), domain=domain)):
            if problem.reference.has_solution:
                found.setdefault(normalise(problem.text), problem.reference)
    return found


def load_traces(path: Path, references: Mapping[str, Reference], domain: Domain) -> TraceSet:
    """Read step-labelled traces and give each its reference.

    Raises:
        DataError: whatever cannot be used, with its place.
    """
    source = SourceConfig(path=str(path), domain=domain)
    first = next(iter(read_rows(source)), None)
    if first is not None and "reference" in first.cells:
        source = source.model_copy(update={"columns": ColumnMap(solution="reference")})
    problems = load_problems(source)
    traces = [_trace(p, row, references) for p, row in zip(problems, read_rows(source), strict=True)]
    judged = tuple(trace for trace in traces if trace.problem.reference.has_solution)
    return TraceSet(judged, len(traces) - len(judged))


def _trace(problem: Problem, row: Row, references: Mapping[str, Reference]) -> Trace:
    if not problem.reference.has_solution and (found := references.get(normalise(problem.text))) is not None:
        problem = replace(problem, reference=found)
    steps = _steps(row)
    return Trace(problem.id, problem, steps, _first_error(row, len(steps)))


def _steps(row: Row) -> tuple[str, ...]:
    if "steps" not in row.cells:
        raise missing_column(row, "steps")
    steps = row.cells["steps"]
    if not isinstance(steps, list) or not steps or not all(isinstance(step, str) for step in steps):
        raise DataError(f"{row.where}, column 'steps': expected a list of at least one text")
    return tuple(steps)


def _first_error(row: Row, steps: int) -> int | None:
    if "label" not in row.cells:
        raise missing_column(row, "label")
    label = row.cells["label"]
    if isinstance(label, bool) or not isinstance(label, int) or not -1 <= label < steps:
        shown = label if isinstance(label, int) else type(label).__name__
        raise DataError(
            f"{row.where}, column 'label': expected the index of the first wrong step, -1 to {steps - 1}, found {shown}"
        )
    return None if label < 0 else label
