"""What a benchmark's samples say, counted from `samples.jsonl` and from nothing else.

    pass@k       the unbiased estimator over scored samples, with its bootstrap interval and standard errors
    unscored     samples without a verdict: in none of the numbers above, and never wrong
    truncated    samples that ran into the token budget; they are graded like the others (most state no answer)

Only the first n samples of the problems asked for count, so that a smaller call on a larger folder says what it would have
said alone.

    >>> count_samples(path, problems, n=128).unscored  # doctest: +SKIP
    0
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exprl.evaluate.advice import Advice, advise
from exprl.evaluate.benchmarks.errors import StandardError, standard_error
from exprl.evaluate.coverage import Counts, Coverage, coverage
from exprl.runs import iter_jsonl
from exprl.types import Problem

__all__ = ["Result", "Tally", "count_samples", "measure"]


@dataclass(frozen=True, slots=True)
class Tally:
    """Samples of one benchmark, counted."""

    counts: Counts
    samples: int
    unscored: int
    truncated: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark, measured. `errors` has one entry a k of `coverage.ks`."""

    name: str
    title: str
    origin: str
    verifier: str
    problems: int
    n: int
    tally: Tally
    coverage: Coverage
    errors: tuple[StandardError, ...]

    @property
    def advice(self) -> Advice | None:
        """What the coverage says should be done next; None where nothing was scored."""
        return advise(self.tally.counts) if self.tally.counts.scored_SP.any() else None

    def summary(self) -> dict[str, object]:
        """As `summary.json` and `--json` have it; None where there is nothing to take a number from."""
        scores: dict[str, object] = {
            f"pass@{k}": {
                **{name: _finite(end) for name, end in interval._asdict().items()},
                "se": _finite(error.problems),
                "se_samples": _finite(error.samples),
            }
            for k, interval, error in zip(self.coverage.ks, self.coverage.intervals, self.errors, strict=True)
        }
        return {
            "title": self.title,
            "origin": self.origin,
            "verifier": self.verifier,
            "problems": self.problems,
            "n": self.n,
            "level": self.coverage.level,
            **scores,
            "advice": None if (advice := self.advice) is None else advice.as_dict(),
            "excluded": {f"pass@{k}": left for k, left in zip(self.coverage.ks, self.coverage.excluded, strict=True)},
            "samples": self.tally.samples,
            "unscored": self.tally.unscored,
            "truncated": self.tally.truncated,
            "tokens": self.tally.tokens,
        }


def count_samples(path: Path, problems: Sequence[Problem], n: int) -> Tally:
    """Count the first n samples of every problem.

    Raises:
        CoverageError: a problem has none.
    """
    ids = {problem.id for problem in problems}
    kept: list[dict[str, object]] = []
    unscored = truncated = tokens = 0
    for row in iter_jsonl(path):
        sample, count = row["sample"], row["tokens"]
        if row["question_id"] in ids and isinstance(sample, int) and sample < n:
            kept.append({"question_id": row["question_id"], "correct": row["correct"]})
            unscored += row["correct"] is None
            truncated += bool(row["truncated"])
            tokens += count if isinstance(count, int) else 0
    return Tally(Counts.of_rows(kept, [problem.id for problem in problems]), len(kept), unscored, truncated, tokens)


def measure(tally: Tally, ks: Sequence[int]) -> tuple[Coverage, tuple[StandardError, ...]]:
    """pass@k with intervals and standard errors."""
    return coverage(tally.counts, ks), tuple(standard_error(tally.counts, k) for k in ks)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
