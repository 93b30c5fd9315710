"""Self-distillation where an engine's loss compares student and teacher itself: the teacher's half of it, a rollout at a time.

    rollout ──teacher, in this process or behind a server──> log pi_T of its tokens (`Credits.tokens`)

`against_sampler` makes of them what the record shows: the mean of log pi_T - log pi_S, with the sampler's log-probabilities for
those of the student. The loss takes the trainer's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from exprl.baselines.teacher import Teacher
from exprl.judge.http.wire import Failure
from exprl.methods.batch import Credits, Floats, RolloutBatch, whole_trace
from exprl.types import Verdict

__all__ = ["AskedTeacher", "LocalTeacher", "TeacherTargets", "against_sampler"]


class AskedTeacher(Protocol):
    """A teacher that is waited for."""

    async def log_probs(self, problem_id: str, ids: Sequence[int]) -> Floats | Failure:
        """(T,) log-probabilities at the sampling temperature."""
        ...

    async def aclose(self) -> None:
        """Let go of what it holds."""
        ...


class LocalTeacher:
    """The teacher's weights in this process, for one rollout after another."""

    def __init__(self, teacher: Teacher) -> None:
        self._teacher, self._turn = teacher, asyncio.Lock()

    async def log_probs(self, problem_id: str, ids: Sequence[int]) -> Floats | Failure:
        """See `AskedTeacher`; it never fails."""
        async with self._turn:
            rows = await asyncio.to_thread(self._teacher.log_probs, [problem_id], [ids])
        return rows[0]

    async def aclose(self) -> None:
        """There is nothing to let go of."""


class TeacherTargets:
    """What the teacher says of each rollout's tokens; one that it does not answer for is unscored, truncated or not."""

    name = "self_distill"

    def __init__(self, teacher: AskedTeacher) -> None:
        self._teacher = teacher

    async def credit(self, batch: RolloutBatch) -> Credits:
        """`tokens` are log pi_T; rewards and advantages are 0 until they are held against a student."""
        told = await asyncio.gather(*(self._told(rollout.question_id, rollout.ids) for rollout in batch.rollouts))
        failed = [answer if isinstance(answer, Failure) else None for answer in told]
        return Credits(
            segments=whole_trace(batch.rollouts),
            rewards_R=np.array([0.0 if failure is None else np.nan for failure in failed]),
            advantages_RS=np.array([[0.0 if failure is None else np.nan] for failure in failed]),
            scores=[() if failure is None else (None,) for failure in failed],
            verdicts=[() if failure is None else (_unscored(failure),) for failure in failed],
            judged=False,
            tokens=[np.zeros(0) if isinstance(answer, Failure) else answer for answer in told],
        )

    async def _told(self, problem_id: str, ids: Sequence[int]) -> Floats | Failure:
        return await self._teacher.log_probs(problem_id, ids) if ids else np.zeros(0)


def against_sampler(credits: Credits, sampled: Sequence[Sequence[float]]) -> Credits:
    """The same, with the mean of log pi_T - log pi_S for reward and advantage of each rollout that was answered for.

    Args:
        sampled: R rows of (T_r,) log-probabilities that the policy's server gave of its tokens; an empty one: none given.
    """
    means = [
        float(np.mean(told - np.asarray(said))) if len(told) and len(said) == len(told) else 0.0
        for told, said in zip(credits.tokens or (), sampled, strict=True)
    ]
    gap_R = np.where(credits.dropped_R, np.nan, means)
    return replace(credits, rewards_R=gap_R, advantages_RS=gap_R[:, None])


def _unscored(failure: Failure) -> Verdict:
    return Verdict(None, unscored=failure.reason, judge="teacher", usage=failure.usage)
