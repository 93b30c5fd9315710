"""What goes over the wire to a chat endpoint, and what its answer means. Pure: bytes out, bytes in, nothing is sent.

    payload(config, ask) -> bytes            one request, as JSON in UTF-8
    completion(body)     -> Reply | Fault    the first choice, or what is wrong with the body
    refusal(status, ...) -> Fault            what a status other than 200 means
    model_ids(body, m)   -> list of str      what `GET /models` says of the model m

An answer comes from a machine that we do not trust: it may be no JSON, have no choices, counts that are no counts,
nesting without end. Every such body is a short sentence, never an exception, and no sentence quotes the body: a server may
repeat the prompt, and with it the reference.

    >>> completion(b'{"choices": [{"message": {"content": "Score: 4"}, "finish_reason": "stop"}]}').text
    'Score: 4'
    >>> completion(b'{"choices": []}').reason
    'judge reply has no choices'
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple, TypedDict

from exprl.config import LLMJudgeConfig
from exprl.types import Usage

__all__ = [
    "ALWAYS",
    "Ask",
    "Failure",
    "Fault",
    "Message",
    "Reply",
    "TokenChoice",
    "completion",
    "model_ids",
    "passes",
    "payload",
    "refusal",
]

ALWAYS = 1 << 30
"""A fault that is worth as many more attempts as the configuration allows."""

_AGAIN = frozenset((408, 409, 425, 429))
_TOO_MUCH = frozenset((429, 503))
_ALTERNATIVES = 20  # the most that the common servers give
_LARGEST_COUNT = 1 << 40  # a larger token count is no count, and sums of it would not fit a database's integer

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Message(TypedDict):
    """One turn of a chat."""

    role: str
    content: str


class Ask(NamedTuple):
    """One question to a judge model.

    Calls of equal `route` go to the same endpoint, so that its prefix cache holds what they share, and those of equal
    `trace` even where it is full. `max_tokens` None means the configuration's. `logprobs` asks for the likeliest tokens at
    each place of the reply.
    """

    messages: list[Message]
    route: str = ""
    trace: int | None = None
    max_tokens: int | None = None
    response_format: Mapping[str, object] | None = None
    logprobs: bool = False
    seed: int | None = None


class TokenChoice(NamedTuple):
    """One token of a reply, and the likeliest tokens at its place with their log-probabilities."""

    token: str
    alternatives: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model wrote. `cut_short`: it ran into `max_tokens`. `tokens` is empty where not asked for or not given."""

    text: str
    cut_short: bool
    usage: Usage
    tokens: tuple[TokenChoice, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no reply; `usage` counts the requests that were sent for nothing."""

    reason: str
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Fault:
    """One failed attempt.

    `again` is how many more it is worth, `pause` are the seconds that the server asked for. `unreachable`: nothing was
    delivered; `too_much`: the endpoint has more calls than it bears; `falters`: something is wrong with the endpoint.
    """

    reason: str
    again: int
    pause: float | None = None
    unreachable: bool = False
    too_much: bool = False
    falters: bool = False


def payload(config: LLMJudgeConfig, ask: Ask) -> bytes:
    """The body of one request. A lone surrogate, which UTF-8 cannot carry, becomes a question mark."""
    fields: dict[str, object] = {
        "model": config.model,
        "messages": ask.messages,
        "temperature": config.temperature,
        "max_tokens": config.max_tokens if ask.max_tokens is None else ask.max_tokens,
    }
    if ask.response_format is not None:
        fields["response_format"] = dict(ask.response_format)
    if ask.logprobs:
        fields |= {"logprobs": True, "top_logprobs": _ALTERNATIVES}
    if ask.seed is not None:
        fields["seed"] = ask.seed
    return _encode(fields).encode("utf-8", "replace")


def completion(body: bytes | bytearray) -> Reply | Fault:
    """The first choice of a chat completion, or what is wrong with the body."""
    try:
        data: object = json.loads(body)
    except (ValueError, RecursionError):
        return _no_completion("judge reply is not JSON")
    choices = _field(data, "choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if choice is None:
        return _no_completion("judge reply has no choices")
    content = _field(_field(choice, "message"), "content")
    if not isinstance(content, str):
        return _no_completion("judge reply has no text")
    cut_short = _field(choice, "finish_reason") == "length"
    return Reply(content, cut_short, _usage(_field(data, "usage")), _tokens(_field(choice, "logprobs")))


def refusal(status: int, retry_after: str, key_variable: str, who: str = "judge") -> Fault:
    """What a status other than 200 means. `retry_after` is the header of that name, "" where there is none."""
    hint = f" (is {key_variable} set and valid?)" if status in (401, 403) else ""
    return Fault(
        f"{who} answered HTTP {status}{hint}",
        again=ALWAYS if passes(status) else 0,
        pause=_seconds(retry_after),
        too_much=status in _TOO_MUCH,
        falters=status >= 500,
    )


def passes(status: int) -> bool:
    """Whether a status may be another one next time."""
    return status in _AGAIN or status >= 500


def model_ids(body: bytes | bytearray, model: str) -> list[str]:
    """What an endpoint says it serves: the entry named `model`, else all of them; empty where it does not say.

    An entry is its id, and the weights behind it where the server names them (`root`). Of a list that has `model` only
    that entry counts: a provider that adds another model has not changed this one.
    """
    try:
        data: object = json.loads(body)
    except (ValueError, RecursionError):
        return []
    entries = _field(data, "data")
    named = {_model_id(entry) for entry in entries} if isinstance(entries, list) else set()
    found = {(name, root) for name, root in named if name}
    return sorted(" ".join(filter(None, entry)) for entry in {e for e in found if e[0] == model} or found)


def _no_completion(reason: str) -> Fault:
    return Fault(reason, again=ALWAYS, falters=True)


def _seconds(header: str) -> float | None:
    """A `Retry-After`, given in seconds or as a date; None where it is neither."""
    if header.strip().isdecimal():
        return float(header[:9])
    try:
        return max((parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None


def _model_id(entry: object) -> tuple[str, str]:
    name, root = _field(entry, "id"), _field(entry, "root")
    return (name if isinstance(name, str) else "", root if isinstance(root, str) else "")


def _usage(data: object) -> Usage:
    cached = _count(_field(data, "prompt_tokens_details"), "cached_tokens")
    return Usage(1, _count(data, "prompt_tokens"), _count(data, "completion_tokens"), cached)


def _count(data: object, name: str) -> int:
    value = _field(data, name)
    return value if type(value) is int and 0 < value < _LARGEST_COUNT else 0


def _tokens(data: object) -> tuple[TokenChoice, ...]:
    places = _field(data, "content")
    if not isinstance(places, list):
        return ()
    return tuple(TokenChoice(token, _alternatives(place)) for place in places if (token := _token(place)) is not None)


def _alternatives(place: object) -> tuple[tuple[str, float], ...]:
    """The likeliest tokens of a place; the chosen one alone where the server lists none."""
    listed = _field(place, "top_logprobs")
    entries = listed if isinstance(listed, list) and listed else [place]
    found = ((_token(entry), _number(_field(entry, "logprob"))) for entry in entries)
    return tuple((token, value) for token, value in found if token is not None and value is not None)


def _token(entry: object) -> str | None:
    token = _field(entry, "token")
    return token if isinstance(token, str) else None


def _number(value: object) -> float | None:
    if type(value) is int and abs(value) < _LARGEST_COUNT:
        return float(value)
    return value if isinstance(value, float) and math.isfinite(value) else None


def _field(data: object, name: str) -> object:
    return data.get(name) if isinstance(data, dict) else None
