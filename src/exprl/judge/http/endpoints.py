"""Which of several endpoints a call goes to, and what is known of their health. Pure but for a clock.

Sticky: an endpoint's rank for a call is a hash of the call's route and the endpoint's URL (rendezvous hashing). A
problem's calls all go to one replica, whose prefix cache then holds what they share; when a replica falls out, only its own
problems move. Calls without a route go round, and so do all where `sticky` is off.

Bounded load (Mirrokni, Thorup and Zadimoghaddam 2018, "Consistent hashing with bounded loads"): with m calls on their way to
n usable endpoints, a call passes over one that already has

    max(share, ceil(bound (m + 1) / n))       share = min(concurrency, ceil(bound concurrency / n))

of them, for the next in its order. One hot problem thus fills its own replica and then the next one, always in the same
order. Nothing is passed over while it has fewer than `share`, the most that may be in flight there: a call moves only if it
had to wait. The bound is on where a trace begins: later calls of it follow the first, full or not, since its prefill is
what costs most (in `benchmarks/judge_replicas.py` that is worth a fifth of all cached tokens).

Health, by a monotonic clock:

    well      it answers, or has not been asked yet
    down      it could not be reached, or a call gave up on it after 16 faults in a row: not asked for 5 s
    shunned   3 faults in a row (5xx, lost connection, hang): asked only where no other is left, for 5 s
    on trial  the 5 s are over: where others are well, one call tries it while the rest stay away; an answer makes it well

A call goes where its trace went while that is well; else to the first endpoint in its order that is well or on trial, not
full, and that it has not tried yet; else to a full one, else to one that it has tried, else to a shunned one. Where all are
down there is none, and calls fail at once until the first one's time is over.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from urllib.parse import SplitResult, urlsplit

from exprl.errors import JudgeError

__all__ = ["Endpoint", "Endpoints"]

_COOL_DOWN = 5.0
_FAULTS = 3
_HOPELESS = 16
_ROUTES = 4096  # whose order is remembered: with a hundred endpoints it takes longer than all else of a call


@dataclass(eq=False, slots=True)
class Endpoint:
    """One endpoint and its health. `where` is host and port: what a message may show of its URL.

    `falls` counts how often it went down or was shunned, so that a call that waited for its turn can tell that it goes
    elsewhere now.
    """

    url: str
    where: str
    until: float = -math.inf
    unreachable: bool = False
    faults: int = 0
    falls: int = 0

    @property
    def well(self) -> bool:
        """Whether nothing is known against it."""
        return self.until == -math.inf

    @property
    def ailing(self) -> bool:
        """Whether it has failed several times in a row."""
        return self.faults >= _FAULTS


class Endpoints:
    """The endpoints of one judge, in all event loops.

    Args:
        concurrency: calls that may be in flight at all of them together.
        bound: most that one is given, as a multiple of its even share; at least 1.
        sticky: whether calls of a route belong together; false: they go round.
    Raises:
        JudgeError: a URL is no http(s) URL with a host, or holds credentials although there is a key.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        has_key: bool = False,
        concurrency: int = 32,
        bound: float = 1.25,
        sticky: bool = True,
        setting: str = "judge.url",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.all = [_endpoint(url, has_key, setting) for url in dict.fromkeys(url.rstrip("/") for url in urls)]
        self.share = min(concurrency, math.ceil(bound * concurrency / len(self.all)))
        self.reason = ""
        self._bound, self._sticky = bound, sticky
        self._clock = clock
        self._turn = count()
        self._ranked = lru_cache(_ROUTES)(self._rank)

    def pick(
        self,
        route: str = "",
        tried: Collection[Endpoint] = (),
        loads: Mapping[Endpoint, int] | None = None,
        place: Endpoint | None = None,
    ) -> Endpoint | None:
        """Where a call goes next; None where every endpoint is down (`reason` says why).

        Args:
            loads: the calls that each endpoint has, in flight or waiting; without it none is full.
            place: where earlier calls of the same trace went.
        """
        if self._sticky and place is not None and place.well and place not in tried:
            return place
        now, order = self._clock(), self._order(route)
        usable = [endpoint for endpoint in order if endpoint.until <= now]
        untried = [endpoint for endpoint in usable if endpoint not in tried]
        if (endpoint := self._with_room(untried, usable, loads or {})) is not None:
            if not endpoint.well and any(other.well for other in order):
                endpoint.until = now + _COOL_DOWN  # this call is its trial
            return endpoint
        if usable:
            return usable[0]
        return next((endpoint for endpoint in order if not endpoint.unreachable), None)

    def _with_room(
        self, untried: Sequence[Endpoint], usable: Sequence[Endpoint], loads: Mapping[Endpoint, int]
    ) -> Endpoint | None:
        """The first that is not full, else the first."""
        calls = 1 + sum(loads.get(endpoint, 0) for endpoint in usable)
        most = max(self.share, math.ceil(self._bound * calls / len(usable))) if usable else 0
        room = (endpoint for endpoint in untried if loads.get(endpoint, 0) < most)
        return next(room, untried[0] if untried else None)

    def others(self, endpoint: Endpoint) -> bool:
        """Whether a call could go elsewhere."""
        now = self._clock()
        return any(other.until <= now or not other.unreachable for other in self.all if other is not endpoint)

    def answers(self, endpoint: Endpoint) -> None:
        """It gave a good reply."""
        endpoint.until, endpoint.unreachable, endpoint.faults = -math.inf, False, 0

    def is_down(self, endpoint: Endpoint, reason: str) -> None:
        """It cannot be reached, or has failed too often."""
        self.reason = reason
        endpoint.until, endpoint.unreachable = self._clock() + _COOL_DOWN, True
        endpoint.falls += 1

    def fails(self, endpoint: Endpoint, *, shun: bool) -> bool:
        """It was reached, and gave no good reply. Whether that has happened so often that it is as good as down.

        `shun`: the fault is the endpoint's own, so that after three others are asked first.
        """
        endpoint.faults += 1
        if shun and endpoint.ailing:
            endpoint.falls += endpoint.well and self.others(endpoint)
            endpoint.until, endpoint.unreachable = self._clock() + _COOL_DOWN, False
        return endpoint.faults >= _HOPELESS

    def _order(self, route: str) -> list[Endpoint]:
        if len(self.all) == 1:
            return self.all
        if not route or not self._sticky:
            start = next(self._turn) % len(self.all)
            return self.all[start:] + self.all[:start]
        return self._ranked(route)

    def _rank(self, route: str) -> list[Endpoint]:
        return sorted(self.all, key=lambda endpoint: _weight(route, endpoint.url), reverse=True)


def _weight(route: str, url: str) -> bytes:
    return hashlib.blake2b(f"{len(url)}:{url}{route}".encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _endpoint(url: str, has_key: bool, setting: str) -> Endpoint:
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        parts, port = SplitResult("", "", "", "", ""), 0
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise JudgeError(f"{setting} is not an http(s) URL with a host; write e.g. url = 'http://127.0.0.1:8000/v1'")
    if has_key and "@" in parts.netloc:
        raise JudgeError(
            f"{setting} for {parts.hostname}:{port} holds credentials and there is an API key too; keep one"
        )
    return Endpoint(url, f"{parts.hostname}:{port}")
