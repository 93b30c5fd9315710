"""What annotations say of a policy beside the base.

    share_SP    of the annotated rollouts of a problem and seed, the part that shows a behaviour; NaN where there are none
    difference  mean over problems of (share of the policy, averaged over seeds) - (share of the base)
    gained      problems whose share is higher than the base's; lost: lower; net = gained - lost

Intervals are bootstrap over problems, and over the policy's seeds for shares and differences (`evaluate.intervals`). With
few rollouts a problem is gained or lost by chance alone, as often one as the other: only the net means something, and only
outside its interval.

Archetypes: the mean over problems of each one's share among rollouts that have any; the entropy of that distribution in
bits; and how many different ones a problem is given in m rollouts, by rarefaction (as pass@k: sum over archetypes of
1 - C(n-c, m) / C(n, m)), m being the smallest number that any side has for the problem, so that more rollouts do not
look like more diversity. The entropy's own interval says nothing of its bias (it is low for few rollouts, for all alike).

    >>> spread(np.array([0.5, 0.5] + [0.0] * 10))
    1.0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exprl.evaluate.behave.annotation import Annotation
from exprl.evaluate.behave.taxonomy import ARCHETYPE_NAMES, BEHAVIOUR_NAMES
from exprl.evaluate.coverage import pass_at_k
from exprl.evaluate.intervals import (
    Floats,
    Interval,
    Weights,
    draw_weights,
    other_seeds,
    percentiles,
    replicate_means,
    widened,
    widened_difference,
)

__all__ = ["Change", "Diversity", "Measured", "Tally", "difference_of", "measure", "spread"]

_EQUAL = 1e-9  # shares averaged over seeds are equal up to rounding
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one policy on one set: annotated rollouts, those that show each behaviour, those of each archetype."""

    annotated_SP: Ints
    shown_SPB: Ints
    archetypes_SPA: Ints
    missing: Mapping[str, int]

    @classmethod
    def of(cls, seeds: Sequence[Sequence[tuple[str, Annotation]]], ids: Sequence[str]) -> Tally:
        """From (problem, annotation) of every rollout, one list a seed; problems in the order of `ids`."""
        place = {name: index for index, name in enumerate(ids)}
        annotated = np.zeros((len(seeds), len(ids)), dtype=np.int64)
        shown = np.zeros((*annotated.shape, len(BEHAVIOUR_NAMES)), dtype=np.int64)
        archetypes = np.zeros((*annotated.shape, len(ARCHETYPE_NAMES)), dtype=np.int64)
        missing: dict[str, int] = {}
        for seed, rows in enumerate(seeds):
            for question, annotation in rows:
                if annotation.why is not None:
                    missing[annotation.why] = missing.get(annotation.why, 0) + 1
                    continue
                at = seed, place[question]
                annotated[at] += 1
                shown[at] += [name in annotation.behaviours for name in BEHAVIOUR_NAMES]
                archetypes[at] += [name == annotation.archetype for name in ARCHETYPE_NAMES]
        return cls(annotated, shown, archetypes, missing)

    def shares(self, behaviour: int) -> Floats:
        """(S,P) shares of one behaviour."""
        return _ratio(self.shown_SPB[..., behaviour], self.annotated_SP)

    def archetype_shares(self) -> Floats:
        """(S,P,A) shares among the rollouts with an archetype; NaN where there are none."""
        return _ratio(self.archetypes_SPA, self.archetypes_SPA.sum(axis=-1, keepdims=True))


@dataclass(frozen=True, slots=True)
class Change:
    """One behaviour beside the base's. `net` is in problems; `problems` were annotated on both sides."""

    behaviour: str
    base: Interval
    other: Interval
    difference: Interval
    gained: int
    lost: int
    net: Interval
    problems: int

    @property
    def stands(self) -> bool:
        """Whether the difference's interval leaves 0 out."""
        return difference_of(self.difference)


@dataclass(frozen=True, slots=True)
class Diversity:
    """Archetypes of one policy: their mean shares, the entropy in bits, and the number used per problem."""

    shares: Mapping[str, float]
    entropy: Interval
    used: Interval
    none: float


@dataclass(frozen=True, slots=True)
class Measured:
    """A policy beside the base."""

    changes: tuple[Change, ...]
    base: Diversity
    other: Diversity
    entropy_difference: Interval


def difference_of(interval: Interval) -> bool:
    """Whether 0 lies outside an interval."""
    return interval.low > 0 or interval.high < 0


def measure(base: Tally, other: Tally, *, bootstrap: int = 2000, level: float = 0.95, seed: int = 0) -> Measured | None:
    """All measures of one policy beside the base; None where no problem is annotated on both sides."""
    kept_P = (base.annotated_SP.sum(axis=0) > 0) & (other.annotated_SP.sum(axis=0) > 0)
    if not kept_P.any():
        return None
    base, other = _kept(base, kept_P), _kept(other, kept_P)
    weights = draw_weights(len(other.annotated_SP), np.ones(int(kept_P.sum()), dtype=np.int64), bootstrap, seed)
    alone = other_seeds(weights, len(base.annotated_SP), seed)
    changes = (
        _change(name, base.shares(i), other.shares(i), weights, alone, level) for i, name in enumerate(BEHAVIOUR_NAMES)
    )
    of_base, of_other = (_entropies(side, drawn) for side, drawn in ((base, alone), (other, weights)))
    depth_P = _depth(base, other)
    return Measured(
        tuple(changes),
        _diversity(base, of_base, alone, depth_P, level),
        _diversity(other, of_other, weights, depth_P, level),
        _between(of_other[0] - of_base[0], of_other[1] - of_base[1], level),
    )


def spread(shares_A: Floats) -> float:
    """Entropy of a distribution in bits."""
    positive = shares_A[shares_A > 0]
    return float(-(positive * np.log2(positive)).sum()) + 0.0


def _change(name: str, base_SP: Floats, other_SP: Floats, weights: Weights, alone: Weights, level: float) -> Change:
    base_B, other_B = replicate_means(base_SP, alone), replicate_means(other_SP, weights)
    difference_P = np.nanmean(other_SP, axis=0) - np.nanmean(base_SP, axis=0)
    difference_P = np.where(np.abs(difference_P) < _EQUAL, 0.0, difference_P)
    sign_P = np.sign(difference_P)
    one_seed = Weights(weights.problems_BU, np.ones((len(weights.problems_BU), 1)))
    net = widened_difference(
        float(sign_P.mean()), *percentiles(replicate_means(sign_P[None, :], one_seed), level), sign_P, level
    )
    mean = float(np.nanmean(other_SP) - np.nanmean(base_SP))
    return Change(
        name,
        widened(float(np.nanmean(base_SP)), *percentiles(base_B, level), base_SP, level),
        widened(float(np.nanmean(other_SP)), *percentiles(other_B, level), other_SP, level),
        widened_difference(mean, *percentiles(other_B - base_B, level), difference_P, level),
        int((sign_P > 0).sum()),
        int((sign_P < 0).sum()),
        Interval(*(end * sign_P.size for end in net)),
        sign_P.size,
    )


def _entropies(tally: Tally, weights: Weights) -> tuple[float, Floats]:
    """The entropy of the mean distribution, and of that of each replicate."""
    shares_SPA = tally.archetype_shares()
    means_BA = np.stack([replicate_means(shares_SPA[..., a], weights) for a in range(shares_SPA.shape[-1])], axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        terms_BA = np.where(means_BA > 0, means_BA * np.log2(means_BA), 0.0)
    replicates_B = np.where(np.isnan(means_BA).any(axis=-1), np.nan, 0.0 - terms_BA.sum(axis=-1))
    return spread(_means(shares_SPA)), replicates_B


def _diversity(
    tally: Tally, entropies: tuple[float, Floats], weights: Weights, depth_P: Ints, level: float
) -> Diversity:
    means_A = _means(tally.archetype_shares())
    told, annotated = int(tally.archetypes_SPA.sum()), int(tally.annotated_SP.sum())
    used_SP = _used(tally, depth_P)
    used = np.nan if np.isnan(used_SP).all() else float(np.nanmean(used_SP))
    return Diversity(
        dict(zip(ARCHETYPE_NAMES, map(float, means_A), strict=True)),
        _between(entropies[0] if told else np.nan, entropies[1], level),
        _between(used, replicate_means(used_SP, weights), level),
        1 - told / annotated,
    )


def _depth(*sides: Tally) -> Ints:
    """(P,) the smallest number of rollouts with an archetype that any seed of any side has; seeds without any left out."""
    counts = np.concatenate([side.archetypes_SPA.sum(axis=-1) for side in sides])
    least_P: Ints = np.where(counts > 0, counts, np.iinfo(np.int64).max).min(axis=0)
    least_P[~(counts > 0).any(axis=0)] = 0
    return least_P


def _used(tally: Tally, depth_P: Ints) -> Floats:
    """(S,P) how many different archetypes `depth_P` rollouts have, on average."""
    used_SP = np.full(tally.annotated_SP.shape, np.nan)
    for (seed, problem), n in np.ndenumerate(tally.archetypes_SPA.sum(axis=-1)):
        if n:
            counts_A = tally.archetypes_SPA[seed, problem]
            used_SP[seed, problem] = pass_at_k(np.full_like(counts_A, n), counts_A, int(depth_P[problem])).sum()
    return used_SP


def _between(value: float, replicates_B: Floats, level: float) -> Interval:
    if np.isnan(value) or np.isnan(replicates_B).all():
        return Interval(np.nan, np.nan, np.nan)
    return Interval(value, *percentiles(replicates_B, level))


def _means(shares_SPA: Floats) -> Floats:
    cells = shares_SPA.reshape(-1, shares_SPA.shape[-1])
    cells = cells[~np.isnan(cells).any(axis=-1)]
    means_A: Floats = cells.mean(axis=0) if len(cells) else np.zeros(shares_SPA.shape[-1])
    return means_A


def _kept(tally: Tally, kept_P: npt.NDArray[np.bool_]) -> Tally:
    columns = (tally.annotated_SP, tally.shown_SPB, tally.archetypes_SPA)
    annotated, shown, archetypes = (column[:, kept_P] for column in columns)
    return Tally(annotated, shown, archetypes, tally.missing)


def _ratio(part: Ints, whole: Ints) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios: Floats = np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
    return ratios
