"""From numbers to positions and tick marks: what an axis is, without drawing it.

An axis is linear or, for the k of pass@k, logarithmic to base 2. Ticks of a linear axis are multiples of 1, 2 or 5
times a power of ten; those of a log2 axis are powers of two. `thin_out` brings a long curve down to a number of
points by averaging neighbours, so that a page with many curves stays small.

    >>> ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["MAX_POINTS", "Axis", "short", "thin_out", "ticks"]

MAX_POINTS = 400


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: its label, its range in data units, its kind, and the pixels [start, end] it is drawn on."""

    label: str
    low: float
    high: float
    kind: Literal["linear", "log2"] = "linear"
    start: float = 0.0
    end: float = 1.0

    def at(self, value: float) -> float:
        """The pixel of a value; values outside the range stand at its ends."""
        low, high, value = (self._warp(v) for v in (self.low, self.high, value))
        share = 0.5 if high == low else (value - low) / (high - low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Values to mark."""
        if self.kind == "linear":
            return ticks(self.low, self.high)
        powers = range(math.ceil(math.log2(self.low)), math.floor(math.log2(self.high)) + 1)
        return [2.0**power for power in powers]

    def _warp(self, value: float) -> float:
        return math.log2(value) if self.kind == "log2" else value


def ticks(low: float, high: float, target: int = 5) -> list[float]:
    """About `target` round values inside [low, high]."""
    if not high > low:
        return [low]
    rough = (high - low) / target
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if rough <= factor * power * (1 + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def short(value: float) -> str:
    """A number in at most about six characters: 0.25, 1,200, 3.4k would be 3,400, 1.2e-05."""
    size = abs(value)
    if size != 0 and size < 1e-3:
        return f"{value:.1e}"
    if size >= 1e6:
        return f"{value / 1e6:.3g}M"
    return f"{value:,.0f}" if size >= 1000 or value == int(value) else f"{value:.3g}"


def thin_out(
    xs: Sequence[float], ys: Sequence[float | None], limit: int = MAX_POINTS
) -> tuple[list[float], list[float | None]]:
    """At most `limit` points of a curve, each the mean of neighbours; a bin without a value stays a gap."""
    size = max(1, math.ceil(len(xs) / limit))
    bins = [slice(i, i + size) for i in range(0, len(xs), size)]
    return [_mean(xs[b]) or 0.0 for b in bins], [_mean(ys[b]) for b in bins]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
