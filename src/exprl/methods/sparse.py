"""Sparse GRPO: reward 1 for a right final answer, 0 for a wrong one, and nothing in between.

The verifier alone speaks. An answer that it could not check (a time-out) is unscored, never 0: that rollout leaves the
loss and the group's statistics. Stage II is this method from a Stage-I checkpoint.
"""

from __future__ import annotations

import numpy as np

from exprl.advantages import outcome_advantages
from exprl.config import SparseConfig
from exprl.methods.batch import Credits, RolloutBatch, whole_trace
from exprl.rewards import sparse_rewards

__all__ = ["SparseMethod"]


class SparseMethod:
    """Credit by the verifier's word on the final answer."""

    name = "sparse"

    def __init__(self, config: SparseConfig) -> None:
        self._config = config

    async def credit(self, batch: RolloutBatch) -> Credits:
        """Normalise the verified rewards within the group; no judge is asked."""
        rewards_R = sparse_rewards(batch.verified, batch.truncated_R)
        advantages_R = outcome_advantages(
            rewards_R, batch.group_R, truncated_R=batch.truncated_R, normalise_std=self._config.normalise_std
        )
        return Credits(
            segments=whole_trace(batch.rollouts),
            rewards_R=rewards_R,
            advantages_RS=np.asarray(advantages_R)[:, None],
            scores=[(v.score,) for v in batch.verified],
            verdicts=[(v,) for v in batch.verified],
            judged=False,
        )
