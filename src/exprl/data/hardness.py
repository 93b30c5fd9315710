"""Which problems are hard: the rule of the hard-set filter, without the sampling.

A problem is kept when 0 of its n samples are correct *and* its reference's own final answer grades as equal to the
stored answer (arXiv 2606.17024, section on data; without the second half a wrong stored answer makes an easy problem
look hard). A sample that could not be scored may have been right, so by default a single one keeps the problem out;
`max_unscored` relaxes this to a share, and then 0 of the *scored* samples must be correct.

    >>> decide_hardness(n=64, correct=0, unscored=0, reference=Verdict(1.0))
    Hardness(kept=True, why=None)
    >>> str(tally([None, "solved at least once", None]))
    'kept 2 of 3: 1 solved at least once'
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from exprl.types import Verdict

__all__ = ["Hardness", "Tally", "Why", "decide_hardness", "tally"]

Why = Literal[
    "solved at least once",
    "reference's answer does not grade as stored",
    "reference's answer could not be graded",
    "samples left unscored",
    "not sampled",
]


class Hardness(NamedTuple):
    """Whether a problem belongs to the hard set, and if not, why; `why` is what `filter.jsonl` stores."""

    kept: bool
    why: Why | None


def decide_hardness(n: int, correct: int, unscored: int, reference: Verdict, *, max_unscored: float = 0.0) -> Hardness:
    """Apply the rule to one problem.

    Args:
        n: samples drawn, of which `correct` are right and `unscored` have no verdict. With n = 0 only the reference is
            looked at, so that a problem with a wrong one need not be sampled.
        reference: does the reference solution's own final answer grade as the stored answer.
        max_unscored: share of the samples that may lack a verdict.
    Raises:
        ValueError: counts that cannot be (negative, or more than n).
    """
    if min(n, correct, unscored) < 0 or correct + unscored > n:
        raise ValueError(f"impossible counts: n={n}, correct={correct}, unscored={unscored}")
    why = _reference_fault(reference) or _sample_fault(n, correct, unscored, max_unscored)
    return Hardness(why is None, why)


def _reference_fault(reference: Verdict) -> Why | None:
    if reference.score is None:
        return "reference's answer could not be graded"
    return None if reference.score >= 1.0 else "reference's answer does not grade as stored"


def _sample_fault(n: int, correct: int, unscored: int, max_unscored: float) -> Why | None:
    if n == 0:
        return "not sampled"
    if correct:
        return "solved at least once"
    # All samples unscored is no evidence at all, whatever share is allowed.
    return "samples left unscored" if unscored == n or unscored > max_unscored * n else None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many problems were kept, and how many were not for which reason (in the order of `Why`)."""

    kept: int
    total: int
    why: dict[str, int]

    def __str__(self) -> str:
        reasons = ", ".join(f"{count} {why}" for why, count in self.why.items())
        return f"kept {self.kept} of {self.total}" + (f": {reasons}" if reasons else "")


def tally(whys: Iterable[str | None]) -> Tally:
    """Count the `why` column of the filter's rows; None is a problem that was kept."""
    counts = Counter(whys)
    known = [why for why in get_args(Why) if counts[why]]
    other = sorted(why for why in counts if why is not None and why not in known)
    return Tally(counts[None], counts.total(), {why: counts[why] for why in [*known, *other]})
