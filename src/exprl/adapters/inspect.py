"""A scorer for Inspect: outcome and prefix scores of a sample against its hidden reference.

    @task
    def teas() -> Task:
        return Task(dataset=[Sample(id="p1", input="...")], solver=..., scorer=hidden_reference(problems, judge))

A sample's `id` is the problem's; its `target` stays empty, since Inspect logs targets. It logs a scorer's arguments as well:
so the problems are closed over, and never passed to what it registers. In the log, as `inspect view` shows it, stand

    value        the outcome; unscored as Inspect has it (NaN, left out of every metric), with the reason
    metadata     each step's role, tools, score and credit, and who decided

and no word of the judge's, which may quote the reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr

from exprl.adapters.book import Book, Problems
from exprl.agents.outcome import Grader
from exprl.agents.result import TraceScore
from exprl.agents.scoring import score_batch
from exprl.agents.trial import Trial
from exprl.judge import Judge
from exprl.turns import StepRule, tool_call

if TYPE_CHECKING:
    from inspect_ai.solver import TaskState

__all__ = ["chat", "hidden_reference"]


def hidden_reference(
    problems: Problems,
    judge: Judge | None = None,
    *,
    verifier: Grader = "strongest",
    steps: StepRule = "turn",
    name: str = "exprl",
) -> Scorer:
    """A scorer against the references of `problems`.

    Args:
        problems: with their references, or the path of their file; a sample's id names its problem.
        judge: `MilestoneJudge()` by default.
        verifier, steps: see `exprl.score_batch`.
        name: of the scorer in the log.
    Raises:
        DataError: when called: a sample whose id is not among the problems.
    """
    book = Book.of(problems)

    def make() -> Scorer:
        async def score(state: TaskState, target: Target) -> Score:
            problem = book.find(state.sample_id, "Inspect")
            trial = Trial.of(problem, chat(state.messages))
            (found,) = await score_batch([trial], judge=judge, verifier=verifier, steps=steps)
            return _score(found)

        return score

    made: Scorer = scorer(metrics=[mean(), stderr()], name=name)(make)()
    return made


def chat(messages: Sequence[Any]) -> list[dict[str, object]]:
    """Inspect's messages as OpenAI's."""
    return [_message(message) for message in messages]


def _message(message: Any) -> dict[str, object]:
    told: dict[str, object] = {"role": message.role, "content": message.text}
    if calls := getattr(message, "tool_calls", None):
        told["tool_calls"] = [tool_call(call.id, call.function, call.arguments) for call in calls]
    if message.role == "tool":
        told |= {"tool_call_id": message.tool_call_id, "name": message.function}
        if message.error is not None:
            told["content"] = f"error: {message.error.message}"
    return told


def _score(found: TraceScore) -> Score:
    metadata: Mapping[str, object] = found.as_dict()
    if found.outcome is None:
        return Score.unscored(reason="other", explanation=found.unscored, metadata=dict(metadata))
    shown = " ".join("?" if step.score is None else f"{step.score:.2f}" for step in found.steps)
    return Score(value=found.outcome, explanation=f"by {found.decided_by}; prefixes {shown}", metadata=dict(metadata))
