"""A server in the test's own event loop, and a client for each role."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp

from exprl.config import VerifierConfig
from exprl.judge import Judge, MilestoneJudge
from exprl.serve.auth import Keyring
from exprl.serve.limits import Limits
from exprl.serve.metrics import Metrics
from exprl.serve.references import References
from exprl.serve.run import Running, start
from exprl.serve.scoring import Scorer
from exprl.serve.state import State
from exprl.types import Submission, Verdict
from exprl.verify import build_verifier

ACTOR, EVALUATOR = "actor-token-0123456789", "evaluator-token-0123456789"
PROBLEM = {"id": "p1", "problem": "What is (37 + 25) * 3?", "solution": "37+25=62\n62*3=186", "answer": "186"}
TRACE = "37+25=62 ###\n62*3=186 ###\n\\boxed{186}"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: aiohttp.typedefs.LooseHeaders
    text: str
    json: object


class FakeJudge:
    """Scores by a function of the text; waits for `gate` where there is one, and counts its calls."""

    name, template_hash = "fake", "fake-1"

    def __init__(
        self, say: Callable[[str], Verdict] = lambda text: Verdict(0.5, likert=3), gate: asyncio.Event | None = None
    ) -> None:
        self.say, self.gate = say, gate
        self.calls = 0
        self.asked = asyncio.Event()
        self.closed = False

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        self.calls += 1
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        return [tuple(self.say(one.text[:cut]) for cut in one.cuts) for one in submissions]

    async def aclose(self) -> None:
        self.closed = True


class Served:
    """A running server, and how to ask it."""

    def __init__(self, state: State, running: Running, session: aiohttp.ClientSession) -> None:
        self.state, self.running, self.session = state, running, session
        self.url = f"http://127.0.0.1:{running.port}"

    async def ask(
        self,
        path: str,
        body: object = None,
        *,
        token: str | None = ACTOR,
        method: str = "POST",
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        sent = {"Content-Type": "application/json"} if data is not None else {}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        given = {"data": data} if data is not None else {"json": body} if body is not None else {}
        async with self.session.request(method, self.url + path, headers=sent | (headers or {}), **given) as response:
            text = await response.text()
            known = response.content_type == "application/json"
            return Answer(response.status, response.headers, text, await response.json() if known else None)

    async def register(self, problem: dict[str, str] = PROBLEM) -> None:
        assert (await self.ask("/v1/references", problem, token=EVALUATOR)).status == 201

    async def metric(self, name: str) -> str | None:
        """The value of a metric, by its name with labels."""
        text = (await self.ask("/metrics", method="GET", token=EVALUATOR)).text
        return next((line.rpartition(" ")[2] for line in text.splitlines() if line.rpartition(" ")[0] == name), None)


@asynccontextmanager
async def serving(
    judge: Judge | None = None, *, one_by_one: bool = True, access_log: bool = False, **limits: float
) -> AsyncIterator[Served]:
    bounds = Limits(**{"grace": 2.0, "stranger_rate": 1000.0} | limits)
    metrics = Metrics()
    verifier = build_verifier(VerifierConfig())
    scorer = Scorer(judge or MilestoneJudge(), verifier, metrics, bounds.remembered)
    keyring = Keyring(evaluator=EVALUATOR, actor=ACTOR)
    state = State(
        keyring,
        References(most=bounds.references),
        scorer,
        metrics,
        limits=bounds,
        one_by_one=one_by_one,
        access_log=access_log,
    )
    running = await start(state, "127.0.0.1", 0)
    async with aiohttp.ClientSession() as session:
        try:
            yield Served(state, running, session)
        finally:
            if not state.stopping:
                await running.stop()
