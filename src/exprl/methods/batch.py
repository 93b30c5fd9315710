"""What a method is given, and what it gives back.

A method turns one batch of rollouts (whole groups) into credit. It knows nothing of engines: no tensors, no tokens. An
engine knows nothing of methods: it spreads the credit of each segment over that segment's tokens and takes a step.

    rollouts + the verifier's word  ──Method.credit──>  segments, rewards, advantages (NaN = out of the loss), verdicts
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from exprl.types import Problem, Rollout, Segment, Verdict

__all__ = [
    "Credits",
    "Floats",
    "Ints",
    "LogProbs",
    "Method",
    "PolicyReader",
    "RolloutBatch",
    "unscored_rollouts",
    "whole_trace",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RolloutBatch:
    """R rollouts of whole groups.

    Attributes:
        problems: R problems, repeated for the rollouts of a group.
        rollouts: R rollouts.
        group_R: (R,) group number of each rollout.
        token_ends: R arrays (T_r,) with the character end of each token in the rollout's text.
        verified: R words of the verifier on the final answer.
    """

    problems: Sequence[Problem]
    rollouts: Sequence[Rollout]
    group_R: Ints
    token_ends: Sequence[Ints]
    verified: Sequence[Verdict]

    @property
    def truncated_R(self) -> NDArray[np.bool_]:
        """(R,) whether each rollout ran into the token budget."""
        return np.array([rollout.truncated for rollout in self.rollouts], dtype=bool)


@dataclass(frozen=True, slots=True)
class Credits:
    """The credit of R rollouts in up to S segments each.

    Attributes:
        segments: R tuples of character spans that tile the rollout's text.
        rewards_R: (R,) what the method was rewarded with, NaN where unscored; for metrics.
        advantages_RS: (R, S) advantage of each segment, padded with 0; a row of NaN is out of the loss.
        scores: R tuples of segment scores in [0, 1], None where unscored.
        verdicts: R tuples of verdicts, one a cut, for the evaluator's side of the record.
        judged: whether the scores are a judge's; those of a verifier cannot differ from its own word.
        tokens: R arrays (T_r,) of credit token by token, for a method that gives it; it then takes the place of the
            segments', which are its means.
    """

    segments: list[tuple[Segment, ...]]
    rewards_R: Floats
    advantages_RS: Floats
    scores: list[tuple[float | None, ...]]
    verdicts: list[tuple[Verdict, ...]] = field(default_factory=list)
    judged: bool = True
    tokens: Sequence[Floats] | None = None

    @property
    def dropped_R(self) -> NDArray[np.bool_]:
        """(R,) rollouts that leave the loss because they could not be scored."""
        return np.asarray(np.isnan(self.advantages_RS).any(axis=1))


class Method(Protocol):
    """One way to give credit. Who waits for a judge does it in a coroutine; who reads the policy's weights, at once."""

    name: str

    def credit(self, batch: RolloutBatch) -> Coroutine[Any, Any, Credits] | Credits:
        """Give credit to every rollout of the batch."""
        ...


LogProbs = Callable[[Sequence[Sequence[int]], Sequence[Sequence[int]]], list[Floats]]
"""(R prompts, R completions), both token ids -> R arrays (T_r,) with the log-probability of each completion token."""


@runtime_checkable
class PolicyReader(Protocol):
    """A method that reads the policy's own probabilities; an engine binds it to the policy before the first batch."""

    def bind(self, student: LogProbs) -> None:
        """Take the policy in training."""
        ...


def whole_trace(rollouts: Sequence[Rollout]) -> list[tuple[Segment, ...]]:
    """Each trace as a single segment."""
    return [(Segment(0, len(rollout.text)),) for rollout in rollouts]


def unscored_rollouts(credits: Credits, truncated_R: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(R,) rollouts that lack a score which they should have had; a truncated one is sent to no judge, but to a teacher."""
    missing = np.array([any(score is None for score in row) for row in credits.scores], dtype=bool)
    return missing if credits.tokens is not None else missing & ~truncated_R
