"""One chat completion after another from an OpenAI-compatible endpoint: bounded, patient, and never an exception.

    complete(messages) -> Reply | Failure

A `Failure` carries a reason that is safe to show: a status code, a kind of fault, host and port. It never holds the
body of an answer (a server may quote the prompt, and with it the reference), the key, or credentials of the URL.

What is tried again, up to `retries` times with growing pauses: 408, 409, 425, 429, 5xx, a dropped connection, a body
that is not a completion. A hang (`timeout` seconds an attempt) is tried again once. `Retry-After` (seconds or a date)
sets the pause, up to 60 s. Other statuses are final. A server that cannot be reached is asked once more; then every
call fails at once for five seconds, so that a batch of thousands notices a dead judge in about a second and the run
can pause.

The key is read from the environment when the client is made. Redirects are not followed: it goes to the stated host
only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

import aiohttp

from exprl.config import LLMJudgeConfig
from exprl.errors import JudgeError
from exprl.judge.template import Message
from exprl.types import Usage

__all__ = ["ChatClient", "Failure", "Reply"]

_AGAIN = frozenset((408, 409, 425, 429))
_CONNECT = 5.0
_DOWN = 5.0
_LONGEST_PAUSE = 60.0
_LARGEST_BODY = 4 << 20


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model wrote. `cut_short` says that it ran into `max_tokens`."""

    text: str
    cut_short: bool
    usage: Usage


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no reply; `usage` counts the requests that were sent for nothing."""

    reason: str
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class _Fault:
    """One failed attempt. `again` is how many more it is worth; `pause` are the seconds that the server asked for."""

    reason: str
    again: int
    pause: float | None = None
    unreachable: bool = False


class _Down(NamedTuple):
    """Until when calls fail at once, in monotonic seconds, and why."""

    until: float
    reason: str


class _Loop:
    """What belongs to one event loop: its session and its limit of calls in flight."""

    def __init__(self, concurrency: int, timeout: float) -> None:
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=min(_CONNECT, timeout))
        self.session = aiohttp.ClientSession(timeout=limits, connector=aiohttp.TCPConnector(limit=concurrency))
        self.slots = asyncio.Semaphore(concurrency)


class ChatClient:
    """Chat completions at `config.url`, at most `config.concurrency` in flight in each event loop.

    Raises:
        JudgeError: the URL is no http(s) URL.
    """

    def __init__(self, config: LLMJudgeConfig) -> None:
        parts = urlsplit(config.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise JudgeError("judge.url is not an http(s) URL with a host; write e.g. url = 'http://127.0.0.1:8000/v1'")
        self._config = config
        self._url = config.url.rstrip("/") + "/chat/completions"
        self._headers = _authorisation(config.api_key_env)
        self._where = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}
        self._down = _Down(-math.inf, "")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections of this event loop, and of others that still run (a trainer's, in its own thread)."""
        here = asyncio.get_running_loop()
        for loop in list(self._loops):
            session = self._loops.pop(loop).session
            if loop is here:
                await session.close()
            elif loop.is_running():
                closing = asyncio.run_coroutine_threadsafe(session.close(), loop)
                with contextlib.suppress(TimeoutError):  # it stopped in between
                    await asyncio.wait_for(asyncio.wrap_future(closing), _CONNECT)
            else:
                session.detach()

    async def complete(self, messages: list[Message]) -> Reply | Failure:
        """Ask for one completion. Waits for a free slot, tries again as described above."""
        here = self._here()
        sent = 0
        async with here.slots:
            while time.monotonic() >= self._down.until:
                outcome = await self._attempt(here.session, messages)
                sent += 1
                if isinstance(outcome, Reply):
                    return Reply(outcome.text, outcome.cut_short, Usage(calls=sent - 1) + outcome.usage)
                if sent > min(outcome.again, self._config.retries):
                    return self._give_up(outcome, sent)
                await asyncio.sleep(_pause(outcome, sent))
        return Failure(self._down.reason, Usage(calls=sent))

    def _give_up(self, fault: _Fault, sent: int) -> Failure:
        if fault.unreachable:
            self._down = _Down(time.monotonic() + _DOWN, fault.reason)
        return Failure(fault.reason, Usage(calls=sent))

    def _here(self) -> _Loop:
        loop = asyncio.get_running_loop()
        if loop not in self._loops:
            for gone in [other for other in self._loops if other.is_closed()]:
                self._loops.pop(gone).session.detach()
            self._loops[loop] = _Loop(self._config.concurrency, self._config.timeout)
        return self._loops[loop]

    async def _attempt(self, session: aiohttp.ClientSession, messages: list[Message]) -> Reply | _Fault:
        config = self._config
        payload: dict[str, object] = {
            "model": config.model,
            "messages": messages,
            "temperature": config.temperature,
            "max_tokens": config.max_tokens,
        }
        if config.structured:
            payload["response_format"] = _VERDICT_FORMAT
        try:
            async with session.post(self._url, json=payload, headers=self._headers, allow_redirects=False) as response:
                if response.status != 200:
                    return self._refused(response.status, response.headers)
                return await self._read(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return _Fault(f"judge unreachable: {type(error).__name__} at {self._where}", again=1, unreachable=True)
        except TimeoutError:
            return _Fault(f"judge timeout: no reply within {config.timeout:g} s", again=1)
        except (aiohttp.ClientError, OSError) as error:
            return _Fault(f"judge connection lost: {type(error).__name__}", again=config.retries)

    def _refused(self, status: int, headers: Mapping[str, str]) -> _Fault:
        hint = f" (is {self._config.api_key_env} set and valid?)" if status in (401, 403) else ""
        again = self._config.retries if status in _AGAIN or status >= 500 else 0
        return _Fault(
            f"judge answered HTTP {status}{hint}", again=again, pause=_retry_after(headers.get("Retry-After", ""))
        )

    async def _read(self, response: aiohttp.ClientResponse) -> Reply | _Fault:
        body = bytearray()
        async for chunk in response.content.iter_chunked(1 << 16):
            body += chunk
            if len(body) > _LARGEST_BODY:
                return _Fault(f"judge reply larger than {_LARGEST_BODY >> 20} MB", again=0)
        reply = _completion(body)
        return reply if isinstance(reply, Reply) else _Fault(reply, again=self._config.retries)


def _authorisation(variable: str) -> dict[str, str]:
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        # checked here because the HTTP library's own exception would show the key
        raise JudgeError(f"environment variable {variable} holds characters that no API key has; set it again")
    return {"Authorization": f"Bearer {key}"} if key else {}


_VERDICT_FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "verdict",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {
                "reason": {"type": "string", "maxLength": 400},
                "score": {"type": "integer", "enum": [1, 2, 3, 4, 5]},
            },
            "required": ["reason", "score"],
            "additionalProperties": False,
        },
    },
}
"""What `judge.structured` has the server enforce: a reason first, then the score, as `exprl.judge.parse` reads it."""


def _completion(body: bytearray) -> Reply | str:
    """The first choice of a chat completion, or what is wrong with the body."""
    try:
        data: object = json.loads(body)
    except (ValueError, RecursionError):
        return "judge reply is not JSON"
    choices = _field(data, "choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    content = _field(_field(choice, "message"), "content")
    if choice is None:
        return "judge reply has no choices"
    if not isinstance(content, str):
        return "judge reply has no text"
    return Reply(content, _field(choice, "finish_reason") == "length", _usage(_field(data, "usage")))


def _usage(data: object) -> Usage:
    cached = _count(_field(data, "prompt_tokens_details"), "cached_tokens")
    return Usage(1, _count(data, "prompt_tokens"), _count(data, "completion_tokens"), cached)


def _count(data: object, name: str) -> int:
    value = _field(data, name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _field(data: object, name: str) -> object:
    return data.get(name) if isinstance(data, dict) else None


def _pause(fault: _Fault, attempt: int) -> float:
    """Seconds to wait: what the server asked for, else 0.25, 0.5, 1, ... up to 8, give or take a half."""
    if fault.pause is not None:
        return min(fault.pause, _LONGEST_PAUSE)
    return float(min(0.25 * 2 ** (attempt - 1), 8.0)) * random.uniform(0.5, 1.5)


def _retry_after(header: str) -> float | None:
    """Seconds of a `Retry-After` header, given as a number or as a date; None where it is neither."""
    if header.strip().isdecimal():
        return float(header[:9])
    try:
        return max((parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None
