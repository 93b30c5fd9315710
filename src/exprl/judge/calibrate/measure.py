"""How well scores tell right answers from wrong ones. Pure: arrays in, numbers with intervals out.

    predicted correct  iff  score >= 0.75                                      (n >= 4 of 5, as the paper counts)
    FPR = share of wrong answers predicted correct      FNR = share of correct answers predicted wrong
    misplacement = (FPR + FNR) / 2 = 1 - balanced accuracy                     (chance is 0.5, whatever the mix)
    AUROC = chance that a correct answer outscores a wrong one, ties one half

Unscored rows are in none of these: they are counted, with their reasons, and their share is a measure of its own. So a
judge cannot look better by staying silent without its silence being seen. Intervals resample problems; where counts are
0 or nearly so they are at least Clopper and Pearson's (`exprl.evaluate.intervals`). Misplacement then also gets the
distances of FPR's and FNR's ends, put together in quadrature (the MOVER of Zou and Donner 2008), and so do its
differences; that leaves the pairing out and errs on the wide side.

    >>> rates = measure(np.array([1.0, 0.25, 0.75, math.nan]), np.array([True, False, False, True]), np.arange(4))
    >>> rates.fpr.value, rates.fnr.value, rates.misplacement.value, rates.auroc.value, rates.unscored
    (0.5, 0.0, 0.25, 1.0, 1)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from exprl.evaluate.intervals import Interval
from exprl.judge.calibrate.bootstrap import (
    NOTHING,
    Bools,
    Estimate,
    Floats,
    Ints,
    Resampling,
    Statistic,
    bootstrap,
    mean_of,
    widened_change,
    widened_share,
)
from exprl.judge.calibrate.ranks import auroc, spearman

__all__ = [
    "THRESHOLD",
    "CurvePoint",
    "Rates",
    "Repeatability",
    "curve",
    "length_correlation",
    "measure",
    "misplacement_difference",
    "repeatability",
]

THRESHOLD = 0.75
_LEVELS = 12


@dataclass(frozen=True, slots=True)
class Rates:
    """What one condition gave. FPR, FNR, misplacement and AUROC are over the scored rows."""

    rows: int
    problems: int
    correct: int
    wrong: int
    unscored: int
    fpr: Estimate
    fnr: Estimate
    misplacement: Estimate
    auroc: Estimate
    unscored_rate: Estimate


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Of `rows` answers that got this score (the mean of a bin, where scores are many), the share that is correct."""

    score: float
    rows: int
    correct: Estimate


@dataclass(frozen=True, slots=True)
class Repeatability:
    """The same input asked twice: of `pairs` scored both times the share that agrees; `lost` had a score once only."""

    pairs: int
    lost: int
    equal: Estimate
    mean_difference: Estimate


def measure(scores_N: Floats, correct_N: Bools, problems_N: Ints, how: Resampling | None = None) -> Rates:
    """The rates of one condition.

    Args:
        scores_N: (N,) in [0, 1]; NaN where unscored.
        problems_N: (N,) which problem a row belongs to.
    """
    how = how or Resampling()
    scored_N = ~np.isnan(scores_N)
    scores, correct, problems = scores_N[scored_N], correct_N[scored_N], problems_N[scored_N]
    errors = _Placed.of(scores, correct).errors(problems, how)
    area = bootstrap({"auroc": auroc(scores, correct)}, problems, how)["auroc"]
    silent_N = (~scored_N).astype(np.float64)
    silent = bootstrap({"rate": mean_of(silent_N)}, problems_N, how)["rate"]
    return Rates(
        rows=len(scores_N),
        problems=len(np.unique(problems_N)),
        correct=int(correct_N.sum()),
        wrong=int((~correct_N).sum()),
        unscored=int(silent_N.sum()),
        fpr=errors.fpr,
        fnr=errors.fnr,
        misplacement=errors.misplacement,
        auroc=_widened_auroc(area, scores, correct, problems, how.level),
        unscored_rate=widened_share(silent, silent_N, problems_N, how.level),
    )


def misplacement_difference(
    other_N: Floats, base_N: Floats, correct_N: Bools, problems_N: Ints, how: Resampling | None = None
) -> Interval:
    """Misplacement of `other` minus that of `base`, paired: over the rows that both scored, problems resampled together."""
    how = how or Resampling()
    both_N = ~(np.isnan(other_N) | np.isnan(base_N))
    correct, problems = correct_N[both_N], problems_N[both_N]
    other, base = (_Placed.of(side[both_N], correct) for side in (other_N, base_N))
    theirs, ours = other.statistics()["misplacement"], base.statistics()["misplacement"]
    found = bootstrap({"difference": lambda weights_BN: theirs(weights_BN) - ours(weights_BN)}, problems, how)
    differs_N = (other.predicted_S != base.predicted_S).astype(np.float64)
    difference = widened_change(found["difference"], differs_N, problems, how.level)
    mine, yours = other.errors(problems, how), base.errors(problems, how)
    if math.isnan(difference.value) or not (mine.few or yours.few):
        return difference
    left, right = mine.misplacement, yours.misplacement
    down = math.hypot(left.value - left.low, right.high - right.value)
    up = math.hypot(left.high - left.value, right.value - right.low)
    value, low, high = difference
    return Interval(value, max(-1.0, min(low, value - down)), min(1.0, max(high, value + up)))


def curve(
    scores_N: Floats, correct_N: Bools, problems_N: Ints, how: Resampling | None = None
) -> tuple[CurvePoint, ...]:
    """The share of correct answers at each score, or in ten bins where there are more than a dozen scores."""
    how = how or Resampling()
    scored_N = ~np.isnan(scores_N)
    scores, problems = scores_N[scored_N], problems_N[scored_N]
    correct = correct_N[scored_N].astype(np.float64)
    many = len(np.unique(scores)) > _LEVELS
    bins = np.minimum(np.floor(scores * 10), 9) if many else scores
    levels = {str(level): np.where(bins == level, correct, np.nan) for level in np.unique(bins)}
    found = bootstrap({name: mean_of(values) for name, values in levels.items()}, problems, how)
    return tuple(
        CurvePoint(
            score=float(scores[~np.isnan(values)].mean()),
            rows=int((~np.isnan(values)).sum()),
            correct=widened_share(found[name], values, problems, how.level),
        )
        for name, values in levels.items()
    )


def length_correlation(
    scores_N: Floats, lengths_N: Ints, rows_N: Bools, problems_N: Ints, how: Resampling | None = None
) -> Interval:
    """Spearman's correlation of score and length over the scored ones of `rows_N`: all correct answers, say.

    Within one label length has no honest business with the score, so what is left is the judge's taste.
    """
    taken = rows_N & ~np.isnan(scores_N)
    if taken.sum() < 3:
        return NOTHING
    rho = spearman(scores_N[taken], lengths_N[taken].astype(np.float64))
    return bootstrap({"rho": rho}, problems_N[taken], how or Resampling())["rho"]


def repeatability(first_N: Floats, second_N: Floats, problems_N: Ints, how: Resampling | None = None) -> Repeatability:
    """Compare two verdicts on the same inputs; NaN where one has no score."""
    how = how or Resampling()
    both_N = ~(np.isnan(first_N) | np.isnan(second_N))
    problems = problems_N[both_N]
    apart = np.abs(first_N - second_N)[both_N]
    equal = (apart < 1e-9).astype(np.float64)
    found = bootstrap({"equal": mean_of(equal), "apart": mean_of(apart)}, problems, how)
    return Repeatability(
        pairs=int(both_N.sum()),
        lost=int((np.isnan(first_N) != np.isnan(second_N)).sum()),
        equal=widened_share(found["equal"], equal, problems, how.level),
        mean_difference=widened_share(found["apart"], apart, problems, how.level),
    )


class _Errors(NamedTuple):
    """The three error rates; `few`: counts are so near 0 that the bootstrap alone is not believed."""

    fpr: Interval
    fnr: Interval
    misplacement: Interval
    few: bool


@dataclass(frozen=True, slots=True)
class _Placed:
    """Scored rows with their predictions; NaN where a row has no say in a rate."""

    predicted_S: Bools
    accepted_S: Floats
    refused_S: Floats

    @staticmethod
    def of(scores_S: Floats, correct_S: Bools) -> _Placed:
        predicted = scores_S >= THRESHOLD - 1e-9
        accepted = np.where(correct_S, np.nan, predicted.astype(np.float64))
        return _Placed(predicted, accepted, np.where(correct_S, (~predicted).astype(np.float64), np.nan))

    def statistics(self) -> dict[str, Statistic]:
        fpr, fnr = mean_of(self.accepted_S), mean_of(self.refused_S)
        return {"fpr": fpr, "fnr": fnr, "misplacement": lambda weights_BN: (fpr(weights_BN) + fnr(weights_BN)) / 2}

    def errors(self, problems_S: Ints, how: Resampling) -> _Errors:
        found = bootstrap(self.statistics(), problems_S, how)
        fpr = widened_share(found["fpr"], self.accepted_S, problems_S, how.level)
        fnr = widened_share(found["fnr"], self.refused_S, problems_S, how.level)
        value, low, high = found["misplacement"]
        if math.isnan(value) or (fpr, fnr) == (found["fpr"], found["fnr"]):
            return _Errors(fpr, fnr, found["misplacement"], few=False)
        down = math.hypot(fpr.value - fpr.low, fnr.value - fnr.low) / 2
        up = math.hypot(fpr.high - fpr.value, fnr.high - fnr.value) / 2
        return _Errors(
            fpr, fnr, Interval(value, max(0.0, min(low, value - down)), min(1.0, max(high, value + up))), few=True
        )


def _widened_auroc(found: Interval, scores_S: Floats, correct_S: Bools, problems_S: Ints, level: float) -> Interval:
    """AUROC is the mean share of the other label's answers that an answer beats: a share, for either label's problems."""
    if math.isnan(found.value):
        return found
    for label in (True, False):
        others = np.sort(scores_S[correct_S != label])
        mine = scores_S[correct_S == label]
        beaten = (np.searchsorted(others, mine, "left") + np.searchsorted(others, mine, "right")) / (2 * len(others))
        beaten = beaten if label else 1 - beaten
        found = widened_share(found, beaten, problems_S[correct_S == label], level)
    return found
