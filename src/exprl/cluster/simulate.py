"""One step of sampling and judging, event by event: what the arithmetic of `exprl.cluster.step` is checked against.

Rollouts queue at copies of the policy and are sampled token by token; each is judged as soon as it is finished, its longest
prefix first and then the others together, by replicas that keep prefixes. Calls go where the real client's routing sends
them (`exprl.judge.http.endpoints`, by this clock), wait as they do there (so many in flight at one replica and at all of
them), and then for a slot of the replica. A call's prefill is what its replica does not hold: the problem's head and the
longest part of the trace that an earlier call left, in whole blocks.

What is left out: connections, retries, the time that the client itself takes, evictions from the cache, and that a copy
slows down as its batch grows; give the time of a token at the batch that is usual.

    step = Step(Copies(2, 8), 0.01, Copies(2, 4), JudgeSpeed(5e3, 200.0, 64), rubric=200, head=1400, closing=300)
    simulate(step, rollouts).collected
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from exprl.judge.http.endpoints import Endpoint, Endpoints

__all__ = ["Copies", "JudgeSpeed", "Outcome", "Sampled", "Step", "simulate"]

_BLOCK = 16


class Copies(NamedTuple):
    """Copies of one model, and the sequences that each works on at once."""

    replicas: int
    slots: int


class JudgeSpeed(NamedTuple):
    """Tokens a second of one call, and the tokens of its reply."""

    prefill: float
    decode: float
    reply: int


class Sampled(NamedTuple):
    """One rollout: its problem, its length in tokens, and the tokens of the trace at each cut, ascending."""

    problem: str
    tokens: int
    cuts: tuple[int, ...]


class Step(NamedTuple):
    """The machines and how they are asked.

    `token` is the seconds of one token sampled. A judge's prompt has `head` tokens before the trace, of which the first
    `rubric` are the same for all problems, and `closing` after it. Which problems share a replica follows from the `urls`
    of the judge's replicas; without them they have names of their own.
    """

    policy: Copies
    token: float
    judge: Copies
    speed: JudgeSpeed
    rubric: int
    head: int
    closing: int
    concurrency: int = 32
    bound: float = 1.25
    sticky: bool = True
    urls: tuple[str, ...] = ()


@dataclass
class Outcome:
    """When the last rollout was sampled and the last verdict given; tokens sent to the judge, of which cached."""

    sampled: float = 0.0
    collected: float = 0.0
    calls: int = 0
    sent: int = 0
    cached: int = 0


class _Clock:
    """Events in the order of their time; those of equal time in the order in which they were planned."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()

    def __call__(self) -> float:
        return self.now

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._number), event))

    def run(self) -> None:
        while self._events:
            self.now, _, event = heapq.heappop(self._events)
            event()


class _Queue:
    """So many at once; the others wait in order."""

    def __init__(self, most: int) -> None:
        self._free = most
        self.load = 0
        self._waiting: deque[Callable[[], None]] = deque()

    def enter(self, then: Callable[[], None]) -> None:
        self.load += 1
        if self._free:
            self._free -= 1
            then()
        else:
            self._waiting.append(then)

    def leave(self) -> None:
        self.load -= 1
        if self._waiting:
            self._waiting.popleft()()
        else:
            self._free += 1


@dataclass
class _Held:
    """What a replica's cache holds: heads of problems, and of each trace how many tokens."""

    heads: set[str] = field(default_factory=set)
    traces: dict[int, int] = field(default_factory=dict)


class _Service:
    """Replicas of one model behind one client."""

    def __init__(
        self,
        copies: Copies,
        concurrency: int,
        bound: float,
        sticky: bool,
        clock: _Clock,
        urls: Sequence[str] = (),
    ) -> None:
        urls = urls or [f"http://replica-{number}/v1" for number in range(copies.replicas)]
        self.endpoints = Endpoints(urls, concurrency=concurrency, bound=bound, sticky=sticky, clock=clock)
        self.paces = {endpoint: _Queue(self.endpoints.share) for endpoint in self.endpoints.all}
        self.slots = {endpoint: _Queue(copies.slots) for endpoint in self.endpoints.all}
        self.held = {endpoint: _Held() for endpoint in self.endpoints.all}
        self.all = _Queue(concurrency)

    def ask(self, route: str, place: Endpoint | None, work: Callable[[Endpoint], None]) -> Endpoint:
        """Route a call; `work` starts in a slot of its replica, and ends with `done`."""
        loads = {endpoint: queue.load for endpoint, queue in self.paces.items()}
        chosen = self.endpoints.pick(route, (), loads, place)
        assert chosen is not None  # nobody dies here
        queues = (self.paces[chosen], self.all, self.slots[chosen])
        queues[0].enter(lambda: queues[1].enter(lambda: queues[2].enter(lambda: work(chosen))))
        return chosen

    def done(self, endpoint: Endpoint) -> None:
        for queue in (self.slots[endpoint], self.all, self.paces[endpoint]):
            queue.leave()


def simulate(step: Step, rollouts: Sequence[Sampled]) -> Outcome:
    """Sample and judge all rollouts, in the order given."""
    return _Run(step, rollouts).outcome


class _Run:
    def __init__(self, step: Step, rollouts: Sequence[Sampled]) -> None:
        self.step, self.outcome, self.clock = step, Outcome(), _Clock()
        everywhere = step.policy.replicas * step.policy.slots
        self.policy = _Service(step.policy, everywhere, 1.0, False, self.clock)
        self.judge = _Service(step.judge, step.concurrency, step.bound, step.sticky, self.clock, step.urls)
        for number, rollout in enumerate(rollouts):
            self._sample(number, rollout)
        self.clock.run()

    def _sample(self, number: int, rollout: Sampled) -> None:
        def work(endpoint: Endpoint) -> None:
            self.clock.after(rollout.tokens * self.step.token, lambda: finished(endpoint))

        def finished(endpoint: Endpoint) -> None:
            self.policy.done(endpoint)
            self.outcome.sampled = self.outcome.collected = self.clock.now
            self._judge(number, rollout)

        self.policy.ask("", None, work)

    def _judge(self, number: int, rollout: Sampled) -> None:
        def others() -> None:
            for cut in rollout.cuts[:-1]:
                self._call(number, rollout.problem, cut, place, None)

        if rollout.cuts:
            place = self._call(number, rollout.problem, rollout.cuts[-1], None, others)

    def _call(
        self, number: int, problem: str, cut: int, place: Endpoint | None, then: Callable[[], None] | None
    ) -> Endpoint:
        """One call: prefill of what is not held, what it leaves, its reply, and what comes after it."""

        def work(endpoint: Endpoint) -> None:
            held = self.judge.held[endpoint]
            sent = self.step.head + cut + self.step.closing
            found = self._found(held, number, problem, cut)
            self.outcome.calls += 1
            self.outcome.sent += sent
            self.outcome.cached += found
            self.clock.after((sent - found) / self.step.speed.prefill, lambda: prefilled(endpoint, held))

        def prefilled(endpoint: Endpoint, held: _Held) -> None:
            held.heads.add(problem)
            held.traces[number] = max(held.traces.get(number, 0), cut)
            self.clock.after(self.step.speed.reply / self.step.speed.decode, lambda: replied(endpoint))

        def replied(endpoint: Endpoint) -> None:
            self.judge.done(endpoint)
            self.outcome.collected = self.clock.now
            if then is not None:
                then()

        return self.judge.ask(problem, place, work)

    def _found(self, held: _Held, number: int, problem: str, cut: int) -> int:
        """In whole blocks: the head, and of the trace what an earlier call left."""
        if problem in held.heads:
            known = self.step.head + min(held.traces.get(number, 0), cut)
        else:
            known = self.step.rubric if held.heads else 0
        return known // _BLOCK * _BLOCK
