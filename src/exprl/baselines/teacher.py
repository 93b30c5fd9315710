r"""The teacher of self-distillation: the initial weights, shown the problem and its reference solution.

The teacher's prompt is the policy's own, its user message followed by the reference and one sentence:

    <user message of the policy>

    Here is a reference solution of this problem:

    <reference>

    Understand it, then solve the problem in your own way.

It is the evaluator's side: it is built here, as token ids, for the teacher alone; the policy's prompt never holds the
reference (`exprl.prompting` takes a question). Texts are laid one after the other and never formatted.

What it refuses: a prompt over `max_teacher_tokens`, prompt and answer beyond the model's positions, a chat template that
loses the reference. Errors name the problem's id and lengths, and quote nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exprl.config import PolicyConfig, PromptConfig, SelfDistillConfig
from exprl.engines.trl.checkpoint import loading
from exprl.engines.trl.logprobs import token_log_probs
from exprl.engines.trl.surroundings import pick_device
from exprl.errors import ConfigError, DataError
from exprl.methods.batch import Floats
from exprl.prompting import ChatTokenizer, messages, uses_chat
from exprl.types import Problem

__all__ = ["Teacher", "teacher_prompt", "teacher_prompts"]

_BEFORE = "Here is a reference solution of this problem:"
_AFTER = "Understand it, then solve the problem in your own way."


def teacher_prompt(problem: Problem, prompt: PromptConfig, tokenizer: ChatTokenizer, chat: bool | None) -> list[int]:
    """The token ids that the teacher continues. They hold the reference.

    Raises:
        ConfigError: the chat template loses the reference.
        DataError: there is no reference solution.
    """
    solution = problem.reference.reveal().solution
    if solution is None:
        raise DataError(f"problem {problem.id}: no reference solution, which its teacher would be shown")
    question = problem.question
    turns = messages(question, prompt)
    turns[-1]["content"] = "\n\n".join((turns[-1]["content"], _BEFORE, solution, _AFTER))
    if not uses_chat(tokenizer, chat):
        return list(tokenizer.encode("\n\n".join(turn["content"] for turn in turns), add_special_tokens=True))
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    if solution.strip() not in text:
        raise ConfigError("the tokenizer's chat template loses or changes the reference; set policy.chat = false")
    return list(tokenizer.encode(text, add_special_tokens=False))


def teacher_prompts(
    path: str,
    problems: Sequence[Problem],
    settings: SelfDistillConfig,
    policy: PolicyConfig,
    prompt: PromptConfig,
    tokenizer: ChatTokenizer,
) -> dict[str, list[int]]:
    """Problem id -> the token ids that the teacher continues, all of which fit into the model at `path`.

    Raises:
        ConfigError, DataError: see `teacher_prompt`; or one does not fit.
    """
    prompts = {problem.id: teacher_prompt(problem, prompt, tokenizer, policy.chat) for problem in problems}
    _check_room(prompts, settings, _positions(path))
    return prompts


class Teacher:
    """The initial weights with, for every problem, a prompt that holds its reference."""

    def __init__(
        self,
        path: str,
        problems: Sequence[Problem],
        settings: SelfDistillConfig,
        policy: PolicyConfig,
        prompt: PromptConfig,
        tokenizer: ChatTokenizer,
    ) -> None:
        self._path, self._settings, self._policy = path, settings, policy
        self._prompts = teacher_prompts(path, problems, settings, policy, prompt, tokenizer)
        self._model: Any = None

    def log_probs(self, problem_ids: Sequence[str], completions: Sequence[Sequence[int]]) -> list[Floats]:
        """R arrays (T_r,): the teacher's log-probability of each sampled token, at the sampling temperature."""
        import torch

        model = self._loaded()
        # The arithmetic of the student: float32 weights, computed with in bf16 where the policy is.
        with torch.autocast(model.device.type, torch.bfloat16, enabled=self._policy.dtype == "bfloat16"):
            return token_log_probs(
                model,
                [self._prompts[problem_id] for problem_id in problem_ids],
                completions,
                temperature=self._settings.temperature,
                rows=self._settings.micro_batch or 64,
            )

    def _loaded(self) -> Any:
        if self._model is None:
            import torch
            from transformers import AutoModelForCausalLM

            with loading(self._path):
                model = AutoModelForCausalLM.from_pretrained(self._path, dtype=torch.float32, use_safetensors=True)
            self._model = model.to(pick_device(self._policy)).eval().requires_grad_(False)
        return self._model


def _check_room(prompts: dict[str, list[int]], settings: SelfDistillConfig, positions: int | None) -> None:
    name = max(prompts, key=lambda name: len(prompts[name]))
    longest = len(prompts[name])
    if longest > settings.max_teacher_tokens:
        raise DataError(
            f"problem {name}: the teacher's prompt, with the reference, has {longest} tokens, over "
            f"max_teacher_tokens={settings.max_teacher_tokens}; raise the limit or drop the problem"
        )
    if positions is not None and longest + settings.max_tokens > positions:
        raise DataError(
            f"problem {name}: the teacher's prompt, with the reference, has {longest} tokens, and max_tokens="
            f"{settings.max_tokens} more do not fit into the model's {positions} positions; lower max_tokens or drop it"
        )


def _positions(path: str) -> int | None:
    file = Path(path) / "config.json"
    found = json.loads(file.read_text("utf-8")).get("max_position_embeddings") if file.is_file() else None
    return found if isinstance(found, int) else None
