"""The file that verl reads: the prompts of a whole stage, in the order of all its steps, with problem ids and nothing else.

    {"prompt": [messages], "problem_id": ..., "data_source": "exprl", "extra_info": {"index": 0}}

Whatever verl's dataset holds goes to every agent loop as arguments, into its trace, and into the files that it dumps; so a
column with a reference is not written in the first place. The order is that of the engine on one machine
(`exprl.engines.trl.prompts`): a stage of the same seed asks the same problems at the same step.

What it refuses: a prompt longer than `max_prompt_tokens`, as that engine does; verl would cut it off at the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from exprl.config import Optimisation, PromptConfig
from exprl.engines.trl.prompts import fitting_questions, prompt_order
from exprl.prompting import ChatTokenizer, messages
from exprl.runs import write_jsonl
from exprl.types import Problem

__all__ = ["write_dataset"]


def write_dataset(
    path: Path,
    problems: Sequence[Problem],
    method: Optimisation,
    prompt: PromptConfig,
    tokenizer: ChatTokenizer,
    *,
    chat: bool | None,
    seed: int,
) -> None:
    """Write `steps x prompts_per_step` rows.

    Raises:
        DataError: no problems, or a prompt that is longer than `max_prompt_tokens`.
    """
    rows: list[dict[str, object]] = [
        {
            "prompt": [dict(turn) for turn in messages(question, prompt)],
            "problem_id": question.id,
            "data_source": "exprl",
            "extra_info": {"index": number},
        }
        for number, question in enumerate(fitting_questions(problems, method, prompt, tokenizer, chat))
    ]
    order = prompt_order(len(rows), per_step=method.prompts_per_step, steps=method.steps, seed=seed)
    write_jsonl(path, [rows[number] for number in order.tolist()])
