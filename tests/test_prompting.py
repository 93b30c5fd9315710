r"""Prompts are made of questions only, arrive undamaged, and treat a problem's text as data."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.config import POLICY_SYSTEM_PROMPT, PromptConfig
from exprl.errors import ConfigError
from exprl.prompting import Message, check_template, encode, messages, render, uses_chat
from exprl.types import Problem, Question, Reference

BARE = PromptConfig(system=None)


class FakeTokenizer:
    """A tokenizer whose chat template is a line a message."""

    def __init__(self, chat_template: str | None = "lines", drop: str | None = None) -> None:
        self.chat_template = chat_template
        self._drop = drop

    def apply_chat_template(
        self, conversation: Sequence[Message], *, tokenize: bool, add_generation_prompt: bool
    ) -> str:
        assert not tokenize
        turns = [f"<{turn['role']}>{turn['content'].strip()}" for turn in conversation if turn["role"] != self._drop]
        return "<s>" + "\n".join(turns) + ("\n<assistant>" if add_generation_prompt else "")

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [1] * add_special_tokens + [ord(character) for character in text]


def ask(text: str) -> Question:
    return Question("q", text)


def test_the_default_prompt_is_one_system_sentence_and_the_bare_problem() -> None:
    assert messages(ask("1 + 1?"), PromptConfig()) == [
        {"role": "system", "content": POLICY_SYSTEM_PROMPT},
        {"role": "user", "content": "1 + 1?"},
    ]


def test_a_chat_template_is_applied_where_there_is_one() -> None:
    prompt = PromptConfig(system="Think.")
    assert render(ask("1?"), prompt, FakeTokenizer()) == "<s><system>Think.\n<user>1?\n<assistant>"
    assert render(ask("1?"), prompt, FakeTokenizer(None)) == "Think.\n\n1?"
    assert render(ask("1?"), prompt, FakeTokenizer(), chat=False) == "Think.\n\n1?"
    assert render(ask("1?"), BARE, FakeTokenizer(None)) == "1?"


def test_special_tokens_are_added_once() -> None:
    assert encode(ask("1"), BARE, FakeTokenizer(None)) == [1, ord("1")]
    assert encode(ask("1"), BARE, FakeTokenizer())[0] == ord("<")


def test_a_chat_that_cannot_be_is_refused() -> None:
    assert not uses_chat(FakeTokenizer(None), None)
    with pytest.raises(ConfigError, match="has no chat template"):
        render(ask("1?"), BARE, FakeTokenizer(None), chat=True)


def test_a_chat_template_that_drops_a_message_is_refused() -> None:
    with pytest.raises(ConfigError, match="loses or changes the system message; move"):
        render(ask("1?"), PromptConfig(), FakeTokenizer(drop="system"))
    with pytest.raises(ConfigError, match="loses or changes the user message"):
        render(ask("1?"), PromptConfig(), FakeTokenizer(drop="user"))


def test_a_problem_is_refused_whatever_it_is_given_to() -> None:
    problem = Problem("p", "1?", Reference("CANARY", "CANARY"))
    with pytest.raises(TypeError, match=r"got Problem; pass problem\.question") as caught:
        render(problem, BARE, FakeTokenizer())  # type: ignore[arg-type]
    assert "CANARY" not in str(caught.value)
    assert render(problem.question, BARE, FakeTokenizer(None)) == "1?"


@given(st.text())
def test_a_problems_text_arrives_as_it_is(text: str) -> None:
    prompt = PromptConfig(system=None, user="Solve {problem}.")
    assert render(ask(text), prompt, FakeTokenizer(None)) == f"Solve {text}."


@pytest.mark.parametrize("text", ["{problem}", "{0} {x!r} %s", "\x08oxed{1}", "boxed{2}", "", "\\boxed{}"])
def test_braces_placeholders_and_control_characters_in_a_problem_are_data(text: str) -> None:
    assert messages(ask(text), BARE)[-1]["content"] == text
    assert text.strip() in render(ask(text), PromptConfig(), FakeTokenizer())


@pytest.mark.parametrize("damaged", ["within \boxed{}", "within boxed{}", "a\rb", "\x7f", "a\x0bb", "a\x85b"])
def test_a_damaged_template_is_refused_here_as_in_the_configuration(damaged: str) -> None:
    with pytest.raises(ConfigError, match=r"control character|without its backslash"):
        check_template(damaged)
    with pytest.raises(ValueError, match=r"control character|without its backslash"):
        PromptConfig(system=damaged)
    # A configuration made without validation, as by model_construct or model_copy, is caught on the way to the policy.
    with pytest.raises(ConfigError, match=r"prompt\.system: "):
        messages(ask("1?"), PromptConfig().model_copy(update={"system": damaged}))


@pytest.mark.parametrize("intact", [POLICY_SYSTEM_PROMPT, "tab\tand\nline feed", r"\boxed{}", "unboxed{}", "boxed"])
def test_an_intact_template_passes(intact: str) -> None:
    check_template(intact)
    PromptConfig(system=intact)
