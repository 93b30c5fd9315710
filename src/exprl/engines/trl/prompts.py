"""What a stage's trainer sees of its problems: prompts and ids, in the order of all its steps.

The order is written out for the whole stage before it starts, so that it is a function of the seed alone: a resumed stage
finds its place by counting. It goes through all problems again and again, shuffled anew each time; what is left at the end
of a pass comes first in the next, so every problem is asked equally often, and the problems of a step are all different
unless there are fewer than `prompts_per_step` (then a step holds several groups of one problem).

What it refuses: a prompt longer than `max_prompt_tokens`.

    >>> prompt_order(3, per_step=2, steps=3, seed=0).tolist()  # doctest: +SKIP
    [2, 0, 1, 2, 0, 1]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from exprl.config import Optimisation, PromptConfig
from exprl.errors import DataError
from exprl.prompting import ChatTokenizer, encode, messages, render, uses_chat
from exprl.types import Problem, Question

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

__all__ = ["fitting_questions", "prompt_order", "prompts_of"]


def prompts_of(
    problems: Sequence[Problem],
    optimisation: Optimisation,
    prompt: PromptConfig,
    tokenizer: PreTrainedTokenizerBase,
    *,
    chat: bool | None,
    seed: int,
) -> Dataset:
    """The rows of a stage, `prompts_per_step` a step: `prompt` (messages, or text without a chat template), `problem_id`.

    Raises:
        DataError: no problems, or a prompt that is longer than `max_prompt_tokens`.
    """
    from datasets import Dataset

    as_messages = uses_chat(tokenizer, chat)
    rows: list[dict[str, object]] = [
        {
            "prompt": messages(question, prompt) if as_messages else render(question, prompt, tokenizer, chat),
            "problem_id": question.id,
        }
        for question in fitting_questions(problems, optimisation, prompt, tokenizer, chat)
    ]
    order = prompt_order(len(rows), per_step=optimisation.prompts_per_step, steps=optimisation.steps, seed=seed)
    return Dataset.from_list(rows).select(order)


def fitting_questions(
    problems: Sequence[Problem],
    optimisation: Optimisation,
    prompt: PromptConfig,
    tokenizer: ChatTokenizer,
    chat: bool | None,
) -> list[Question]:
    """The questions of a stage, every one of which fits into its prompt.

    Raises:
        ConfigError: a chat template that loses the problem.
        DataError: no problems, or a prompt that is longer than `max_prompt_tokens`.
    """
    if not problems:
        raise DataError("no problems to train on; check data.train and the filter")
    questions = [problem.question for problem in problems]
    for question in questions:
        length = len(encode(question, prompt, tokenizer, chat))
        if length > optimisation.max_prompt_tokens:
            raise DataError(
                f"problem {question.id}: its prompt has {length} tokens, over max_prompt_tokens="
                f"{optimisation.max_prompt_tokens}; raise the limit or drop the problem"
            )
    return questions


def prompt_order(problems: int, *, per_step: int, steps: int, seed: int) -> NDArray[np.int64]:
    """(steps * per_step,) the number of each prompt's problem."""
    random = np.random.default_rng(seed)
    order: list[int] = []
    waiting: list[int] = []
    for _ in range(steps):
        while len(waiting) < per_step:
            # Those that wait already go to the end of the new pass, so that a step does not ask one twice.
            waiting += sorted(random.permutation(problems).tolist(), key=frozenset(waiting).__contains__)
        order += waiting[:per_step]
        waiting = waiting[per_step:]
    return np.array(order, dtype=np.int64)
