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
from exprl.engines.trl.prompts import prompt_order
from exprl.errors import DataError
from exprl.prompting import ChatTokenizer, encode, messages
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
    if not problems:
        raise DataError("no problems to train on; check data.train and the filter")
    rows: list[dict[str, object]] = []
    for number, problem in enumerate(problems):
        question = problem.question
        length = len(encode(question, prompt, tokenizer, chat))
        if length > method.max_prompt_tokens:
            raise DataError(
                f"problem {problem.id}: its prompt has {length} tokens, over max_prompt_tokens="
                f"{method.max_prompt_tokens}; raise the limit or drop the problem"
            )
        shown = [dict(turn) for turn in messages(question, prompt)]
        rows.append(
            {"prompt": shown, "problem_id": problem.id, "data_source": "exprl", "extra_info": {"index": number}}
        )
    order = prompt_order(len(rows), per_step=method.prompts_per_step, steps=method.steps, seed=seed)
    write_jsonl(path, [rows[number] for number in order.tolist()])
