"""Several replicas of one judge: traces stay together, nobody starves, a death loses nothing; the cache knows no replica."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from aiohttp import web
from chat_server import always, client, completion, good, hang, question, serving
from pydantic import ValidationError

from exprl.config import LLMJudgeConfig
from exprl.judge import LLMJudge
from exprl.judge.http.client import ChatClient, Reply
from exprl.types import Problem, Reference, Submission
from loading import loaded_benchmark


async def slow(request: web.Request, call: int) -> web.StreamResponse:
    await asyncio.sleep(0.03)
    return await good(request, call)


def submission(rollout: str, problem: str = "p") -> Submission:
    text = f"{rollout} one\n###\n{rollout} two\n###\n{rollout} three"
    cuts = (text.index("###") + 3, text.rindex("###") + 3, len(text))
    return Submission(Problem(problem, "1+1?", Reference("It is two.", "2")), rollout, text, cuts, "prefix")


async def answers(judge: ChatClient, route: str, count: int, trace: int | None = None) -> int:
    asks = [question(f"{route} {n}?", route=route, trace=trace) for n in range(count)]
    got = await asyncio.gather(*(judge.complete(ask) for ask in asks))
    return sum(isinstance(reply, Reply) for reply in got)


class TestRouting:
    async def test_a_hot_problem_is_shared_and_no_server_has_more_than_its_share_in_flight(self) -> None:
        async with (
            serving(slow) as one,
            serving(slow) as two,
            client((one.url, two.url), concurrency=8, load_bound=1.25) as judge,
        ):
            assert await answers(judge, "hot", 40) == 40
        assert min(len(one.bodies), len(two.bodies)) >= 12
        assert max(one.most, two.most) <= 5  # ceil(1.25 x 8 / 2)

    async def test_the_calls_of_one_trace_stay_together(self) -> None:
        async with serving(slow) as one, serving(slow) as two, client((one.url, two.url), concurrency=2) as judge:
            for trace in range(6):
                before = len(one.bodies), len(two.bodies)
                assert await answers(judge, "p", 6, trace) == 6
                assert sorted((len(one.bodies) - before[0], len(two.bodies) - before[1])) == [0, 6]

    async def test_in_turn_every_problem_is_asked_everywhere(self) -> None:
        async with serving() as one, serving() as two, client((one.url, two.url), routing="round_robin") as judge:
            assert await answers(judge, "p", 20, 1) == 20
        assert (len(one.bodies), len(two.bodies)) == (10, 10)

    async def test_a_server_that_hangs_holds_its_share_of_the_calls_and_the_others_go_on(self) -> None:
        async with (
            serving(hang) as bad,
            serving(slow) as well,
            client((bad.url, well.url), concurrency=4, timeout=0.5, routing="round_robin") as judge,
        ):
            start = time.monotonic()
            asking = asyncio.create_task(answers(judge, "p", 24))
            while len(well.bodies) < 10:
                await asyncio.sleep(0.005)
            assert time.monotonic() - start < 0.5  # not one of the calls that hang is over yet
            assert bad.most <= 3
            assert await asking == 24

    async def test_who_asks_for_more_than_may_be_in_flight_waits(self) -> None:
        async with (
            serving(slow) as one,
            serving(slow) as two,
            client((one.url, two.url), concurrency=3, load_bound=2.0) as judge,
        ):
            asking = asyncio.create_task(answers(judge, "p", 30))
            most = 0
            while not asking.done():
                most = max(most, one.in_flight + two.in_flight)
                await asyncio.sleep(0.002)
        assert await asking == 30
        assert most <= 3


@pytest.mark.parametrize("changes", [{"load_bound": 0.9}, {"load_bound": float("inf")}, {"routing": "random"}])
def test_a_routing_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LLMJudgeConfig.model_validate({"model": "m"} | changes)


class TestTheCache:
    async def test_a_verdict_is_found_again_whoever_gave_it(self, tmp_path: Path) -> None:
        models = {"data": [{"id": "m"}]}
        async with serving(models=models) as one, serving(models=models) as two:
            for urls, new in (((one.url,), 6), ((two.url, one.url), 0), ((two.url,), 0)):
                for routing in ("sticky", "round_robin"):
                    before = len(one.bodies) + len(two.bodies)
                    config = LLMJudgeConfig.model_validate({"model": "m", "url": urls, "routing": routing})
                    judge = LLMJudge(config, store=tmp_path)
                    verdicts = await judge.score([submission("a"), submission("b")])
                    await judge.aclose()
                    assert [verdict.score for row in verdicts for verdict in row] == [0.75] * 6
                    assert len(one.bodies) + len(two.bodies) - before == (new if routing == "sticky" else 0)

    async def test_what_one_judge_asks_of_a_trace_goes_to_one_server(self) -> None:
        async with serving(slow) as one, serving(slow) as two:
            judge = LLMJudge(LLMJudgeConfig(model="m", url=(one.url, two.url), concurrency=2, cache=False))
            await asyncio.gather(*(judge.score([submission(f"r{n}")]) for n in range(8)))
            await judge.aclose()
            seen = [
                {n for body in server.bodies for n in range(8) if f"r{n} one" in str(body["messages"])}
                for server in (one, two)
            ]
        assert seen[0] | seen[1] == set(range(8))
        assert not seen[0] & seen[1]


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModuleType]:
    with loaded_benchmark("judge_replicas") as module:
        yield module


class TestRealProcesses:
    def test_a_replica_that_is_killed_mid_batch_loses_nothing(self, benchmark: ModuleType) -> None:
        size = benchmark.SMALL._replace(problems=6, rollouts=4, prefixes=4, reference=128, tokens=256, concurrency=8)
        judged, answered = benchmark.kill_one(size, benchmark.SPEED._replace(decode=200.0), count=3)
        assert judged.verdicts == judged.scored == 96
        assert judged.usage.calls > 96  # what was in flight was asked again
        assert 0 < answered < 96

    def test_sticky_finds_more_in_the_caches_than_in_turn(self, benchmark: ModuleType) -> None:
        size = benchmark.SMALL._replace(problems=8, rollouts=4, prefixes=4, reference=512, tokens=512)
        rows = [benchmark.measure(2, routing, size, benchmark.SPEED) for routing in ("sticky", "round_robin")]
        assert rows[0].judged.share > rows[1].judged.share + 0.05
        assert all(row.judged.verdicts == row.judged.scored == 128 for row in rows)

    def test_a_full_cache_lets_go_of_what_was_used_least_recently(self, benchmark: ModuleType) -> None:
        cache = sys.modules["replica"].PrefixCache(capacity=64)
        cache.keep(range(64))
        assert cache.found(range(49)) == 48
        cache.keep(range(1000, 1032))
        assert cache.found(range(64)) == 32  # the end of the older prompt went first
        assert cache.found(range(1000, 1033)) == 32


async def test_a_server_that_answers_nonsense_is_no_reason_to_move_a_trace() -> None:
    async with (
        serving(always(completion("no verdict"))) as one,
        serving(always(completion("no verdict"))) as two,
        client((one.url, two.url)) as judge,
    ):
        assert await answers(judge, "p", 10, 3) == 10
    assert sorted((len(one.bodies), len(two.bodies))) == [0, 10]
