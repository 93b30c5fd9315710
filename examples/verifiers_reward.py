"""verifiers asks for a reward, and a hidden reference gives it: `exprl.adapters.verifiers`.

    pip install 'exprl[verifiers]'
    python examples/verifiers_reward.py            # scores two written conversations, no model, no network

`Teas` is the task of an environment: its data hold a problem's id, and its reward looks the reference up. `Hidden` is
the same as a judge to be plugged into any task's configuration: `judges = [{id = "verifiers_reward"}]`, by this module's
name.
"""

from __future__ import annotations

import asyncio
import json

import verifiers.v1 as vf

import exprl
from exprl.adapters.verifiers import judge_class, outcome_reward

PROBLEMS = [
    exprl.Problem("teas", "What do 3 teas at 4 and a cake at 5 cost?", exprl.Reference("3*4=12\n12+5=17", "17")),
]


class Teas(vf.Task[vf.TaskData, vf.State, vf.TaskConfig]):
    """A question whose reference is nowhere in its data."""

    hidden = outcome_reward(PROBLEMS, exprl.MilestoneJudge())


Hidden = judge_class(PROBLEMS, exprl.MilestoneJudge())

__all__ = ["Hidden"]


def tasks(config: vf.TaskConfig | None = None) -> list[Teas]:
    """One task a problem."""
    return [Teas(vf.TaskData(id=problem.id, prompt=problem.text), config) for problem in PROBLEMS]


def traced(task: vf.Task, messages: list[vf.Message]) -> vf.Trace:
    """The trace of a conversation that has been had."""
    trace = vf.Trace(
        task=vf.TraceTask(type=type(task).__name__, data=task.data), agent=vf.AgentInfo(config=vf.AgentConfig())
    )
    for place, message in enumerate(messages):
        trace.nodes.append(vf.MessageNode(parent=place - 1 if place else None, message=message))
    return trace


def conversation(last: str) -> list[vf.Message]:
    """A call of a tool, its result, and last words."""
    call = vf.ToolCall(id="c1", name="calculate", arguments='{"expression": "3*4"}')
    return [
        vf.UserMessage(content=PROBLEMS[0].text),
        vf.AssistantMessage(tool_calls=[call]),
        vf.ToolMessage(tool_call_id="c1", content="3*4 = 12"),
        vf.AssistantMessage(content=last),
    ]


async def scored(last: str, config: vf.TaskConfig | None = None) -> vf.Trace:
    """Score a conversation as verifiers does after a rollout."""
    (task,) = tasks(config)
    trace = traced(task, conversation(last))
    await task.score(trace)
    return trace


def main() -> None:
    for last in ("12+5=17. The answer is 17.", "The answer is 12."):
        trace = asyncio.run(scored(last))
        print(f"{last!r}: {trace.rewards['exprl_outcome'].score}")
        print(f"  {json.dumps(trace.info['exprl']['steps'])}")


if __name__ == "__main__":
    main()
