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
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from exprl.config import LLMJudgeConfig
from exprl.errors import JudgeError
from exprl.judge.http.endpoints import Endpoint, Endpoints
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

__all__ = ["Ask", "ChatClient", "Failure", "Message", "Reply", "TokenChoice"]

_CONNECT = 5.0
_IDENTIFY = 60.0  # a local server may answer nothing else while it reads a long prompt
_LONGEST_PAUSE = 60.0
_LARGEST_BODY = 4 << 20
_PLACES = 8192  # traces whose endpoint is remembered: many times what is judged at once
_KEEP_ALIVE = 4.0  # below the 5 s after which common servers hang up, so that no call meets a closing connection
_DEADLINE = "judge batch deadline reached"


@dataclass(slots=True)
class _Call:
    """One question on its way.

    Of the `sent` requests `charged` count against the retries; `moves_left` is how often it may leave an endpoint that
    cannot be reached for another, free of charge. `tried` are the endpoints that failed it in this round.
    """

    body: bytes
    route: str
    trace: int | None
    began: float
    moves_left: int
    sent: int = 0
    charged: int = 0
    pause: float = 0.0
    last: Endpoint | None = None
    tried: set[Endpoint] = field(default_factory=set)

    def wait_before(self, endpoint: Endpoint) -> float:
        """Seconds to wait before it is asked: none where this round has not asked it yet."""
        if endpoint in self.tried:
            self.tried.clear()  # all have failed it: a new round
        elif endpoint is not self.last:
            return 0.0
        return self.pause


class _Loop:
    """What belongs to one event loop: its session, its limits of calls in flight, and where each trace went."""

    def __init__(self, config: LLMJudgeConfig, endpoints: Endpoints, headers: Mapping[str, str]) -> None:
        self.session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=config.timeout, sock_connect=min(_CONNECT, config.timeout)),
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
        )
        self.slots = asyncio.Semaphore(config.concurrency)
        # An endpoint that hangs holds no more than its share of the calls in flight: the others go on.
        self.paces = {endpoint: Pace(endpoints.share) for endpoint in endpoints.all}
        self.identifying = asyncio.Lock()
        self._places: OrderedDict[tuple[str, int], Endpoint] = OrderedDict()

    def loads(self) -> dict[Endpoint, int]:
        """Calls on their way to each endpoint."""
        return {endpoint: pace.load for endpoint, pace in self.paces.items()}

    def pick(self, endpoints: Endpoints, call: _Call) -> Endpoint | None:
        """Where a call goes next, and its trace with it."""
        if call.trace is None:
            return endpoints.pick(call.route, call.tried, self.loads())
        key = (call.route, call.trace)
        chosen = endpoints.pick(call.route, call.tried, self.loads(), self._places.pop(key, None))
        if chosen is not None:
            self._places[key] = chosen
            if len(self._places) > _PLACES:
                self._places.popitem(last=False)
        return chosen


class ChatClient:
    """Chat completions at `config.urls`, at most `config.concurrency` in flight in each event loop.

    Who asks for more waits: that is the back-pressure on whoever samples the traces.

    Raises:
        JudgeError: a URL is no http(s) URL, or the key is none.
    """

    def __init__(self, config: LLMJudgeConfig) -> None:
        key = _key(config.api_key_env)
        self._config = config
        self._endpoints = Endpoints(
            config.urls,
            has_key=bool(key),
            concurrency=config.concurrency,
            bound=config.load_bound,
            sticky=config.routing == "sticky",
        )
        self._urls = {endpoint: _chat_url(endpoint) for endpoint in self._endpoints.all}
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}
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
                    await asyncio.wait_for(asyncio.wrap_future(closing), _CONNECT)
            else:
                session.detach()

    async def complete(self, ask: Ask, *, deadline: float | None = None) -> Reply | Failure:
        """Ask for one completion. Waits for its turn, tries again as described above.

        Args:
            deadline: the `time.monotonic()` at which the batch is over: what has no reply by then is a `Failure`.
        """
        moves = len(self._endpoints.all) - 1
        call = _Call(payload(self._config, ask), ask.route, ask.trace, time.monotonic(), moves)
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
                said = await asyncio.gather(*(self._models(here.session, url) for url in self._urls.values()))
                answers = [ids for ids in said if ids is not None]
                self._identify_after = time.monotonic() + _CONNECT
                self._identity = "\n".join(sorted({name for ids in answers for name in ids})) if answers else None
            return self._identity or ""

    async def _models(self, session: aiohttp.ClientSession, url: URL) -> list[str] | None:
        """None where the endpoint is not there now, [] where it does not say.

        One that is there is waited for: what is asked of it under an unknown model is kept under another key, and paid
        for again once the model is known.
        """
        limit = aiohttp.ClientTimeout(total=min(_IDENTIFY, self._config.timeout))
        try:
            async with session.get(url.parent.parent / "models", timeout=limit, allow_redirects=False) as response:
                if response.status != 200:
                    return None if passes(response.status) else []
                body = await _read(response)
        except TimeoutError:
            return []
        except (aiohttp.ClientError, OSError):
            return None
        return [] if body is None else model_ids(body, self._config.model)

    async def _until_answered(self, call: _Call) -> Reply | Failure:
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
                outcome = await self._attempt(here.session, endpoint, call.body)
                if isinstance(outcome, Reply):
                    pace.replied(started)
                    self._endpoints.answers(endpoint)
                    return _with_attempts(outcome, call.sent)
                if outcome.too_much:
                    pace.refused(started)
                if not self._goes_on(call, outcome, endpoint, pace):
                    return Failure(outcome.reason, Usage(calls=call.sent))
        return Failure(self._endpoints.reason, Usage(calls=call.sent))

    def _goes_on(self, call: _Call, fault: Fault, endpoint: Endpoint, pace: Pace) -> bool:
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

    def _here(self) -> _Loop:
        loop = asyncio.get_running_loop()
        if loop not in self._loops:
            for gone in [other for other in self._loops if other.is_closed()]:
                self._loops.pop(gone).session.detach()
            self._loops[loop] = _Loop(self._config, self._endpoints, self._headers)
        return self._loops[loop]

    async def _attempt(self, session: aiohttp.ClientSession, endpoint: Endpoint, body: bytes) -> Reply | Fault:
        try:
            async with session.post(self._urls[endpoint], data=body, allow_redirects=False) as response:
                if response.status != 200:
                    header = response.headers.get("Retry-After", "")
                    return refusal(response.status, header, self._config.api_key_env)
                read = await _read(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Fault(f"judge unreachable: {type(error).__name__} at {endpoint.where}", again=1, unreachable=True)
        except TimeoutError:
            reason = f"judge timeout: no reply within {self._config.timeout:g} s"
            return Fault(reason, again=1, too_much=True, falters=True)
        except (aiohttp.ClientError, OSError) as error:
            return Fault(f"judge connection lost: {type(error).__name__}", again=ALWAYS, falters=True)
        if read is None:
            return Fault(f"judge reply larger than {_LARGEST_BODY >> 20} MB", again=0)
        return completion(read)


def _key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        # checked here because the HTTP library's own exception would show the key
        raise JudgeError(f"environment variable {variable} holds characters that no API key has; set it again")
    return key


def _chat_url(endpoint: Endpoint) -> URL:
    try:
        return URL(endpoint.url + "/chat/completions")
    except ValueError:  # its message would show credentials
        raise JudgeError(f"judge.url for {endpoint.where} is not a URL that can be asked; check it") from None


async def _read(response: aiohttp.ClientResponse) -> bytearray | None:
    """The body; None where it is too large, of which no more than that is taken in."""
    body = bytearray()
    if (response.content_length or 0) <= _LARGEST_BODY:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > _LARGEST_BODY:
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
