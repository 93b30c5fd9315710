"""ExpRL Process: the judge scores each prefix of the trace; a segment's credit is the progress that it made.

Prefix scores s_1..s_T become advantages by DeltaNorm (A_t = s_t - s_{t-1}, A_1 = s_1 - s_T), EndNorm or GroupNorm
(METHOD 3), plus, with `outcome_weight` > 0, the group-relative outcome credit of the final score s_T, which DeltaNorm
alone cannot give: it telescopes to zero within every rollout and so never says that one rollout beat another.
A truncated rollout has A = 0 on all tokens and costs no judge call. Programs with tests are not judged but run, and credited
as a whole (`exprl.methods.execution`).
"""

from __future__ import annotations

from exprl.advantages import outcome_advantages, process_advantages
from exprl.config import ProcessConfig, SegmentConfig
from exprl.judge import Judge
from exprl.methods.batch import Credits, Floats, RolloutBatch, whole_trace
from exprl.methods.execution import executed
from exprl.methods.outcome import NOT_JUDGED
from exprl.rewards import final_scores, segment_scores
from exprl.segment import split
from exprl.types import Segment, Submission, Verdict

__all__ = ["ProcessMethod"]


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
        advantages_RS = process_advantages(
            scored.scores_RS,
            scored.count_R,
            batch.group_R,
            truncated_R=batch.truncated_R,
            credit=self._config.credit,
            outcome_weight=self._config.outcome_weight,
        )
        rewards_R = final_scores(scored, batch.truncated_R)
        _credit_whole(advantages_RS, rewards_R, batch, list(run))
        return Credits(
            segments=segments,
            rewards_R=rewards_R,
            advantages_RS=advantages_RS,
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


def _credit_whole(advantages_RS: Floats, rewards_R: Floats, batch: RolloutBatch, run: list[int]) -> None:
    """Write the group-relative credit of programs over that of their one segment, in place."""
    if run:
        relative_R = outcome_advantages(rewards_R, batch.group_R, truncated_R=batch.truncated_R)
        advantages_RS[run, 0] = relative_R[run]
