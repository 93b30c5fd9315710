"""From sampled token ids to the credit of every token: the trainer's way to the verifier, the method and the ledger.

    ids -> text and token ends -> the verifier's word -> Method.credit -> credit per segment -> credit per token

A method that gives credit token by token (`Credits.tokens`) skips the segments.

Everything is judged, watched and recorded before the update. If more rollouts than the limit stay unscored, or the
monitor raises an alarm that stops, nothing but the alarm is recorded and the step ends in an error instead of an update.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exprl.advantages import token_advantages
from exprl.config import MonitorConfig
from exprl.engines.trl.ledger import Ledger
from exprl.engines.trl.surroundings import Wait
from exprl.errors import MonitorStopError, UnscoredLimitError
from exprl.methods import Credits, Method, RolloutBatch
from exprl.methods.batch import unscored_rollouts
from exprl.methods.outcome import NOT_JUDGED
from exprl.monitor import Alarm, Watched, watch
from exprl.tokens import TokenMap
from exprl.types import Problem, Rollout
from exprl.verify import Verifier

__all__ = ["Scored", "Scorer", "make_scorer"]


@dataclass(frozen=True, slots=True)
class Scored:
    """Credit of a batch, ready for the loss.

    Attributes:
        advantages_RT: (R, T) advantage of each token, 0 on padding and on dropped rollouts.
        dropped_R: (R,) rollouts that leave the loss.
    """

    advantages_RT: NDArray[np.float64]
    dropped_R: NDArray[np.bool_]


Scorer = Callable[[Sequence[str], Sequence[Sequence[int]], Sequence[bool], int], Scored]
"""(problem ids, token ids of the completions, whether each was truncated, step) -> credit; whole groups, in order."""


def make_scorer(
    problems: Sequence[Problem],
    method: Method,
    verifier: Verifier,
    ledger: Ledger,
    token_map: TokenMap,
    wait: Wait,
    *,
    group: int,
    limit: float,
    monitor: MonitorConfig | None = None,
    marker: str = "###",
) -> Scorer:
    """A scorer for rollouts of these problems.

    Args:
        wait: runs the method's coroutine.
        group: rollouts of a group.
        limit: share of unscored rollouts in a step above which `UnscoredLimitError` is raised.
        monitor: thresholds of the alarms; those that stop raise `MonitorStopError`.
        marker: what ends a segment, for the monitor to count.
    """
    thresholds = monitor or MonitorConfig()
    by_id = {problem.id: problem for problem in problems}

    def score(problem_ids: Sequence[str], ids: Sequence[Sequence[int]], truncated: Sequence[bool], step: int) -> Scored:
        batch = _batch([by_id[problem_id] for problem_id in problem_ids], ids, truncated, step)
        given = method.credit(batch)
        credits = given if isinstance(given, Credits) else wait(given)
        _refuse_unscored(credits, batch, step, limit)
        watched = watch(ledger.history, step, batch, credits, thresholds, marker=marker)
        _refuse_alarmed(watched, ledger)
        ledger.record(step, batch, credits, watched)
        if credits.tokens is not None:
            return Scored(_padded_credit(credits.tokens), credits.dropped_R)
        segment_RT = _padded([token_map.segment_of_token(r, s) for r, s in zip(ids, credits.segments, strict=True)])
        return Scored(token_advantages(np.nan_to_num(credits.advantages_RS), segment_RT), credits.dropped_R)

    def _batch(
        asked: Sequence[Problem], ids: Sequence[Sequence[int]], truncated: Sequence[bool], step: int
    ) -> RolloutBatch:
        rollouts = [
            Rollout(f"{step:06d}-{i:04d}", problem.id, token_map.text(row), len(row), cut, tuple(row))
            for i, (problem, row, cut) in enumerate(zip(asked, ids, truncated, strict=True))
        ]
        return RolloutBatch(
            problems=asked,
            rollouts=rollouts,
            group_R=np.arange(len(rollouts)) // group,
            token_ends=[token_map.ends(row) for row in ids],
            verified=verifier.verify([(p, r.text) for p, r in zip(asked, rollouts, strict=True)]),
        )

    return score


def _refuse_unscored(credits: Credits, batch: RolloutBatch, step: int, limit: float) -> None:
    share = float(unscored_rollouts(credits, batch.truncated_R).mean())
    if share <= limit:
        return
    reasons = [v.unscored for row in credits.verdicts for v in row if v.unscored not in (None, NOT_JUDGED.unscored)]
    common = max(set(reasons), key=reasons.count) if reasons else "no reason given"
    raise UnscoredLimitError(
        f"step {step}: {share:.0%} of the rollouts could not be scored (limit {limit:.0%}); most often: "
        f"{common}. No update was made. Mend the judge, then run the same command with --resume"
    )


def _refuse_alarmed(watched: Watched, ledger: Ledger) -> None:
    stops = [alarm for alarm in watched.alarms if alarm.level == "stop"]
    if not stops:
        return
    ledger.alarm(watched.alarms)
    key = stops[0].name.partition(":")[0]
    raise MonitorStopError(
        f"step {stops[0].step}: {'; '.join(map(_stated, stops))}. No update was made. Look at the rollouts and at the "
        f"judge; to go on, mend it or raise monitor.{key}.stop (false: never), then run the same command with --resume"
    )


def _stated(alarm: Alarm) -> str:
    return f"alarm {alarm.name}: {alarm.words}: {alarm.value:.3g} (stop at {alarm.threshold:g})"


def _padded_credit(rows: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    padded = np.zeros((len(rows), max((len(row) for row in rows), default=0)))
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded


def _padded(rows: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    padded = np.full((len(rows), max((len(row) for row in rows), default=0)), -1, dtype=np.int64)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded
