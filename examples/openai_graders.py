"""Graders in OpenAI's JSON run here: `exprl.adapters.graders`.

    python examples/openai_graders.py                                          # string_check and multi: no model
    python examples/openai_graders.py --url http://127.0.0.1:8080/v1 --model m # score_model as well, by your endpoint
    python examples/openai_graders.py --export outcome                         # a rubric of ours as a score_model grader

What is printed has the shape of their `graders/run` response. A grader that gives no reward has `null`, never 0.
"""

from __future__ import annotations

import argparse
import asyncio
import json

from exprl.adapters.graders import run_grader, score_model_of
from exprl.config import LLMJudgeConfig

ITEM = {"question": "What do 3 teas at 4 and a cake at 5 cost?", "reference": "3*4=12, 12+5=17", "answer": "17"}
SAMPLE = "3*4=12, and the cake makes it 17."
STATES = {
    "type": "string_check",
    "name": "states_the_answer",
    "input": "{{sample.output_text}}",
    "reference": "{{item.answer}}",
    "operation": "like",
}
SHORT = {**STATES, "name": "shows_a_product", "reference": "*"}
BOTH = {
    "type": "multi",
    "name": "both",
    "graders": {"answer": STATES, "product": SHORT},
    "calculate_output": "0.75 * answer + 0.25 * product",
}


def graders(model: str | None) -> list[dict[str, object]]:
    """Those that can be run: with a model also a rubric of ours in their form."""
    return [STATES, BOTH] + ([score_model_of("outcome", model=model)] if model else [])


async def run(model: str | None = None, url: str = "") -> list[dict[str, object]]:
    """The responses of all graders on one sample."""
    config = LLMJudgeConfig(model=model, url=url) if model else None
    return [
        await run_grader({"grader": grader, "model_sample": SAMPLE, "item": ITEM}, config) for grader in graders(model)
    ]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--url", default="")
    asked.add_argument("--model")
    asked.add_argument("--export", metavar="RUBRIC")
    given = asked.parse_args()
    if given.export:
        print(json.dumps(score_model_of(given.export, model=given.model or "gpt-5-mini"), indent=2))
        return
    for response in asyncio.run(run(given.model, given.url)):
        print(json.dumps(response, indent=2))


if __name__ == "__main__":
    main()
