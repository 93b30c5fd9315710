"""Inspect evaluates an agent, and a hidden reference scores it: `exprl.adapters.inspect.hidden_reference`.

    pip install 'exprl[inspect]'
    python examples/inspect_scorer.py --logs logs            # a scripted model, no network
    inspect view --log-dir logs                              # the log in Inspect's own viewer

With a model of yours: `--model openai/gpt-4o-mini`, or any other that Inspect knows. The log holds outcomes, prefix scores and
credit a step, and neither references nor a judge's words.
"""

from __future__ import annotations

import argparse

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog
from inspect_ai.model import Model, ModelOutput, ModelUsage, get_model
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import Tool, tool

import exprl
from exprl.adapters.inspect import hidden_reference

PROBLEMS = [
    exprl.Problem("teas", "What do 3 teas at 4 and a cake at 5 cost?", exprl.Reference("3*4=12\n12+5=17", "17")),
    exprl.Problem(
        "cups", "How many cups are 4 trays of 6 less 3 broken ones?", exprl.Reference("4*6=24\n24-3=21", "21")
    ),
]


@tool
def times() -> Tool:
    async def execute(left: int, right: int) -> str:
        """Multiply two numbers.

        Args:
            left: one number.
            right: the other.
        """
        return f"{left}*{right} = {left * right}"

    return execute


def task() -> Task:
    """Questions without references; the scorer looks them up by the samples' ids."""
    return Task(
        dataset=[Sample(id=problem.id, input=problem.text) for problem in PROBLEMS],
        solver=[use_tools(times()), generate()],
        scorer=hidden_reference(PROBLEMS, exprl.MilestoneJudge()),
        name="teas",
    )


def scripted() -> Model:
    """Plays a model: right on the first question, and a step short of it on the second."""
    calls = [("times", {"left": 3, "right": 4}), ("times", {"left": 4, "right": 6})]
    ends = ["12+5=17. The answer is 17.", "The answer is 24."]
    outputs = []
    for (name, arguments), end in zip(calls, ends, strict=True):
        outputs += [
            ModelOutput.for_tool_call("mockllm/model", name, arguments),
            ModelOutput.from_content("mockllm/model", end),
        ]
    for output in outputs:
        output.usage = ModelUsage()  # else Inspect fetches a tokenizer to count what was scripted
    return get_model("mockllm/model", custom_outputs=outputs)


def run(logs: str, model: str | None = None) -> EvalLog:
    """Evaluate; the log is written to the folder `logs`."""
    (log,) = eval(task(), model=model or scripted(), log_dir=logs, max_samples=1, display="none", log_format="json")
    return log


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--logs", default="logs")
    asked.add_argument("--model")
    given = asked.parse_args()
    log = run(given.logs, given.model)
    for sample in log.samples or []:
        found = (sample.scores or {})["exprl"]
        print(f"{sample.id}: outcome {found.value}, {found.explanation}")
    print(f"log: {log.location}")


if __name__ == "__main__":
    main()
