"""What attempts say should be done next: search, prime first, or leave it be.

    k = the attempts that at least half of the problems have        gain = pass@k - pass@1, over the same problems

    "search"     pass@k is high and pass@1 clearly below it: search or verify will pay
    "prime"      both are low: no search finds what is not covered; prime first
    "both"       in between: search pays, up to `gain`, and the rest (1 - pass@k) has to be primed
    "neither"    pass@1 is high already
    "unclear"    the intervals are too wide to say; more problems or attempts

High is a pass@k whose interval lies above `high`, low one that lies below `low`; a gain counts where its interval lies above
0. The thresholds are conventions, and they can be given; what is measured is the intervals (`exprl.evaluate.intervals`).
With one attempt a problem there is no gain to measure, and hence no advice but "neither" or "unclear".

    >>> advise(Counts.of([8] * 40, [1] * 30 + [0] * 10)).next
    'search'
    >>> advise(Counts.of([8] * 60, [0] * 60)).next
    'prime'
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from exprl.errors import CoverageError
from exprl.evaluate.coverage import Counts, coverage
from exprl.evaluate.intervals import Interval, draw_weights, percentiles, replicate_means, widened_difference

__all__ = ["Advice", "advise"]

Next = Literal["search", "prime", "both", "neither", "unclear"]


class Advice(NamedTuple):
    """What to do next, and the numbers behind it."""

    next: Next
    k: int
    pass_1: Interval
    pass_k: Interval
    gain: Interval
    text: str

    def as_dict(self) -> dict[str, object]:
        """Plain JSON; None where there is no number."""
        named = (("pass_1", self.pass_1), ("pass_k", self.pass_k), ("gain", self.gain))
        ends = {
            name: {end: None if np.isnan(value) else value for end, value in interval._asdict().items()}
            for name, interval in named
        }
        return {"next": self.next, "k": self.k, **ends, "text": self.text}


def advise(
    counts: Counts,
    k: int | None = None,
    *,
    low: float = 0.2,
    high: float = 0.5,
    enough: float = 0.8,
    bootstrap: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Advice:
    """Read pass@1 and pass@k as coverage.

    Args:
        counts: attempts and right ones, a problem each; see `Counts.of`.
        k: default: the scored attempts that at least half of the problems have.
        low, high: what pass@k is low below and high above; `enough`: what pass@1 is high above.
        bootstrap, level, seed: see `exprl.evaluate.coverage.coverage`.
    Raises:
        CoverageError: k larger than the number of attempts, or no problem with k scored ones.
    """
    k = max(1, int(np.median(counts.scored_SP))) if k is None else k
    measured = coverage(counts, [1, k], bootstrap=bootstrap, level=level, seed=seed)
    if measured.problems[1] == 0:
        raise CoverageError(f"no problem has {k} scored attempts; make more, or ask for a smaller k")
    pass_1, pass_k = measured.intervals
    gain = _gain(counts, k, bootstrap, level, seed)
    next_ = _next(pass_1, pass_k, gain, low, high, enough)
    return Advice(next_, k, pass_1, pass_k, gain, _text(next_, k, pass_1, pass_k, gain))


def _gain(counts: Counts, k: int, bootstrap: int, level: float, seed: int) -> Interval:
    """pass@k - pass@1, problem by problem."""
    values_SP = counts.pass_at(k) - counts.pass_at(1)
    seeds, problems = values_SP.shape
    weights = draw_weights(seeds, np.ones(problems, dtype=np.int64), bootstrap, seed)
    low, high = percentiles(replicate_means(values_SP, weights), level)
    kept = values_SP[:, ~np.isnan(values_SP).all(axis=0)]
    gain = widened_difference(float(np.nanmean(kept)), low, high, np.nanmean(kept, axis=0), level)
    return gain._replace(low=max(gain.low, 0.0), high=min(gain.high, 1.0))  # no problem loses by more attempts


def _next(pass_1: Interval, pass_k: Interval, gain: Interval, low: float, high: float, enough: float) -> Next:
    if pass_1.low > enough:
        return "neither"
    if pass_k.high < low:
        return "prime"
    if gain.low <= 0:
        return "unclear"
    if pass_k.low > high:
        return "search"
    return "both" if pass_k.low > low else "unclear"


def _text(next_: Next, k: int, pass_1: Interval, pass_k: Interval, gain: Interval) -> str:
    numbers = f"pass@1 {_shown(pass_1)}, pass@{k} {_shown(pass_k)}"
    said = {
        "search": f"search or verify will pay, up to {gain.value:.2f}",
        "prime": "prime first: no search finds what is not covered",
        "both": f"search pays up to {gain.value:.2f}; the {1 - pass_k.value:.2f} that is not covered has to be primed",
        "neither": "there is little to gain; take harder problems",
        "unclear": "the intervals are too wide to say; measure more problems or attempts",
    }
    return f"{numbers}: {said[next_]}"


def _shown(interval: Interval) -> str:
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
