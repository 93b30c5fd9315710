"""ExpRL Process: the judge scores each prefix of the trace; a segment's credit is the progress that it made.

Prefix scores s_1..s_T become advantages by DeltaNorm (A_t = s_t - s_{t-1}, A_1 = s_1 - s_T), EndNorm or GroupNorm
(METHOD 3), plus, with `outcome_weight` > 0, the group-relative outcome credit of the final score s_T, which DeltaNorm
alone cannot give: it telescopes to zero within every rollout and so never says that one rollout beat another.
A truncated rollout has A = 0 on all tokens and costs no judge call. Programs with tests are not judged but run, and credited
as a whole (`exprl.methods.execution`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exprl.advantages import outcome_advantages, process_advantages
from exprl.config import ProcessConfig, SegmentConfig
from exprl.judge import Judge
from exprl.methods.batch import Credits, Floats, Ints, RolloutBatch, whole_trace
from exprl.methods.execution import executed
from exprl.methods.outcome import NOT_JUDGED
from exprl.rewards import SegmentScores, final_scores, segment_scores
from exprl.segment import split
from exprl.types import Segment, Submission, Verdict

__all__ = ["ProcessCredit", "ProcessMethod", "process_credit"]

Bools = NDArray[np.bool_]


class ProcessMethod:
    """Credit by the judge's score of each prefix (or, with scope "segment", of each isolated segment)."""

    name = "process"

    def __init__(self, config: ProcessConfig, judge: Judge, segments: SegmentConfig) -> None:
        self._config = config
        self._judge = judge
        self._rule = segments

    async def credit(self, batch: RolloutBatch) -> Credits:
        """Cut, judge every cut of every complete rollout, and give credit segment by segment."""
        run = executed(batch, self._config.execution)
        whole = whole_trace(batch.rollouts)
        segments = [
            whole[i] if i in run else split(rollout.text, self._rule, token_ends=ends) or (Segment(0, 0),)
            for i, (rollout, ends) in enumerate(zip(batch.rollouts, batch.token_ends, strict=True))
        ]
        verdicts = await self._judge_complete(batch, segments, run)
        scored = segment_scores(verdicts)
        run_R = np.isin(np.arange(len(batch.rollouts)), list(run))
        credit = process_credit(scored, batch.group_R, batch.truncated_R, run_R, self._config)
        return Credits(
            segments=segments,
            rewards_R=credit.rewards_R,
            advantages_RS=credit.advantages_RS,
            scores=[tuple(v.score for v in row) for row in verdicts],
            verdicts=verdicts,
        )

    async def _judge_complete(
        self, batch: RolloutBatch, segments: list[tuple[Segment, ...]], run: dict[int, Verdict]
    ) -> list[tuple[Verdict, ...]]:
        complete = [i for i, rollout in enumerate(batch.rollouts) if not rollout.truncated and i not in run]
        judged = await self._judge.score(
            [
                Submission(
                    batch.problems[i],
                    batch.rollouts[i].id,
                    batch.rollouts[i].text,
                    tuple(segment.end for segment in segments[i]),
                    self._config.scope,
                )
                for i in complete
            ]
        )
        verdicts: list[tuple[Verdict, ...]] = [
            (run[i],) if i in run else (NOT_JUDGED,) * len(spans) for i, spans in enumerate(segments)
        ]
        for i, row in zip(complete, judged, strict=True):
            verdicts[i] = row
        return verdicts


class ProcessCredit(NamedTuple):
    """(R,) rewards and (R, S) advantages; see `exprl.methods.batch.Credits`."""

    rewards_R: Floats
    advantages_RS: Floats


def process_credit(
    scored: SegmentScores, group_R: Ints, truncated_R: Bools, run_R: Bools, config: ProcessConfig
) -> ProcessCredit:
    """Scores to credit: of each segment by its progress, of a program that was run relative to the group. Pure.

    Args:
        run_R: (R,) programs; their one score is their reward.
    """
    advantages_RS = process_advantages(
        scored.scores_RS,
        scored.count_R,
        group_R,
        truncated_R=truncated_R,
        credit=config.credit,
        outcome_weight=config.outcome_weight,
    )
    rewards_R = final_scores(scored, truncated_R)
    if run_R.any():
        relative_R = outcome_advantages(rewards_R, group_R, truncated_R=truncated_R)
        advantages_RS[run_R, 0] = relative_R[run_R]
    return ProcessCredit(rewards_R, advantages_RS)
