"""How many calls are in flight at one endpoint: as many as it bears, at most `concurrency`.

Additive increase, multiplicative decrease, as TCP finds its share of a line. With w the number allowed:

    w <- min(w + 1, most)       after a window of max(w, 8) good replies
    w <- max(w // 2, 1)         when the endpoint says "too much": 429, 503, a call that hangs
    w <- max(w // 2, 1)         when a window's mean latency is above 0.5 s and above 8 times the floor

w starts at `most`: a server of one's own takes all that it is configured for, and one that does not says so at once. The
floor is the least mean latency of any window; it rises by a twentieth each window, so that a judge whose replies have
grown longer is not held down for good. Means of windows and a factor of 8, because single replies differ in length
by much more than servers differ in load. What began before the last halving counts for nothing: a burst of thirty 429s is
one overload, not thirty.

`Retry-After` holds the whole endpoint: until the time is over no call is let in, whoever asks. Calls that are asked again
go before those that have not started, so that few are half done.

    pace = Pace(32)
    async with pace.turn(first=False):
        ...
        pace.replied(started)       # or pace.refused(started), pace.hold(seconds)

One `Pace` belongs to one event loop and one endpoint.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

__all__ = ["Pace", "Window"]

_SHORTEST_WINDOW = 8
_FAR = 8.0
_BRIEF = 0.5
_DRIFT = 1.05


class Window:
    """The rule: how many calls may be in flight. Knows no clock; times are given to it.

    Args:
        most: the number that it starts at and never exceeds.
    """

    def __init__(self, most: int) -> None:
        self.most = self.size = most
        self._halved = -math.inf
        self._floor = math.inf
        self._good, self._seconds = 0, 0.0

    def replied(self, started: float, now: float) -> None:
        """A good reply to a call that began at `started`."""
        if started < self._halved:
            return
        self._good += 1
        self._seconds += now - started
        if self._good >= max(self.size, _SHORTEST_WINDOW):
            self._close(now)

    def refused(self, started: float, now: float) -> None:
        """A call that began at `started` was too much."""
        if started >= self._halved:
            self._halve(now)

    def _close(self, now: float) -> None:
        mean = self._seconds / self._good
        self._good, self._seconds = 0, 0.0
        if mean > max(_BRIEF, _FAR * self._floor):
            self._halve(now)
        else:
            self.size = min(self.size + 1, self.most)
        self._floor = min(self._floor * _DRIFT, mean)

    def _halve(self, now: float) -> None:
        self.size = max(self.size // 2, 1)
        self._halved = now
        self._good, self._seconds = 0, 0.0


class Pace:
    """The gate of one endpoint in one event loop: lets calls in as `Window` and `hold` allow."""

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.window = Window(most)
        self.in_flight = 0
        self.queued = 0
        self._clock = clock
        self._held_until = -math.inf
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def load(self) -> int:
        """Calls in flight, and those that wait for their turn."""
        return self.in_flight + self.queued

    def turn(self, *, first: bool = False) -> _Turn:
        """Wait for a turn, and give it back at the end of the block. `first`: go before all that wait."""
        return _Turn(self, first)

    def replied(self, started: float) -> None:
        """A call that began at `started` had a good reply."""
        self.window.replied(started, self._clock())

    def refused(self, started: float) -> None:
        """The endpoint said that a call that began at `started` was too much."""
        self.window.refused(started, self._clock())

    def hold(self, seconds: float) -> None:
        """Let nobody in for so long. A longer hold that is under way stays."""
        until = self._clock() + seconds
        if until > self._held_until:
            self._held_until = until
            asyncio.get_running_loop().call_later(seconds, self._end_hold, until)

    def lift(self) -> None:
        """End a hold early."""
        self._end_hold(self._held_until)

    async def enter(self, first: bool) -> None:
        """Wait for a turn; see `turn`."""
        if not self._waiting and self._is_open():
            self.in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if first else self._waiting.append)(turn)
        self.queued += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # let in and cancelled in the same breath
                self.leave()
            else:
                self.queued -= 1
            raise

    def leave(self) -> None:
        """Give the turn back; see `turn`."""
        self.in_flight -= 1
        self._let_in()

    def _is_open(self) -> bool:
        return self.in_flight < self.window.size and self._held_until == -math.inf

    def _end_hold(self, until: float) -> None:
        if until == self._held_until:  # else a longer hold has taken its place
            self._held_until = -math.inf
            self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._is_open():
            turn = self._waiting.popleft()
            if not turn.done():
                self.queued -= 1
                self.in_flight += 1
                turn.set_result(None)


class _Turn:
    """A place among the calls in flight."""

    __slots__ = ("_first", "_pace")

    def __init__(self, pace: Pace, first: bool) -> None:
        self._pace, self._first = pace, first

    async def __aenter__(self) -> None:
        await self._pace.enter(self._first)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._pace.leave()
