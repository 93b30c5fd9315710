"""Intervals for any statistic of rows that come in clusters: the rows of one problem are not independent evidence.

Problems (or traces) are resampled with replacement; every row carries its cluster's weight, how often that was drawn. A
statistic is a function from weights (B,N) of B replicates to B values, so that rates, rank statistics and paired
differences are all resampled by the same few lines. The interval is between percentiles, as in
`exprl.evaluate.intervals`, whose ends for the cases that a bootstrap gets wrong are used here too.

    >>> import numpy as np
    >>> found = bootstrap({"mean": mean_of(np.array([0.0, 1.0, 1.0]))}, np.array([0, 1, 2]), Resampling())
    >>> round(found["mean"].value, 3)
    0.667
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, PlainSerializer

from exprl.evaluate.intervals import Interval, percentiles, widened, widened_difference

__all__ = [
    "NOTHING",
    "Bools",
    "Estimate",
    "Floats",
    "Ints",
    "Resampling",
    "Statistic",
    "bootstrap",
    "mean_of",
    "per_cluster",
    "widened_change",
    "widened_share",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Statistic = Callable[[Floats], Floats]
"""From the rows' weights (B,N) to one value a replicate (B,); NaN where a replicate leaves nothing to count."""

NOTHING = Interval(math.nan, math.nan, math.nan)
_CELLS = 2_000_000


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _read(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return [math.nan if value.get(key) is None else value[key] for key in Interval._fields]


Estimate = Annotated[
    Interval,
    BeforeValidator(_read),
    PlainSerializer(lambda interval: {key: _number(part) for key, part in interval._asdict().items()}),
]
"""An `Interval` that stands in a file as {"value", "low", "high"}, null where there is nothing to take it from."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """How intervals are made."""

    level: float = 0.95
    replicates: int = 2000
    seed: int = 0


def bootstrap(statistics: Mapping[str, Statistic], clusters_N: Ints, how: Resampling) -> dict[str, Interval]:
    """The value of each statistic and its percentile interval; all share the replicates.

    Args:
        clusters_N: (N,) which problem or trace a row belongs to; any integers.
    Returns:
        `NOTHING` for a statistic that is NaN on the rows themselves.
    """
    if not len(clusters_N):
        return dict.fromkeys(statistics, NOTHING)
    values = {name: float(statistic(np.ones((1, len(clusters_N))))[0]) for name, statistic in statistics.items()}
    asked = {name: statistic for name, statistic in statistics.items() if not math.isnan(values[name])}
    drawn: dict[str, list[Floats]] = {name: [] for name in asked}
    for weights_BN in _weights(clusters_N, how) if asked else ():
        for name, statistic in asked.items():
            drawn[name].append(statistic(weights_BN))
    ends = {name: percentiles(np.concatenate(parts), how.level) for name, parts in drawn.items()}
    return {name: Interval(value, *ends[name]) if name in ends else NOTHING for name, value in values.items()}


def mean_of(values_N: Floats) -> Statistic:
    """The mean of the values that are not NaN."""
    counted_N = (~np.isnan(values_N)).astype(np.float64)
    filled_N = np.nan_to_num(values_N)

    def mean(weights_BN: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            means_B: Floats = (weights_BN @ filled_N) / (weights_BN @ counted_N)
        return means_B

    return mean


def per_cluster(values_N: Floats, clusters_N: Ints) -> Floats:
    """(C,) mean of each cluster's values that are not NaN; clusters without one are left out."""
    counted_N = ~np.isnan(values_N)
    _, place_N = np.unique(clusters_N[counted_N], return_inverse=True)
    sums_C: Floats = np.bincount(place_N, values_N[counted_N]) / np.bincount(place_N)
    return sums_C


def widened_share(interval: Interval, values_N: Floats, clusters_N: Ints, level: float) -> Interval:
    """The interval of a share, its ends moved outwards where few clusters decide it (0 of 50 is not [0, 0])."""
    if math.isnan(interval.value):
        return interval
    return widened(*interval, per_cluster(values_N, clusters_N)[None, :], level)


def widened_change(interval: Interval, values_N: Floats, clusters_N: Ints, level: float) -> Interval:
    """The same for a mean of differences in [-1, 1], where few clusters differ at all."""
    if math.isnan(interval.value):
        return interval
    return widened_difference(*interval, per_cluster(values_N, clusters_N), level)


def _weights(clusters_N: Ints, how: Resampling) -> Iterator[Floats]:
    """Replicates in pieces, so that memory does not grow with their number."""
    generator = np.random.default_rng(how.seed)
    names, place_N = np.unique(clusters_N, return_inverse=True)
    count = len(names)
    size = max(1, _CELLS // len(clusters_N))
    for start in range(0, how.replicates, size):
        rows = min(size, how.replicates - start)
        picks = generator.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        weights_BC = np.bincount(picks.ravel(), minlength=rows * count).reshape(rows, count)
        yield weights_BC[:, place_N].astype(np.float64)
