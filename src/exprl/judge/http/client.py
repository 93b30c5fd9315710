"""One chat completion after another from OpenAI-compatible endpoints: bounded, patient, and never an exception.

    complete(ask) -> Reply | Failure

A `Failure` carries a reason that is safe to show: a status code, a kind of fault, host and port. It never holds the
body of an answer (a server may quote the prompt, and with it the reference), the key, or credentials of the URL.

What is tried again, up to `retries` times: 408, 409, 425, 429, 5xx, a dropped connection, a body that is not a
completion; a hang (`timeout` seconds an attempt) once. Other statuses are final, and so is a reply above 4 MB. Where there
are several endpoints (`judge.routing` says how calls are spread: `exprl.judge.http.endpoints`) the next attempt goes to one
that this call has not tried, else it waits 0.25, 0.5, 1, ... s, up to 8, give or take a half; after three faults in a row
all calls to that endpoint wait with it. After a 429 it stays where its route belongs. `Retry-After` (seconds or a date)
holds the whole endpoint, up to 60 s; how many calls are in flight adapts to what the endpoint bears
(`exprl.judge.http.pacing`).

A server that cannot be reached is asked once more, unless another can be asked instead, which costs no retry. When all
are down every call fails at once for five seconds, so that a batch of thousands notices a dead judge in about a second and the
run can pause. So does one that was reached and failed 16 times in a row, once a call gives up on it.

The key is read from the environment when the client is made. Redirects are not followed and cookies not kept: it goes to
the stated hosts only.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from exprl.config import LLMJudgeConfig
from exprl.errors import JudgeError
from exprl.judge.http.endpoints import Endpoint, Endpoints
from exprl.judge.http.flight import CONNECT, Call, LoopState
from exprl.judge.http.pacing import Pace
from exprl.judge.http.wire import (
    ALWAYS,
    Ask,
    Failure,
    Fault,
    Message,
    Reply,
    TokenChoice,
    completion,
    model_ids,
    passes,
    payload,
    refusal,
)
from exprl.types import Usage

__all__ = ["JUDGE", "Ask", "ChatClient", "Failure", "Message", "Reply", "Service", "TokenChoice"]

_IDENTIFY = 60.0  # a local server may answer nothing else while it reads a long prompt
_LONGEST_PAUSE = 60.0
_DEADLINE = "judge batch deadline reached"


@dataclass(frozen=True, slots=True)
class Service:
    """What is asked: its name and its setting's in messages, its path below the URL, the largest answer taken in, in bytes."""

    name: str
    setting: str
    path: str
    largest_body: int


JUDGE = Service("judge", "judge.url", "/chat/completions", 4 << 20)


class ChatClient:
    """Chat completions at `config.urls`, at most `config.concurrency` in flight in each event loop.

    Who asks for more waits: that is the back-pressure on whoever samples the traces.

    Raises:
        JudgeError: a URL is no http(s) URL, or the key is none.
    """

    def __init__(self, config: LLMJudgeConfig, service: Service = JUDGE) -> None:
        key = _key(config.api_key_env)
        self._config, self._service = config, service
        self._endpoints = Endpoints(
            config.urls,
            has_key=bool(key),
            concurrency=config.concurrency,
            bound=config.load_bound,
            sticky=config.routing == "sticky",
            setting=service.setting,
        )
        self._urls = {endpoint: _url(endpoint, service.path, service.setting) for endpoint in self._endpoints.all}
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._loops: dict[asyncio.AbstractEventLoop, LoopState] = {}
        self._identity: str | None = None
        self._identify_after = -math.inf

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
                    await asyncio.wait_for(asyncio.wrap_future(closing), CONNECT)
            else:
                session.detach()

    async def complete(self, ask: Ask, *, deadline: float | None = None) -> Reply | Failure:
        """Ask for one completion. Waits for its turn, tries again as described above.

        Args:
            deadline: the `time.monotonic()` at which the batch is over: what has no reply by then is a `Failure`.
        """
        body = payload(self._config, ask)
        return await self.post(body, completion, route=ask.route, trace=ask.trace, deadline=deadline)

    async def post(
        self,
        body: bytes,
        read: Callable[[bytearray], Reply | Fault],
        *,
        route: str = "",
        trace: int | None = None,
        deadline: float | None = None,
    ) -> Reply | Failure:
        """Send a body that is made already; `read` says what an answer of status 200 means."""
        moves = len(self._endpoints.all) - 1
        call = Call(body, read, route, trace, time.monotonic(), moves)
        if deadline is None:
            return await self._until_answered(call)
        if call.began >= deadline:
            return Failure(_DEADLINE)
        try:
            async with asyncio.timeout(deadline - call.began):
                return await self._until_answered(call)
        except TimeoutError:
            return Failure(_DEADLINE, Usage(calls=call.sent))

    async def identity(self) -> str:
        """The model that the endpoints say they serve; "" where they do not say, or none of them answers now.

        Asked once: the first answer holds. Endpoints that did not answer are asked again five seconds later.
        """
        if self._identity is not None:
            return self._identity
        here = self._here()
        async with here.identifying:
            if self._identity is None and time.monotonic() >= self._identify_after:
                said = await asyncio.gather(*(self._models(here.session, endpoint) for endpoint in self._endpoints.all))
                answers = [ids for ids in said if ids is not None]
                self._identify_after = time.monotonic() + CONNECT
                self._identity = "\n".join(sorted({name for ids in answers for name in ids})) if answers else None
            return self._identity or ""

    async def _models(self, session: aiohttp.ClientSession, endpoint: Endpoint) -> list[str] | None:
        """None where the endpoint is not there now, [] where it does not say.

        One that is there is waited for: what is asked of it under an unknown model is kept under another key, and paid
        for again once the model is known.
        """
        limit = aiohttp.ClientTimeout(total=min(_IDENTIFY, self._config.timeout))
        url = _url(endpoint, "/models", self._service.setting)
        try:
            async with session.get(url, timeout=limit, allow_redirects=False) as response:
                if response.status != 200:
                    return None if passes(response.status) else []
                body = await _read(response, self._service.largest_body)
        except TimeoutError:
            return []
        except (aiohttp.ClientError, OSError):
            return None
        return [] if body is None else model_ids(body, self._config.model)

    async def _until_answered(self, call: Call) -> Reply | Failure:
        here = self._here()
        while (endpoint := here.pick(self._endpoints, call)) is not None:
            pace, falls = here.paces[endpoint], endpoint.falls
            if pause := call.wait_before(endpoint):
                await asyncio.sleep(pause)
            async with pace.turn(first=call.sent > 0), here.slots:
                if endpoint.falls != falls:
                    continue  # it went down while this call waited
                started = time.monotonic()
                call.sent += 1
                outcome = await self._attempt(here.session, endpoint, call)
                if isinstance(outcome, Reply):
                    pace.replied(started)
                    self._endpoints.answers(endpoint)
                    return _with_attempts(outcome, call.sent)
                if outcome.too_much:
                    pace.refused(started)
                if not self._goes_on(call, outcome, endpoint, pace):
                    return Failure(outcome.reason, Usage(calls=call.sent))
        return Failure(self._endpoints.reason, Usage(calls=call.sent))

    def _goes_on(self, call: Call, fault: Fault, endpoint: Endpoint, pace: Pace) -> bool:
        """Whether a call is tried again after a fault; notes what the fault says of its endpoint."""
        call.charged += 1
        call.last, call.pause = endpoint, _backoff(call.charged)
        if fault.falters:
            call.tried.add(endpoint)
        if fault.unreachable and call.moves_left and self._endpoints.others(endpoint):
            call.charged -= 1
            call.moves_left -= 1
            self._is_down(endpoint, fault, pace)
            return True
        dead = fault.unreachable or (fault.again > 0 and self._endpoints.fails(endpoint, shun=fault.falters))
        if fault.pause is not None or fault.unreachable or (endpoint.ailing and not self._endpoints.others(endpoint)):
            pace.hold(call.pause if fault.pause is None else min(fault.pause, _LONGEST_PAUSE))  # all that would ask it
            call.pause = 0.0
        if call.charged > min(fault.again, self._config.retries):
            if dead:
                self._is_down(endpoint, fault, pace)
            return False
        return True

    def _is_down(self, endpoint: Endpoint, fault: Fault, pace: Pace) -> None:
        self._endpoints.is_down(endpoint, fault.reason)
        pace.lift()  # those that wait for it need not wait any longer

    def _here(self) -> LoopState:
        loop = asyncio.get_running_loop()
        if loop not in self._loops:
            for gone in [other for other in self._loops if other.is_closed()]:
                self._loops.pop(gone).session.detach()
            self._loops[loop] = LoopState(self._config, self._endpoints, self._headers)
        return self._loops[loop]

    async def _attempt(self, session: aiohttp.ClientSession, endpoint: Endpoint, call: Call) -> Reply | Fault:
        who, largest = self._service.name, self._service.largest_body
        try:
            async with session.post(self._urls[endpoint], data=call.body, allow_redirects=False) as response:
                if response.status != 200:
                    header = response.headers.get("Retry-After", "")
                    return refusal(response.status, header, self._config.api_key_env, who)
                answer = await _read(response, largest)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Fault(f"{who} unreachable: {type(error).__name__} at {endpoint.where}", again=1, unreachable=True)
        except TimeoutError:
            reason = f"{who} timeout: no reply within {self._config.timeout:g} s"
            return Fault(reason, again=1, too_much=True, falters=True)
        except (aiohttp.ClientError, OSError) as error:
            return Fault(f"{who} connection lost: {type(error).__name__}", again=ALWAYS, falters=True)
        if answer is None:
            return Fault(f"{who} reply larger than {largest >> 20} MB", again=0)
        return call.read(answer)


def _key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        # checked here because the HTTP library's own exception would show the key
        raise JudgeError(f"environment variable {variable} holds characters that no API key has; set it again")
    return key


def _url(endpoint: Endpoint, path: str, setting: str) -> URL:
    try:
        return URL(endpoint.url + path)
    except ValueError:  # its message would show credentials
        raise JudgeError(f"{setting} for {endpoint.where} is not a URL that can be asked; check it") from None


async def _read(response: aiohttp.ClientResponse, largest: int) -> bytearray | None:
    """The body; None where it is too large, of which no more than that is taken in."""
    body = bytearray()
    if (response.content_length or 0) <= largest:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > largest:
                break
        else:
            return body
    response.close()
    return None


def _with_attempts(reply: Reply, sent: int) -> Reply:
    return reply if sent == 1 else replace(reply, usage=Usage(calls=sent - 1) + reply.usage)


def _backoff(attempt: int) -> float:
    """Seconds to wait: 0.25, 0.5, 1, ... up to 8, give or take a half."""
    return float(min(0.25 * 2 ** (attempt - 1), 8.0)) * random.uniform(0.5, 1.5)
