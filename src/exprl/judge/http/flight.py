"""Calls on their way: what is remembered of one, and what belongs to the event loop that sends it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import aiohttp

from exprl.config import LLMJudgeConfig
from exprl.judge.http.endpoints import Endpoint, Endpoints
from exprl.judge.http.pacing import Pace
from exprl.judge.http.wire import Fault, Reply

__all__ = ["CONNECT", "Call", "LoopState"]

CONNECT = 5.0
"""Seconds for a connection."""
_PLACES = 8192  # traces whose endpoint is remembered: many times what is judged at once
_KEEP_ALIVE = 4.0  # below the 5 s after which common servers hang up, so that no call meets a closing connection


@dataclass(slots=True)
class Call:
    """One question on its way.

    Of the `sent` requests `charged` count against the retries; `moves_left` is how often it may leave an endpoint that
    cannot be reached for another, free of charge. `tried` are the endpoints that failed it in this round.
    """

    body: bytes
    read: Callable[[bytearray], Reply | Fault]
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


class LoopState:
    """What belongs to one event loop: its session, its limits of calls in flight, and where each trace went."""

    def __init__(self, config: LLMJudgeConfig, endpoints: Endpoints, headers: Mapping[str, str]) -> None:
        self.session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=config.timeout, sock_connect=min(CONNECT, config.timeout)),
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

    def pick(self, endpoints: Endpoints, call: Call) -> Endpoint | None:
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
