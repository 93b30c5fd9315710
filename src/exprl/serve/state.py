"""What the handlers of one server share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from exprl.config import SegmentConfig
from exprl.serve.auth import Keyring
from exprl.serve.limits import Buckets, Limits
from exprl.serve.metrics import Metrics
from exprl.serve.references import References
from exprl.serve.scoring import Scorer

__all__ = ["STATE", "State"]


@dataclass(slots=True)
class State:
    """One server: who may ask, what for, how much, and what it has done.

    `one_by_one` says that a prefix is scored by itself, so that prefixes can be streamed; a judge that reads all prefixes of a
    trace in one call gives them all at the end. `connections` counts those that are open. `stopping` is set once, and new
    requests are then turned away.
    """

    keyring: Keyring
    references: References
    scorer: Scorer
    metrics: Metrics
    segments: SegmentConfig = field(default_factory=SegmentConfig)
    limits: Limits = field(default_factory=Limits)
    one_by_one: bool = True
    stopping: bool = False
    access_log: bool = False
    connections: Callable[[], int] = int
    roles: Buckets = field(init=False)
    strangers: Buckets = field(init=False)

    def __post_init__(self) -> None:
        self.roles = Buckets(self.limits.rate)
        self.strangers = Buckets(self.limits.stranger_rate)


STATE: web.AppKey[State] = web.AppKey("state", State)
