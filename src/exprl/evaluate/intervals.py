"""Intervals for a mean over problems: bootstrap, and what to say where the bootstrap has nothing to resample.

Problems are resampled with replacement (they are the sample from what is of interest; the samples of one problem are
not independent evidence about others), and percentiles of the replicates' means are the interval. With several seeds of
training the seeds are resampled as well, independently of the problems (the crossed bootstrap of Owen 2007, "The
pigeonhole bootstrap"): replicate b is sum_sp v_bs w_bp x_sp / sum_sp v_bs w_bp with multinomial weights w and v.

Where nearly all problems agree, the bootstrap is wrong, not just rough: 0 of 50 gives [0, 0], as if nothing else could
be. So where fewer than five problems have a value above 0, the upper end is at least the Clopper-Pearson bound on the
share of problems that do (their mean is at most that share: values end at 1); the lower end likewise where fewer than
five are below 1. For 0 of P problems at 95 % this is 1 - 0.025^(1/P), about 3.7 / P.

    >>> round(clopper_pearson_upper(0, 50, 0.95), 4)
    0.0711
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "Interval",
    "Weights",
    "clopper_pearson_upper",
    "draw_weights",
    "other_seeds",
    "percentiles",
    "replicate_means",
    "widened",
    "widened_difference",
]

Floats = npt.NDArray[np.float64]

_FEW = 5


class Interval(NamedTuple):
    """A value between two ends; NaN where there is nothing to take it from."""

    value: float
    low: float
    high: float


class Weights(NamedTuple):
    """How often each replicate drew each kind of problem (B,U) and each seed (B,S)."""

    problems_BU: Floats
    seeds_BS: Floats


def draw_weights(seeds: int, alike_U: npt.ArrayLike, replicates: int, seed: int) -> Weights:
    """Draw the weights once; every k, and both sides of a pair, share them.

    Args:
        alike_U: (U,) how many problems there are of each kind. Problems with the same counts have the same value, so
            that how often each *kind* is drawn is all that a mean needs, and kinds are far fewer than problems.
    """
    generator = np.random.default_rng(seed)
    sizes_U = np.asarray(alike_U, dtype=np.int64)
    problems = int(sizes_U.sum())
    problems_BU = generator.multinomial(problems, sizes_U / problems, size=replicates)
    seeds_BS = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=replicates)
    return Weights(problems_BU.astype(np.float64), seeds_BS.astype(np.float64))


def other_seeds(weights: Weights, seeds: int, seed: int) -> Weights:
    """The same draws of problems with seeds of training drawn anew: the other side of a pair was trained by itself."""
    generator = np.random.default_rng([seed, 1])
    drawn_BS = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=len(weights.problems_BU))
    return Weights(weights.problems_BU, drawn_BS.astype(np.float64))


def replicate_means(values_SU: Floats, weights: Weights) -> Floats:
    """(B,) weighted means of values; NaN cells (problems not counted for a seed) are left out, as is their weight.

    A replicate that drew no counted cell is NaN.
    """
    counted_SU = ~np.isnan(values_SU)
    total_B = _weighted_sums(np.where(counted_SU, values_SU, 0.0), weights)
    weight_B = _weighted_sums(counted_SU.astype(np.float64), weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight_B > 0, total_B / weight_B, np.nan)


def _weighted_sums(values_SU: Floats, weights: Weights) -> Floats:
    sums_B: Floats = ((weights.seeds_BS @ values_SU) * weights.problems_BU).sum(axis=1)
    return sums_B


def percentiles(replicates_B: Floats, level: float) -> tuple[float, float]:
    """The two percentiles that hold `level` of the replicates between them."""
    tail = (1 - level) / 2
    low, high = np.nanquantile(replicates_B, [tail, 1 - tail])
    return float(low), float(high)


def widened(value: float, low: float, high: float, values_SP: Floats, level: float) -> Interval:
    """A bootstrap interval of a mean of values in [0, 1], with the ends that few problems decide moved outwards.

    Args:
        values_SP: (S,P) the values; a problem counts as above 0 (below 1) if it is so for any seed.
    """
    counted_P = ~np.isnan(values_SP).all(axis=0)
    problems = int(counted_P.sum())
    above = int((values_SP > 0).any(axis=0).sum())
    below = int((values_SP < 1).any(axis=0).sum())
    if above < _FEW:
        high = max(high, clopper_pearson_upper(above, problems, level))
    if below < _FEW:
        low = min(low, 1 - clopper_pearson_upper(below, problems, level))
    return Interval(value, low, high)


def widened_difference(value: float, low: float, high: float, values_P: Floats, level: float) -> Interval:
    """The same for a mean of differences in [-1, 1]: where few problems differ at all, both ends move outwards."""
    differing = int((values_P != 0).sum())
    if differing < _FEW:
        bound = clopper_pearson_upper(differing, values_P.size, level)
        low, high = min(low, -bound), max(high, bound)
    return Interval(value, low, high)


def clopper_pearson_upper(hits: int, trials: int, level: float) -> float:
    """The upper end of the exact two-sided interval for a share, by hits and trials.

    It is the share p at which at most `hits` of `trials` come up with probability (1 - level) / 2 (Clopper and Pearson
    1934), found by halving; 1 where every trial was a hit.
    """
    if hits >= trials:
        return 1.0
    tail = (1 - level) / 2
    low, high = 0.0, 1.0
    # Binomial terms are summed as logarithms: there may be thousands of trials, and hits in nearly all of them.
    i = np.arange(hits + 1)
    ways = np.concatenate(([0.0], np.cumsum(np.log((trials - i[1:] + 1) / i[1:]))))
    while high - low > 1e-12:
        middle = (low + high) / 2
        at_most = float(np.exp(ways + i * math.log(middle) + (trials - i) * math.log1p(-middle)).sum())
        low, high = (middle, high) if at_most > tail else (low, middle)
    return high
