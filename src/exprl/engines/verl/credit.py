"""Marks to advantages, by the very functions that the engine on one machine calls (`exprl.advantages`).

    outcome, sparse    A = (R - mean_g) / (std_g + 1e-6), R = 0 where truncated
    process            by the norm that is set, with the weight of the outcome that is set; programs relative to the group

A rollout that could not be scored gets 0 here and leaves the loss by its mask, which the agent loop has set to 0 throughout.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exprl.advantages import outcome_advantages, token_advantages
from exprl.config import OutcomeConfig, ProcessConfig, SelfDistillConfig, SparseConfig
from exprl.engines.verl.marks import Floats, Marks
from exprl.errors import UnscoredLimitError
from exprl.methods.process import process_credit
from exprl.rewards import SegmentScores

__all__ = ["Graded", "Sampling", "refuse_share", "refuse_unscored", "segment_credit", "token_credit"]

Graded = OutcomeConfig | ProcessConfig | SparseConfig
"""The methods whose credit is made of scores."""

Sampling = Graded | SelfDistillConfig
"""The methods that sample, which verl runs."""


def segment_credit(marks: Marks, group_R: ArrayLike, method: Graded) -> Floats:
    """(R, S) advantage of each segment; a row of NaN is out of the loss.

    Args:
        group_R: (R,) whole number that names the prompt of each rollout, in any order.
    """
    if isinstance(method, ProcessConfig):
        scored = SegmentScores(marks.scores_RS, marks.count_R)
        group = np.asarray(group_R)
        return process_credit(scored, group, marks.truncated_R, marks.program_R, method).advantages_RS
    rewards_R = np.where(marks.unscored_R, np.nan, marks.scores_RS[:, 0])
    return outcome_advantages(rewards_R, group_R, truncated_R=marks.truncated_R, normalise_std=method.normalise_std)[
        :, None
    ]


def token_credit(marks: Marks, group_R: ArrayLike, method: Graded) -> Floats:
    """(R, T) advantage of each token, 0 on padding and on rollouts that are out of the loss."""
    advantages_RS = np.nan_to_num(segment_credit(marks, group_R, method))
    return token_advantages(advantages_RS, marks.segment_RT)


def refuse_unscored(marks: Marks, limit: float) -> None:
    """Stop before an update that too many rollouts are missing from.

    Raises:
        UnscoredLimitError: the share of unscored rollouts is over the limit.
    """
    refuse_share(marks.unscored_R, limit)


def refuse_share(unscored_R: NDArray[np.bool_], limit: float) -> None:
    """The same, of rollouts of any method.

    Raises:
        UnscoredLimitError: the share of unscored rollouts is over the limit.
    """
    share = float(unscored_R.mean()) if len(unscored_R) else 0.0
    if share > limit:
        raise UnscoredLimitError(
            f"{share:.0%} of the rollouts of this step could not be scored (limit {limit:.0%}). No update was made. "
            "Mend the judge or the teacher (the reasons stand in the stage's parts/), then run the same command with --resume"
        )
