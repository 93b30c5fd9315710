r"""From a question to the text that a policy continues.

`messages` gives chat messages, `render` the one string that the policy reads: through the tokenizer's chat template
where there is one, else as plain text (system, blank line, user; nothing is added to a user template alone). `encode`
gives the token ids of that string, without a second beginning-of-sequence token after a chat template that wrote one.

What this module refuses: a `Problem` (its reference has no way into a prompt: only a `Question` is accepted), a
template with a control character or a `\boxed` that lost its backslash (a release of the method shipped `\b` as a
backspace), and a chat template that drops the system prompt or the problem. A problem's own text is data: it is
inserted once, by replacement, and never formatted, so `{problem}`, braces and control characters in it stay what they
are.

    >>> messages(Question("q", "What is {problem}?"), PromptConfig(system=None, user="Solve: {problem}"))
    [{'role': 'user', 'content': 'Solve: What is {problem}?'}]
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, Protocol, TypedDict

from exprl.config import PromptConfig
from exprl.errors import ConfigError
from exprl.types import Question

__all__ = ["ChatTokenizer", "Message", "check_template", "encode", "messages", "render", "uses_chat"]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BARE_BOXED = re.compile(r"(?<!\\)\bboxed\{")


class Message(TypedDict):
    """One message of a chat."""

    role: Literal["system", "user"]
    content: str


class ChatTokenizer(Protocol):
    """What is asked of a tokenizer; those of transformers have it."""

    chat_template: str | None

    def apply_chat_template(
        self, conversation: Sequence[Message], *, tokenize: Literal[False], add_generation_prompt: bool
    ) -> str: ...

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...


def check_template(text: str, name: str = "prompt") -> None:
    r"""Refuse a template that was damaged on its way here.

    Raises:
        ConfigError: a control character other than tab and line feed, or `boxed{` without its backslash.
    """
    if bad := _CONTROL.search(text):
        raise ConfigError(
            f"{name}: control character {bad.group()!r} at position {bad.start()}; write \\boxed in a TOML '...' string"
        )
    if bare := _BARE_BOXED.search(text):
        raise ConfigError(
            f"{name}: 'boxed{{' without its backslash at position {bare.start()}; write \\boxed{{}} in TOML '...'"
        )


def messages(question: Question, prompt: PromptConfig) -> list[Message]:
    """The chat messages of a question: the system message, if there is one, and the user message.

    Raises:
        TypeError: given anything but a `Question`, above all a `Problem`.
        ConfigError: see `check_template`.
    """
    if not isinstance(question, Question):
        raise TypeError(f"a prompt is built from a Question, got {type(question).__name__}; pass problem.question")
    check_template(prompt.user, "prompt.user")
    user: Message = {"role": "user", "content": prompt.user.replace("{problem}", question.text, 1)}
    if prompt.system is None:
        return [user]
    check_template(prompt.system, "prompt.system")
    return [{"role": "system", "content": prompt.system}, user]


def uses_chat(tokenizer: ChatTokenizer, chat: bool | None) -> bool:
    """Whether a chat template is applied: as told, or, for None, if the tokenizer has one.

    Raises:
        ConfigError: told to, and there is none.
    """
    has_template = getattr(tokenizer, "chat_template", None) is not None
    if chat and not has_template:
        raise ConfigError("policy.chat = true, but the tokenizer has no chat template; leave it out for plain text")
    return has_template if chat is None else chat


def render(question: Question, prompt: PromptConfig, tokenizer: ChatTokenizer, chat: bool | None = None) -> str:
    """The text that the policy continues.

    Raises:
        TypeError, ConfigError: see `messages` and `uses_chat`; also a chat template that loses a message.
    """
    turns = messages(question, prompt)
    if not uses_chat(tokenizer, chat):
        return "\n\n".join(turn["content"] for turn in turns)
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    _check_kept(turns, text)
    return text


def encode(question: Question, prompt: PromptConfig, tokenizer: ChatTokenizer, chat: bool | None = None) -> list[int]:
    """The token ids of `render`. A chat template writes its own special tokens; plain text gets the tokenizer's."""
    text = render(question, prompt, tokenizer, chat)
    return list(tokenizer.encode(text, add_special_tokens=not uses_chat(tokenizer, chat)))


def _check_kept(turns: Sequence[Message], text: str) -> None:
    for turn in turns:
        if turn["content"].strip() not in text:  # Templates commonly strip the ends; nothing else may go.
            raise ConfigError(
                f"the tokenizer's chat template loses or changes the {turn['role']} message; "
                + ("move prompt.system into prompt.user" if turn["role"] == "system" else "set policy.chat = false")
            )
