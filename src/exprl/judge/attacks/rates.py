"""Success rates with intervals that know that cases repeat each other.

    p = x / n,   interval = Clopper-Pearson with n* = n / d trials and p n* hits

The same idea tried on twenty problems is not twenty independent trials, nor are twenty ideas on one problem. d is the design
effect of a mean over clusters, (variance between cluster totals) / (variance of independent trials), taken by variant and
by problem, the larger of the two, and never less than 1 (Korn and Graubard 1998, "Confidence intervals for proportions with
small expected number of positive counts"). Where all cases agree there is no variance to take d from, and d is 1: the
interval then speaks of cases like these on problems like these.

    >>> rate([True, False, False, False], ["a", "b", "c", "d"], ["p", "q", "r", "s"])[:3]
    (4, 1, 0.25)
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from exprl.evaluate.intervals import clopper_pearson_upper

__all__ = ["LEVEL", "Rate", "rate"]

LEVEL = 0.95


class Rate(NamedTuple):
    """`successes` of `n` scored cases with the ends of the interval; `unscored` cases are in neither.

    Without a scored case there is no rate: None.
    """

    n: int
    successes: int
    rate: float | None
    low: float | None
    high: float | None
    unscored: int


def rate(successes: Sequence[bool], variants: Sequence[str], problems: Sequence[str], unscored: int = 0) -> Rate:
    """The rate of `successes`, one entry a scored case, which is `variants[i]` on `problems[i]`."""
    n, hits = len(successes), sum(successes)
    if not n:
        return Rate(0, 0, None, None, None, unscored)
    effect = max(1.0, _design_effect(successes, variants), _design_effect(successes, problems))
    trials = max(1, math.floor(n / effect + 1e-9))
    share = hits * trials / n
    high = clopper_pearson_upper(math.ceil(share - 1e-9), trials, LEVEL)
    low = 1 - clopper_pearson_upper(trials - math.floor(share + 1e-9), trials, LEVEL)
    return Rate(n, hits, hits / n, low, high, unscored)


def _design_effect(successes: Sequence[bool], clusters: Sequence[str]) -> float:
    """Variance of the mean with these clusters over its variance with independent trials; 1 where there is none."""
    n = len(successes)
    mean = sum(successes) / n
    residuals: defaultdict[str, float] = defaultdict(float)
    for success, cluster in zip(successes, clusters, strict=True):
        residuals[cluster] += success - mean
    groups = len(residuals)
    if groups < 2 or n < 2 or not 0 < mean < 1:
        return 1.0
    clustered = groups / (groups - 1) * sum(value * value for value in residuals.values()) / n**2
    return clustered / (mean * (1 - mean) / (n - 1))
