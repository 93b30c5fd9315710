r"""Cut a conversation into steps: chat messages in, one text and its character spans out. Pure.

Messages are OpenAI's: a `role` (system, user, assistant, tool), `content` as text or as parts, `tool_calls` of an assistant,
`tool_call_id` of a tool. What stands before the first assistant message is the task and no part of the trace.

    turn      an assistant message and all that answers it (tool results, a user's reply) are one step; the default
    message   every message is a step: calling a tool and reading its result are scored apart

The text is what a judge reads. Every message has a heading of ours at the start of a line, and each line of its content
is indented, whichever character ends a line; so no content can pass for a tool's result or for another message:

    [assistant]
      I need the price.
    [assistant calls lookup]
      {"item": "tea"}
    [lookup returns]
      tea = 4

What it refuses: roles and shapes that it does not know (`DataError` with the message's number, and never its content).
Images and other parts that are no text are named, not shown.

    >>> told = converse([{"role": "assistant", "content": "3+4=7"}, {"role": "tool", "content": "ok"}], "message")
    >>> told.text, [(step.start, step.end, step.role) for step in told.steps]
    ('[assistant]\n  3+4=7\n[tool returns]\n  ok\n', [(0, 20, 'assistant'), (20, 40, 'tool')])
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from exprl.errors import DataError

__all__ = ["ChatMessage", "Conversation", "Step", "StepRule", "converse", "last_words", "task_of", "tool_call"]

ChatMessage = Mapping[str, object]
StepRule = Literal["turn", "message"]
Role = Literal["system", "user", "assistant", "tool"]

_ROLES: tuple[str, ...] = get_args(Role)
_SAME_ROLE = {"developer": "system", "function": "tool"}
_LINE_END = re.compile("\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


class Step(NamedTuple):
    """One step as the half-open span [start, end): who begins it, which tools it calls, its messages [first, last)."""

    start: int
    end: int
    role: str
    tools: tuple[str, ...]
    messages: tuple[int, int]


class Conversation(NamedTuple):
    """A conversation as one text and the steps that tile it."""

    text: str
    steps: tuple[Step, ...]


def converse(messages: Sequence[ChatMessage], rule: StepRule = "turn") -> Conversation:
    """The trace of a conversation, from its first assistant message on, and its steps.

    Args:
        messages: as a chat endpoint takes and gives them, all of the conversation.
        rule: where a step ends.
    Returns:
        Steps in order that join to the text; none where no assistant speaks.
    Raises:
        DataError: a message without a known role, with content of no known shape, or a rule that does not exist.
    """
    if rule not in get_args(StepRule):
        raise DataError(f"steps are cut by 'turn' or 'message', got {rule!r}")
    steps: list[Step] = []
    pieces: list[str] = []
    names: dict[object, str] = {}
    start = end = 0
    for number in range(_first_assistant(messages), len(messages)):
        role, message = _role(messages[number], number), messages[number]
        calls = _calls(message, number)
        names.update({call_id: name for call_id, name, _ in calls})
        piece = _written(role, message, number, calls, names)
        pieces.append(piece)
        end += len(piece)
        if not steps or rule == "message" or role == "assistant":
            steps.append(Step(start, end, role, tuple(name for _, name, _ in calls), (number, number + 1)))
        else:
            steps[-1] = steps[-1]._replace(end=end, messages=(steps[-1].messages[0], number + 1))
        start = end
    return Conversation("".join(pieces), tuple(steps))


def tool_call(id_: object, name: str, arguments: object) -> dict[str, object]:
    """A call of a tool as an assistant message holds it in `tool_calls`."""
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def task_of(messages: Sequence[ChatMessage]) -> str:
    """What was asked: the text of the messages before the first assistant message, with blank lines between them.

    Raises:
        DataError: see `converse`.
    """
    texts = [_content(messages[number], number) for number in range(_first_assistant(messages))]
    return "\n\n".join(text for text in texts if text)


def last_words(messages: Sequence[ChatMessage]) -> str:
    """The text of the last assistant message: where a final answer stands. A tool's result is no answer.

    Raises:
        DataError: see `converse`.
    """
    said = [number for number in range(len(messages)) if _role(messages[number], number) == "assistant"]
    return _content(messages[said[-1]], said[-1]) if said else ""


def _first_assistant(messages: Sequence[ChatMessage]) -> int:
    roles = (_role(message, number) for number, message in enumerate(messages))
    return next((number for number, role in enumerate(roles) if role == "assistant"), len(messages))


def _role(message: ChatMessage, number: int) -> str:
    role = message.get("role") if isinstance(message, Mapping) else None
    role = _SAME_ROLE.get(role, role) if isinstance(role, str) else None
    if role not in _ROLES:
        raise DataError(f"message {number} has no role among {', '.join(_ROLES)}; give OpenAI chat messages")
    return role


class _Call(NamedTuple):
    id: object
    name: str
    arguments: str


def _calls(message: ChatMessage, number: int) -> list[_Call]:
    calls = message.get("tool_calls")
    if calls is None:
        return []
    if not isinstance(calls, Sequence) or isinstance(calls, str):
        raise DataError(f"message {number}: tool_calls is a list, got {type(calls).__name__}")
    return [_call(call, number) for call in calls]


def _call(call: object, number: int) -> _Call:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(call, Mapping) or not isinstance(function, Mapping):
        raise DataError(f"message {number}: a tool call has a `function` with `name` and `arguments`")
    arguments = function.get("arguments", "")
    if not isinstance(arguments, str):  # some harnesses give them parsed
        arguments = json.dumps(arguments, ensure_ascii=False, default=lambda other: type(other).__name__)
    return _Call(_hashable(call.get("id")), _tool_name(function.get("name")), arguments)


def _written(role: str, message: ChatMessage, number: int, calls: Sequence[_Call], names: Mapping[object, str]) -> str:
    content = _content(message, number)
    if role == "tool":
        name = names.get(_hashable(message.get("tool_call_id"))) or _tool_name(message.get("name"))
        return _headed(f"{name} returns", content)
    said = _headed(role, content) if content or not calls else ""
    return said + "".join(_headed(f"{role} calls {call.name}", call.arguments) for call in calls)


def _headed(heading: str, content: str) -> str:
    indented = "\n  ".join(_LINE_END.split(content))
    return f"[{heading}]\n  {indented}\n" if content else f"[{heading}]\n"


def _content(message: ChatMessage, number: int) -> str:
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, Sequence):
        raise DataError(f"message {number}: content is text or a list of parts, got {type(content).__name__}")
    return "\n".join(_part(part, number) for part in content)


def _part(part: object, number: int) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, Mapping) else None
    if not isinstance(part, Mapping) or not isinstance(kind, str):
        raise DataError(f"message {number}: a part of its content has no type")
    text = part.get("text")
    return text if isinstance(text, str) else f"({_tool_name(kind)} left out)"


def _hashable(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _tool_name(name: object) -> str:
    """A tool's name as it may stand in a heading: a policy chooses it, and may choose a line break."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else "tool"
