"""ExpRL Outcome: the judge scores the whole trace against the reference; credit is relative to the group.

R = s(trace), 0 for a truncated rollout; A = (R - mean_group) / (std_group + 1e-6) (METHOD 3). A rollout without a score
leaves the loss and the group's statistics. Truncated rollouts cost no judge call: their reward is 0 whatever it says.
Programs with tests are not judged but run (`exprl.methods.execution`).
"""

from __future__ import annotations

import numpy as np

from exprl.advantages import outcome_advantages
from exprl.config import OutcomeConfig
from exprl.judge import Judge
from exprl.methods.batch import Credits, RolloutBatch, whole_trace
from exprl.methods.execution import executed
from exprl.rewards import outcome_rewards
from exprl.types import Submission, Verdict

__all__ = ["OutcomeMethod"]

NOT_JUDGED = Verdict(score=None, unscored="truncated: not sent to the judge")


class OutcomeMethod:
    """Credit by the judge's score of the full trace."""

    name = "outcome"

    def __init__(self, config: OutcomeConfig, judge: Judge) -> None:
        self._config = config
        self._judge = judge

    async def credit(self, batch: RolloutBatch) -> Credits:
        """Judge every complete rollout once and normalise within the group."""
        run = executed(batch, self._config.execution)
        complete = [i for i, rollout in enumerate(batch.rollouts) if not rollout.truncated and i not in run]
        judged = await self._judge.score(
            [
                Submission(
                    batch.problems[i],
                    batch.rollouts[i].id,
                    batch.rollouts[i].text,
                    (len(batch.rollouts[i].text),),
                    "outcome",
                )
                for i in complete
            ]
        )
        verdicts: list[tuple[Verdict, ...]] = [(run.get(i, NOT_JUDGED),) for i in range(len(batch.rollouts))]
        for i, verdict in zip(complete, judged, strict=True):
            verdicts[i] = (verdict[-1],)
        rewards_R = outcome_rewards([v[-1] for v in verdicts], batch.truncated_R)
        advantages_R = outcome_advantages(
            rewards_R, batch.group_R, truncated_R=batch.truncated_R, normalise_std=self._config.normalise_std
        )
        return Credits(
            segments=whole_trace(batch.rollouts),
            rewards_R=rewards_R,
            advantages_RS=np.asarray(advantages_R)[:, None],
            scores=[(v[-1].score,) for v in verdicts],
            verdicts=verdicts,
        )
