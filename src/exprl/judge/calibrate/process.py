"""Do prefix scores know where a trace goes wrong? Pure: scores of prefixes and step labels in, numbers out.

For a trace with scores s_1..s_T (prefix t holds the first t steps) and first wrong step e:

    change     s_t - s_(t-1), averaged over the steps before e, at e, after e, and over traces without an error
    maximum    share of traces whose best prefix before e is at least as good as every prefix that holds e (e > 1)
    AUROC      chance that a prefix without an error outscores one with it: over all prefixes, over prefixes of the same
               number of steps only, and over whole traces

A judge of progress scores later prefixes higher, and later prefixes hold the errors: over all prefixes that alone pushes
AUROC below 0.5. Prefixes of the same number of steps are free of this, so that is the figure to look at. The maximum has a
trap of its own, since a constant score passes: `maximum_flat` counts those, and `place` is the share that a best prefix
at a random place would reach.

Unscored prefixes are left out of means and AUROC; a trace that has one is left out of the maxima. Intervals resample traces.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from exprl.judge.calibrate.bootstrap import (
    Bools,
    Estimate,
    Floats,
    Ints,
    Resampling,
    bootstrap,
    mean_of,
    widened_change,
    widened_share,
)
from exprl.judge.calibrate.ranks import auroc, auroc_within

__all__ = ["PrefixRates", "ProfilePoint", "ScoredTrace", "measure_prefixes"]

_AROUND = 4


@dataclass(frozen=True, slots=True)
class ScoredTrace:
    """Prefix scores (NaN: unscored), one a step, and the index of the first wrong step."""

    scores: tuple[float, ...]
    first_error: int | None


@dataclass(frozen=True, slots=True)
class ProfilePoint:
    """Mean score of the prefixes that end `step` steps after the first wrong one (0 is that step itself)."""

    step: int
    prefixes: int
    score: Estimate


@dataclass(frozen=True, slots=True)
class PrefixRates:
    """See the module: what prefix scores say about errors in steps."""

    traces: int
    with_error: int
    prefixes: int
    unscored: int
    change_sound: Estimate
    change_before: Estimate
    change_at: Estimate
    change_after: Estimate
    maximum_before: Estimate
    maximum_traces: int
    maximum_flat: int
    place: float | None
    auroc_prefix: Estimate
    auroc_same_step: Estimate
    auroc_whole: Estimate
    profile: tuple[ProfilePoint, ...]


def measure_prefixes(traces: Sequence[ScoredTrace], how: Resampling | None = None) -> PrefixRates:
    """Measure prefix scores against step labels."""
    how = how or Resampling()
    table = _Table.of(traces)
    changes, aurocs = table.changes(how), table.aurocs(how)
    maxima_N, places_N = _maxima(traces)
    clusters_N = np.arange(len(traces))
    maximum = bootstrap({"share": mean_of(maxima_N)}, clusters_N, how)["share"]
    return PrefixRates(
        traces=len(traces),
        with_error=sum(trace.first_error is not None for trace in traces),
        prefixes=len(table.scores),
        unscored=int(np.isnan(table.scores).sum()),
        change_sound=changes["sound"],
        change_before=changes["before"],
        change_at=changes["at"],
        change_after=changes["after"],
        maximum_before=widened_share(maximum, maxima_N, clusters_N, how.level),
        maximum_traces=int((~np.isnan(maxima_N)).sum()),
        maximum_flat=sum(
            len(set(trace.scores)) == 1 for trace, one in zip(traces, maxima_N, strict=True) if not math.isnan(one)
        ),
        place=None if np.isnan(places_N).all() else float(np.nanmean(places_N)),
        auroc_prefix=aurocs["prefix"],
        auroc_same_step=aurocs["same step"],
        auroc_whole=aurocs["whole"],
        profile=table.profile(how),
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """All prefixes of all traces, one a row. `offset` counts steps from the first wrong one, NaN in sound traces."""

    scores: Floats
    change: Floats
    step: Ints
    offset: Floats
    last: Bools
    trace: Ints

    @staticmethod
    def of(traces: Sequence[ScoredTrace]) -> _Table:
        def joined(parts: Sequence[Floats]) -> Floats:
            return np.concatenate(parts) if parts else np.zeros(0)

        lengths = [len(trace.scores) for trace in traces]
        scores = [np.array(trace.scores, dtype=np.float64) for trace in traces]
        steps = [np.arange(length, dtype=np.float64) for length in lengths]
        errors = [math.nan if trace.first_error is None else float(trace.first_error) for trace in traces]
        step = joined(steps)
        return _Table(
            scores=joined(scores),
            change=joined([np.diff(values, prepend=np.nan) for values in scores]),
            step=step.astype(np.int64),
            offset=step - np.repeat(errors, lengths),
            last=step == np.repeat(lengths, lengths) - 1,
            trace=np.repeat(np.arange(len(traces)), lengths),
        )

    def changes(self, how: Resampling) -> dict[str, Estimate]:
        kinds = {
            "sound": np.isnan(self.offset),
            "before": self.offset < 0,
            "at": self.offset == 0,
            "after": self.offset > 0,
        }
        values = {name: np.where(rows, self.change, np.nan) for name, rows in kinds.items()}
        found = bootstrap({name: mean_of(changes) for name, changes in values.items()}, self.trace, how)
        return {name: widened_change(found[name], changes, self.trace, how.level) for name, changes in values.items()}

    def profile(self, how: Resampling) -> tuple[ProfilePoint, ...]:
        near = {step: np.where(self.offset == step, self.scores, np.nan) for step in range(-_AROUND, _AROUND + 1)}
        found = bootstrap({str(step): mean_of(values) for step, values in near.items()}, self.trace, how)
        return tuple(
            ProfilePoint(
                step,
                int((~np.isnan(values)).sum()),
                widened_share(found[str(step)], values, self.trace, how.level),
            )
            for step, values in near.items()
            if not np.isnan(values).all()
        )

    def aurocs(self, how: Resampling) -> dict[str, Estimate]:
        scored = ~np.isnan(self.scores)
        whole = scored & self.last
        clean = ~(self.offset >= 0)
        over_prefixes = bootstrap(
            {
                "prefix": auroc(self.scores[scored], clean[scored]),
                "same step": auroc_within(self.scores[scored], clean[scored], self.step[scored]),
            },
            self.trace[scored],
            how,
        )
        statistic = auroc(self.scores[whole], clean[whole])
        return over_prefixes | bootstrap({"whole": statistic}, self.trace[whole], how)


def _maxima(traces: Sequence[ScoredTrace]) -> tuple[Floats, Floats]:
    """(N,) 1 where the best prefix before the error is as good as any with it, else 0; and the error's place in [0, 1]."""
    maxima, places = np.full(len(traces), np.nan), np.full(len(traces), np.nan)
    for i, trace in enumerate(traces):
        scores, error = np.array(trace.scores), trace.first_error
        if error and not np.isnan(scores).any():
            maxima[i] = float(scores[:error].max() >= scores[error:].max())
            places[i] = error / len(scores)
    return maxima, places
