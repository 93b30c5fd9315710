"""Rank statistics with weights: AUROC with ties, and Spearman's correlation.

    AUROC = P(score of a positive > score of a negative) + P(equal) / 2           (Mann and Whitney)
    rho   = Pearson's correlation of midranks

Both take a weight a row (how often a bootstrap replicate drew it), and a row of weight w counts as w equal rows: the
value is that of the resampled data, not an approximation.

    >>> import numpy as np
    >>> auroc(np.array([0.0, 0.5, 0.5, 1.0]), np.array([False, False, True, True]))(np.ones((1, 4)))
    array([0.875])
"""

from __future__ import annotations

import numpy as np

from exprl.judge.calibrate.bootstrap import Bools, Floats, Ints, Statistic

__all__ = ["auroc", "auroc_within", "spearman"]


def auroc(scores_N: Floats, positive_N: Bools) -> Statistic:
    """The chance that a positive outranks a negative; NaN where either is missing."""
    return auroc_within(scores_N, positive_N, np.zeros(len(scores_N), dtype=np.int64))


def auroc_within(scores_N: Floats, positive_N: Bools, strata_N: Ints) -> Statistic:
    """The same over pairs of one stratum only: positives are compared with negatives of their own kind."""
    parts = [_Part(np.flatnonzero(strata_N == stratum), scores_N, positive_N) for stratum in np.unique(strata_N)]
    parts = [part for part in parts if part.has_pairs]

    def statistic(weights_BN: Floats) -> Floats:
        wins_B, pairs_B = np.zeros(len(weights_BN)), np.zeros(len(weights_BN))
        for part in parts:
            wins, pairs = part.compare(weights_BN)
            wins_B += wins
            pairs_B += pairs
        with np.errstate(invalid="ignore", divide="ignore"):
            return wins_B / pairs_B

    return statistic


class _Part:
    """One stratum, sorted once for all replicates."""

    def __init__(self, rows: Ints, scores_N: Floats, positive_N: Bools) -> None:
        self._rows = rows[np.argsort(scores_N[rows], kind="stable")]
        self._positive = positive_N[self._rows]
        self._starts = _starts(scores_N[self._rows])
        self.has_pairs = bool(self._positive.any() and not self._positive.all())

    def compare(self, weights_BN: Floats) -> tuple[Floats, Floats]:
        weights = weights_BN[:, self._rows]
        positive_BL = np.add.reduceat(weights * self._positive, self._starts, axis=1)
        negative_BL = np.add.reduceat(weights * ~self._positive, self._starts, axis=1)
        below_BL = negative_BL.cumsum(axis=1) - negative_BL
        wins: Floats = (positive_BL * (below_BL + negative_BL / 2)).sum(axis=1)
        pairs: Floats = positive_BL.sum(axis=1) * negative_BL.sum(axis=1)
        return wins, pairs


def spearman(left_N: Floats, right_N: Floats) -> Statistic:
    """The correlation of midranks; NaN where one side is constant."""
    ranks = [_Midranks(side) for side in (left_N, right_N)]

    def statistic(weights_BN: Floats) -> Floats:
        left, right = (side.of(weights_BN) for side in ranks)
        total_B = weights_BN.sum(axis=1)
        left, right = (side - ((weights_BN * side).sum(axis=1) / total_B)[:, None] for side in (left, right))
        squares_B = (weights_BN * left**2).sum(axis=1) * (weights_BN * right**2).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            rho_B: Floats = (weights_BN * left * right).sum(axis=1) / np.sqrt(
                np.where(squares_B > 0, squares_B, np.nan)
            )
        return rho_B

    return statistic


class _Midranks:
    def __init__(self, values_N: Floats) -> None:
        self._order = np.argsort(values_N, kind="stable")
        _, self._level_N = np.unique(values_N, return_inverse=True)
        self._starts = _starts(values_N[self._order])

    def of(self, weights_BN: Floats) -> Floats:
        """(B,N) mean rank of the copies that each row stands for."""
        ties_BL = np.add.reduceat(weights_BN[:, self._order], self._starts, axis=1)
        ranks_BL: Floats = ties_BL.cumsum(axis=1) - ties_BL / 2 + 0.5
        return ranks_BL[:, self._level_N]


def _starts(sorted_N: Floats) -> Ints:
    """Where runs of equal values begin."""
    return np.flatnonzero(np.r_[True, sorted_N[1:] != sorted_N[:-1]])
