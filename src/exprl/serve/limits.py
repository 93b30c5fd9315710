"""What one server bears: sizes, rates, times and numbers, each with a default and a reason.

    bucket      tokens <- min(burst, tokens + rate * seconds); a request takes one, or is told how long to wait

There is a bucket a role, and one an address for requests without a token: guessing a token is slow from anywhere, and an actor
that floods the server does not keep the evaluator out.

    >>> bucket = Bucket(rate=2.0, burst=1.0, clock=lambda: 0.0)
    >>> bucket.take(), bucket.take()
    (0.0, 0.5)
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Bucket", "Buckets", "Limits"]

_ADDRESSES = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes, seconds and counts.

    A text of 1 MiB is some 250,000 tokens, more than any policy writes; tests of one program can take megabytes. `head` is
    the longest that a connection may go without a whole request, idle or slow. `answer` leaves a judge model its
    timeout of 120 s and a second try.
    """

    body: int = 1 << 20
    reference_body: int = 16 << 20
    rate: float = 2000.0
    stranger_rate: float = 20.0
    in_flight: int = 512
    connections: int = 800
    head: float = 20.0
    receive: float = 20.0
    answer: float = 300.0
    grace: float = 30.0
    references: int = 100_000
    remembered: int = 64 << 20


class Bucket:
    """One token bucket.

    Args:
        rate: tokens a second.
        burst: tokens at most, and at the start.
    """

    __slots__ = ("_at", "_burst", "_clock", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, max(burst, 1.0), clock
        self._tokens, self._at = self._burst, clock()

    def take(self) -> float:
        """Take a token: 0.0 where there was one, else the seconds until there is."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + self._rate * (now - self._at))
        self._at = now
        if self._tokens < 1.0:
            return (1.0 - self._tokens) / self._rate
        self._tokens -= 1.0
        return 0.0


class Buckets:
    """A bucket a key; the key that was not seen for longest is forgotten first, so that memory is bounded."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, key: str) -> float:
        """As `Bucket.take`, of the key's own bucket, which holds a second's worth."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._rate, self._rate, self._clock)
            if len(self._buckets) > _ADDRESSES:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket.take()
