"""A reward and a judge for verifiers' tasks (`verifiers.v1`): the outcome of a trace against its hidden reference.

A task's data are written into every trace, so they carry the problem's id (`TaskData.id`) and no reference. As a reward
of a task,

    class Teas(vf.Task[vf.TaskData, vf.State, vf.TaskConfig]):
        hidden = outcome_reward(problems, judge)

or as a plugged judge, in a module of its own that verifiers finds by its name (`judges = [{id = "hidden_judge"}]`):

    Hidden = judge_class(problems, judge)
    __all__ = ["Hidden"]

Steps, scores and credit go to `trace.info["exprl"]`, without any words of the judge. A trace that could not be scored raises
`JudgeError`, which verifiers records as an error of the rollout: its reward stays unset, and is not 0.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import verifiers.v1 as vf

from exprl.adapters.book import Book, Problems
from exprl.agents.outcome import Grader
from exprl.agents.scoring import score_batch
from exprl.agents.trial import Trial
from exprl.errors import JudgeError
from exprl.judge import Judge
from exprl.turns import StepRule, tool_call

__all__ = ["chat", "judge_class", "outcome_reward"]


def outcome_reward(
    problems: Problems,
    judge: Judge | None = None,
    *,
    verifier: Grader = "strongest",
    steps: StepRule = "turn",
    weight: float = 1.0,
    name: str = "exprl_outcome",
) -> Callable[[Any, Any], Awaitable[float]]:
    """A reward method for a `vf.Task`.

    Args:
        problems: with their references, or the path of their file; the task's `id` names its problem.
        judge: `MilestoneJudge()` by default.
        verifier, steps: see `exprl.score_batch`.
        weight, name: of the reward.
    Raises:
        DataError, JudgeError: when called: an unknown id; a trace that could not be scored.
    """
    scored = _scoring(Book.of(problems), judge, verifier, steps)

    async def exprl_outcome(self: Any, trace: Any) -> float:
        return await scored(self.data, trace)

    exprl_outcome.__name__ = name
    marked: Callable[[Any, Any], Awaitable[float]] = vf.reward(weight=weight)(exprl_outcome)
    return marked


def judge_class(
    problems: Problems, judge: Judge | None = None, *, verifier: Grader = None, steps: StepRule = "turn"
) -> type:
    """A judge to be plugged into a task's configuration; it needs no endpoint of verifiers' own.

    Args:
        verifier: None: the judge alone decides. See `exprl.score_batch` for the others.
    """
    scored = _scoring(Book.of(problems), judge, verifier, steps)

    class HiddenReferenceJudge(vf.Judge):  # type: ignore[misc]
        """The outcome of a trace against the hidden reference of its task's id."""

        async def score(self, task: Any, trace: Any) -> float:
            return await scored(task, trace)

    return HiddenReferenceJudge


def chat(messages: Iterable[Any]) -> list[dict[str, object]]:
    """verifiers' messages as OpenAI's."""
    return [_message(message) for message in messages]


def _message(message: Any) -> dict[str, object]:
    told: dict[str, object] = message.model_dump(include={"role", "content", "tool_call_id", "name"})
    if calls := getattr(message, "tool_calls", None):
        told["tool_calls"] = [tool_call(call.id, call.name, call.arguments) for call in calls]
    return told


def _scoring(
    book: Book, judge: Judge | None, verifier: Grader, steps: StepRule
) -> Callable[[Any, Any], Awaitable[float]]:
    async def scored(task: Any, trace: Any) -> float:
        problem = book.find(task.id, "verifiers")
        trial = Trial.of(problem, chat(trace.messages))
        (found,) = await score_batch([trial], judge=judge, verifier=verifier, steps=steps)
        trace.info["exprl"] = found.as_dict()
        if found.outcome is None:
            raise JudgeError(f"problem {problem.id!r}: the trace is unscored ({found.unscored}); mend the judge")
        return found.outcome

    return scored
