"""Verdicts to rewards: from the judge's and the verifier's words to padded arrays.

    process   s_1..s_T of each rollout, one score a segment                    `segment_scores`
    outcome   R = s(whole trace); a truncated rollout has R = 0                `outcome_rewards`
    sparse    R in {0, 1} from the verifier; a truncated rollout has R = 0     `sparse_rewards`

A truncated rollout never finished, so its reward is 0 whatever a judge would say of it: it may be left
unjudged. Any other unscored verdict is NaN, never 0; `exprl.advantages` takes it out of the group and out of the loss.

What it refuses: a sparse reward that is neither 0 nor 1.

    >>> from exprl.types import Verdict
    >>> outcome_rewards([Verdict(0.75), Verdict(None, unscored="timeout"), Verdict(1.0)], [False, False, True])
    array([0.75,  nan, 0.  ])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exprl.types import Verdict

__all__ = ["SegmentScores", "final_scores", "outcome_rewards", "segment_scores", "sparse_rewards"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SegmentScores:
    """The scores of R rollouts in up to S segments each.

    Attributes:
        scores_RS: (R, S) score in [0, 1]; NaN where unscored and on padding. S is at least 1.
        count_R: (R,) number of segments of each rollout; what lies beyond is padding.
    """

    scores_RS: Floats
    count_R: Ints

    @property
    def unscored_R(self) -> NDArray[np.bool_]:
        """(R,) rollouts that lack at least one score; a rollout without segments lacks all of them."""
        real_RS = np.arange(self.scores_RS.shape[1]) < self.count_R[:, None]
        some_missing_R = np.isnan(np.where(real_RS, self.scores_RS, 0.0).sum(axis=1))
        unscored_R: NDArray[np.bool_] = some_missing_R | (self.count_R == 0)
        return unscored_R


def segment_scores(verdicts: Sequence[Sequence[Verdict]]) -> SegmentScores:
    """The scores of every segment of every rollout.

    Args:
        verdicts: R rows, one verdict a segment.
    """
    count_R = np.array([len(row) for row in verdicts], dtype=np.int64)
    width = max(1, int(count_R.max(initial=0)))
    scores_RS = np.full((len(verdicts), width), np.nan)
    scores_RS[np.arange(width) < count_R[:, None]] = _scores([verdict for row in verdicts for verdict in row])
    return SegmentScores(scores_RS, count_R)


def final_scores(scored: SegmentScores, truncated_R: ArrayLike) -> Floats:
    """(R,) score of each rollout's last segment: 0 where truncated, NaN where any of its segments is unscored."""
    last_R = np.maximum(scored.count_R - 1, 0)
    final_R = scored.scores_RS[np.arange(len(last_R)), last_R]
    return _zero_truncated(np.where(scored.unscored_R, np.nan, final_R), truncated_R)


def outcome_rewards(verdicts: Sequence[Verdict], truncated_R: ArrayLike) -> Floats:
    """(R,) outcome rewards.

    Args:
        verdicts: R verdicts on whole traces.
        truncated_R: (R,) whether a rollout ran into the token budget: its reward is 0, scored or not.
    """
    return _zero_truncated(_scores(verdicts), truncated_R)


def sparse_rewards(verdicts: Sequence[Verdict], truncated_R: ArrayLike | None = None) -> Floats:
    """(R,) sparse rewards: 1 for a right final answer, 0 for a wrong one, NaN where the verifier could not tell.

    Args:
        verdicts: R words of the verifier.
        truncated_R: (R,) whether a rollout ran into the token budget: its reward is 0. None: the verifier alone speaks.
    Raises:
        ValueError: a score that is neither 0 nor 1, which a judge may give and a verifier may not.
    """
    rewards_R = _scores(verdicts)
    partial = np.flatnonzero(~np.isnan(rewards_R) & (rewards_R != 0.0) & (rewards_R != 1.0))
    if partial.size:
        at = int(partial[0])
        raise ValueError(
            f"verdict {at} has score {rewards_R[at]}, but a sparse reward is 0 or 1; "
            "use outcome_rewards for the scores of a judge"
        )
    return rewards_R if truncated_R is None else _zero_truncated(rewards_R, truncated_R)


def _scores(verdicts: Sequence[Verdict]) -> Floats:
    return np.array([np.nan if verdict.score is None else verdict.score for verdict in verdicts], dtype=np.float64)


def _zero_truncated(rewards_R: Floats, truncated_R: ArrayLike) -> Floats:
    truncated = np.asarray(truncated_R, dtype=bool)
    if truncated.shape != rewards_R.shape:
        raise ValueError(f"{rewards_R.shape[0]} rollouts, but truncated_R has shape {truncated.shape}")
    return np.where(truncated, 0.0, rewards_R)
