"""Fault injection at a real local server: nothing is lost, nothing is made up, time and requests are bounded."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web
from chat_server import (
    CANARY,
    Handler,
    always,
    ask,
    ask_many,
    client,
    completion,
    first,
    free_port,
    good,
    hang,
    question,
    reset,
    serving,
)

from exprl.judge.http.client import Failure, Reply
from exprl.types import Usage


@pytest.fixture(autouse=True)
def quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exprl.judge.http.client.random.uniform", lambda low, high: 0.05)


def replies(got: list[Reply | Failure]) -> int:
    return sum(isinstance(outcome, Reply) and outcome.text == "Score: 4" for outcome in got)


def reasons(got: list[Reply | Failure]) -> set[str]:
    return {outcome.reason for outcome in got if isinstance(outcome, Failure)}


def sent(got: list[Reply | Failure]) -> int:
    return sum(outcome.usage.calls for outcome in got)


def some(share: int, fault: Handler) -> Handler:
    """The fault at every so many-th request."""

    async def handle(request: web.Request, call: int) -> web.StreamResponse:
        return await (fault if call % share == 0 else good)(request, call)

    return handle


FAULTS: dict[str, Handler] = {
    "500": always(f"oops {CANARY}", 500),
    "503": always("", 503),
    "429": always("", 429),
    "reset": reset,
    "not JSON": always(f"{CANARY} {{"),
    "no choices": always({"choices": []}),
    "no text": always(completion(None)),
}


class TestOneServer:
    @pytest.mark.parametrize("fault", FAULTS)
    async def test_a_fault_at_every_fourth_request_loses_nothing(self, fault: str) -> None:
        async with serving(some(4, FAULTS[fault])) as server, client(server.url, concurrency=8, retries=8) as judge:
            got = await ask_many(judge, 60)
        assert replies(got) == 60
        assert sent(got) == len(server.bodies) == 80  # of 80 requests every fourth failed

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            ("500", "judge answered HTTP 500"),
            ("503", "judge answered HTTP 503"),
            ("429", "judge answered HTTP 429"),
            ("reset", "judge connection lost: ClientPayloadError"),
            ("not JSON", "judge reply is not JSON"),
            ("no choices", "judge reply has no choices"),
            ("no text", "judge reply has no text"),
        ],
    )
    async def test_a_fault_that_stays_is_a_reason_after_the_retries(self, fault: str, reason: str) -> None:
        async with serving(FAULTS[fault]) as server:
            got = await ask(server.url)
        assert got == Failure(reason, Usage(calls=3))
        assert len(server.bodies) == 3

    @pytest.mark.parametrize(
        "body",
        [{}, [1, 2], 7, None, {"choices": 3}, {"choices": [None]}, {"choices": [{"message": None}]}, "[" * 100_000],
    )
    async def test_a_body_that_is_no_completion_is_a_reason(self, body: object) -> None:
        async with serving(always(body)) as server:
            got = await ask(server.url, retries=0)
        assert isinstance(got, Failure)
        assert got.reason in {"judge reply has no choices", "judge reply has no text", "judge reply is not JSON"}

    async def test_counts_that_are_no_counts_are_none(self) -> None:
        usage = {"prompt_tokens": "7", "completion_tokens": 10**400, "prompt_tokens_details": [1]}
        async with serving(always(completion() | {"usage": usage})) as server:
            assert await ask(server.url) == Reply("Score: 4", False, Usage(1))

    async def test_a_server_that_fails_everybody_is_noticed_and_the_rest_fails_at_once(self) -> None:
        async with serving(FAULTS["500"]) as server, client(server.url, concurrency=4) as judge:
            start = time.monotonic()
            got = await ask_many(judge, 500)
        assert reasons(got) == {"judge answered HTTP 500"}
        assert replies(got) == 0
        assert sent(got) == len(server.bodies) < 60
        assert time.monotonic() - start < 3

    async def test_retry_after_holds_the_whole_endpoint(self) -> None:
        at: list[float] = []

        async def busy(request: web.Request, call: int) -> web.StreamResponse:
            at.append(time.monotonic())
            return await (always("", 429, {"Retry-After": "1"}) if call < 2 else good)(request, call)

        async with serving(busy) as server, client(server.url, concurrency=2) as judge:
            got = await ask_many(judge, 8)
        assert replies(got) == 8
        assert len(at) == 10
        assert at[1] - at[0] < 0.5
        assert 0.95 < at[2] - at[0] < 3  # not only the two that were refused waited: nothing was asked meanwhile

    async def test_after_refusals_fewer_are_in_flight(self) -> None:
        most: list[int] = []

        async def busy(request: web.Request, call: int) -> web.StreamResponse:
            if call < 8:
                await asyncio.sleep(0.02)
                return web.Response(status=429)
            most.append(server.in_flight)
            await asyncio.sleep(0.01)
            return await good(request, call)

        async with serving(busy) as server, client(server.url, concurrency=8) as judge:
            got = await ask_many(judge, 12)
        assert replies(got) == 12
        assert max(most) <= 5
        assert server.most == 8

    async def test_a_hang_is_tried_again_once(self) -> None:
        async with serving(hang) as server:
            start = time.monotonic()
            got = await ask(server.url, timeout=0.2)
        assert got == Failure("judge timeout: no reply within 0.2 s", Usage(calls=2))
        assert time.monotonic() - start < 2

    async def test_hangs_among_good_replies_lose_nothing(self) -> None:
        async with serving(first(2, hang)) as server, client(server.url, timeout=0.3, concurrency=4) as judge:
            got = await ask_many(judge, 20)
        assert replies(got) == 20
        assert len(server.bodies) == 22

    async def test_a_reply_without_end_is_a_fault_and_is_not_taken_in(self) -> None:
        taken, endless = 0, 1 << 30

        async def huge(request: web.Request, call: int) -> web.StreamResponse:
            """Without a stated length or an end: the sockets' buffers take tens of megabytes on some machines."""
            nonlocal taken
            response = web.StreamResponse()
            await response.prepare(request)
            while taken < endless:
                await response.write(b"x" * (1 << 18))
                taken += 1 << 18
            return response

        async with serving(huge) as server:
            got = await ask(server.url)
        assert got == Failure("judge reply larger than 4 MB", Usage(calls=1))
        assert 4 << 20 <= taken < endless

    async def test_a_stated_length_of_ten_megabytes_is_a_fault_before_any_of_it_is_read(self) -> None:
        async with serving(always("x" * (10 << 20))) as server, client(server.url) as judge:
            start = time.monotonic()
            assert await judge.complete(question()) == Failure("judge reply larger than 4 MB", Usage(calls=1))
            assert time.monotonic() - start < 2

    async def test_an_unreachable_server_fails_a_whole_batch_within_seconds(self) -> None:
        port = free_port()
        async with client(f"http://user:{CANARY}@127.0.0.1:{port}/v1", concurrency=8) as judge:
            start = time.monotonic()
            got = await ask_many(judge, 1000)
        assert reasons(got) == {f"judge unreachable: ClientConnectorError at 127.0.0.1:{port}"}
        assert sent(got) <= 16
        assert time.monotonic() - start < 5

    async def test_a_server_that_dies_and_comes_back_serves_again_after_the_cool_down(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("exprl.judge.http.endpoints._COOL_DOWN", 0.2)
        port = free_port()
        async with client(f"http://127.0.0.1:{port}/v1", concurrency=4) as judge:
            async with serving(port=port) as server:
                assert replies(await ask_many(judge, 10)) == 10
            lost = await ask_many(judge, 100)
            assert replies(lost) == 0
            assert reasons(lost) == {f"judge unreachable: ClientConnectorError at 127.0.0.1:{port}"}
            async with serving(port=port):
                await asyncio.sleep(0.25)
                assert replies(await ask_many(judge, 50)) == 50
        assert len(server.bodies) == 10

    async def test_a_server_that_restarts_between_two_attempts_loses_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("exprl.judge.http.client.random.uniform", lambda low, high: 2.0)
        port = free_port()
        async with client(f"http://127.0.0.1:{port}/v1", concurrency=4) as judge:
            asking = asyncio.create_task(ask_many(judge, 30))
            await asyncio.sleep(0.1)
            async with serving(port=port) as server:
                got = await asking
        assert replies(got) == 30
        assert len(server.bodies) == 30


class TestSeveralServers:
    async def test_when_one_is_not_there_the_other_answers_everything(self) -> None:
        async with serving() as there, client((f"http://127.0.0.1:{free_port()}/v1", there.url), retries=0) as judge:
            got = await ask_many(judge, 40)
        assert replies(got) == 40
        assert len(there.bodies) == 40
        assert sent(got) <= 40 + 32

    @pytest.mark.parametrize("fault", ["500", "503", "reset", "not JSON"])
    async def test_when_one_fails_the_other_answers_everything_without_a_pause(self, fault: str) -> None:
        async with (
            serving(FAULTS[fault]) as bad,
            serving() as well,
            client((bad.url, well.url), concurrency=4, retries=1) as judge,
        ):
            start = time.monotonic()
            got = await ask_many(judge, 60)
        assert replies(got) == 60
        assert len(well.bodies) == 60
        assert 1 <= len(bad.bodies) <= 3 + 4
        assert time.monotonic() - start < 3

    async def test_a_hang_is_tried_again_at_the_other(self) -> None:
        async with (
            serving(hang) as bad,
            serving() as well,
            client((bad.url, well.url), timeout=0.2, concurrency=4) as judge,
        ):
            got = await ask_many(judge, 20)
        assert replies(got) == 20

    async def test_a_server_that_dies_in_the_middle_is_replaced_and_taken_back(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("exprl.judge.http.endpoints._COOL_DOWN", 0.2)

        async def slow(request: web.Request, call: int) -> web.StreamResponse:
            await asyncio.sleep(0.02)
            return await good(request, call)

        port = free_port()
        async with serving(slow) as stays, client((f"http://127.0.0.1:{port}/v1", stays.url), concurrency=4) as judge:
            async with serving(slow, port=port) as dies:
                asking = asyncio.create_task(ask_many(judge, 60))
                while len(dies.bodies) < 8:
                    await asyncio.sleep(0.005)
            got = await asking
            assert replies(got) == 60
            before = len(stays.bodies)
            async with serving(port=port) as back:
                await asyncio.sleep(0.25)
                assert replies(await ask_many(judge, 40)) == 40
                assert replies(await ask_many(judge, 40)) == 40
        assert len(back.bodies) >= 10
        assert len(back.bodies) + len(stays.bodies) - before == 80

    async def test_when_all_are_gone_everything_fails_at_once(self) -> None:
        urls = tuple(f"http://127.0.0.1:{free_port()}/v1" for _ in range(2))
        async with client(urls, concurrency=8) as judge:
            start = time.monotonic()
            got = await ask_many(judge, 500)
        assert len(reasons(got)) <= 2
        assert all(reason.startswith("judge unreachable: ") for reason in reasons(got))
        assert (replies(got), sent(got) <= 40) == (0, True)
        assert time.monotonic() - start < 5
