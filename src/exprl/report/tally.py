"""Evaluation samples, counted without being kept: how many were graded, right, truncated, unscored.

A sample without a verdict is counted apart: it lowers its problem's number of tries and is never a wrong one.

    >>> tally = Tally()
    >>> tally.add({"question_id": "p", "correct": None, "tokens": 90})
    >>> tally.samples, tally.unscored, tally.tries
    (1, 1, 0)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from exprl.report.rows import Row, number, read_rows, string
from exprl.runs import is_done

__all__ = ["Tally", "read_tally"]


@dataclass(slots=True)
class Tally:
    """Evaluation samples, counted by problem: `graded[id]` samples have a verdict, `right[id]` of them are right.

    `done` says that the evaluation was finished, which is when `summary.json` takes it in.
    """

    graded: dict[str, int] = field(default_factory=dict)
    right: dict[str, int] = field(default_factory=dict)
    samples: int = 0
    tokens: int = 0
    truncated: int = 0
    unscored: int = 0
    done: bool = False

    @property
    def solved(self) -> int:
        """Problems with at least one right sample."""
        return sum(count > 0 for count in self.right.values())

    @property
    def tries(self) -> int:
        """Graded samples a problem (the largest count, should they differ)."""
        return max(self.graded.values(), default=0)

    def add(self, row: Row) -> None:
        """Count one row of a samples file."""
        question, correct = string(row, "question_id"), number(row, "correct")
        self.samples += 1
        self.tokens += int(number(row, "tokens") or 0)
        self.truncated += bool(row.get("truncated"))
        self.unscored += correct is None
        self.graded[question] = self.graded.get(question, 0) + (correct is not None)
        self.right[question] = self.right.get(question, 0) + (correct is not None and correct > 0.5)


def read_tally(path: Path) -> Tally:
    """Count a samples file, streamed; all zeros where there is none."""
    tally = Tally(done=is_done(path.parent))
    for _, row in read_rows(path):
        tally.add(row)
    return tally
