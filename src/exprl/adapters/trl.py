"""A reward function for TRL's trainers: the outcome of each completion against its hidden reference.

    trainer = GRPOTrainer(model, reward_funcs=[outcome_reward(problems, judge)], train_dataset=dataset, ...)

The data set has the columns `prompt` and `problem_id`, and none with a reference: TRL prints a row's columns when a reward is
missing, and trackers log them. Completions may be text or chat messages with tool calls.

An unscored completion is None, which TRL takes out of the loss where no other reward function speaks. It is counted in the
metric `exprl/unscored`. For credit step by step use exprl's own engine (`exprl prime`): TRL asks for one number a completion.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from exprl.adapters.book import Book, Problems
from exprl.agents.outcome import Grader, outcome_batch
from exprl.agents.trial import Trace, Trial
from exprl.errors import DataError
from exprl.judge import Judge

__all__ = ["RewardFunction", "outcome_reward"]


class RewardFunction(Protocol):
    """What TRL calls; `__name__` is the metric's name."""

    __name__: str

    def __call__(
        self, prompts: Sequence[object], completions: Sequence[Trace], **columns: object
    ) -> Awaitable[list[float | None]]: ...


def outcome_reward(
    problems: Problems,
    judge: Judge | None = None,
    *,
    verifier: Grader = "strongest",
    column: str = "problem_id",
    name: str = "exprl_outcome",
) -> RewardFunction:
    """An async reward function.

    Args:
        problems: with their references, or the path of their file.
        judge: `MilestoneJudge()` by default; asked where the verifier does not speak.
        verifier: see `exprl.score_batch`; None leaves everything to the judge, which is Stage I's dense reward.
        column: of the data set, with a problem's id.
        name: under which TRL logs it.
    Raises:
        DataError: when called: no such column, or an id that is not among the problems.
    """
    book = Book.of(problems)

    async def reward(prompts: Sequence[object], completions: Sequence[Trace], **columns: object) -> list[float | None]:
        ids = columns.get(column)
        if not isinstance(ids, Sequence) or isinstance(ids, str) or len(ids) != len(completions):
            raise DataError(f"the data set has no column {column!r} with a problem's id a row; add it, or name another")
        trials = [Trial.of(book.find(id_, "TRL"), told) for id_, told in zip(ids, completions, strict=True)]
        rewards = [word.score for word in await outcome_batch(trials, judge=judge, verifier=verifier)]
        _log(columns.get("log_metric"), rewards)
        return rewards

    reward.__name__ = name
    return reward


def _log(log_metric: object, rewards: Sequence[float | None]) -> None:
    log: Callable[[str, float], None] | None = log_metric if callable(log_metric) else None
    if log is not None and rewards:
        log("exprl/unscored", sum(reward is None for reward in rewards) / len(rewards))
