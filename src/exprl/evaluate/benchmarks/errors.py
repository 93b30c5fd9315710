"""Standard errors of pass@k: what other problems would change, and what other samples would.

    problems   s / sqrt(P), s the standard deviation of the problems' pass@k: the P problems are a sample of such problems.
               It holds all there is, the samples' share included (Miller 2024, arXiv 2411.00640, section 3).
    samples    sqrt(sum_p V_p) / P, V_p = Var[pass@k(n, C)] for C ~ Binomial(n, c / n): the same problems, sampled anew.

V is summed exactly over C = 0 ... n. It is a plug-in: a problem with c = 0 or c = n counts as certain, which no n can show;
where most are like that, read the interval, which knows better. For k = 1, V_p = p (1 - p) / n.

    >>> standard_error(Counts.of([4, 4], [1, 3]), 1)
    StandardError(problems=0.25, samples=0.15309310892394862)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from exprl.evaluate.coverage import Counts, pass_at_k

__all__ = ["StandardError", "standard_error"]


class StandardError(NamedTuple):
    """NaN where there is nothing to take it from: no problem, or for `problems` a single one."""

    problems: float
    samples: float


def standard_error(counts: Counts, k: int) -> StandardError:
    """Standard errors of the mean pass@k of one policy (one seed).

    Args:
        counts: of P problems; those with fewer than k scored samples are left out, as in the mean itself.
    """
    values_P = counts.pass_at(k)[0]
    kept_P = ~np.isnan(values_P)
    total = int(kept_P.sum())
    if total == 0:
        return StandardError(math.nan, math.nan)
    scored_P = (counts.n_SP - counts.unscored_SP)[0][kept_P]
    pairs, times = np.unique(np.stack([scored_P, counts.correct_SP[0][kept_P]]), axis=1, return_counts=True)
    variance = sum(int(m) * _variance(int(n), int(c), k) for (n, c), m in zip(pairs.T, times, strict=True))
    spread = float(values_P[kept_P].std(ddof=1)) / math.sqrt(total) if total > 1 else math.nan
    return StandardError(spread, math.sqrt(variance) / total)


def _variance(n: int, c: int, k: int) -> float:
    """Var[pass@k(n, C)] for C ~ Binomial(n, c / n)."""
    if c in (0, n):
        return 0.0
    p = c / n
    chances = [math.exp(_log_choose(n, i) + i * math.log(p) + (n - i) * math.log1p(-p)) for i in range(n + 1)]
    values = pass_at_k(np.full(n + 1, n), np.arange(n + 1), k)
    mean = float(np.dot(chances, values))
    return float(np.dot(chances, (values - mean) ** 2))


def _log_choose(n: int, i: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1)
