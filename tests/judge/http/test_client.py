"""ChatClient against a real HTTP server on this machine: what it sends, what it keeps to, how it is closed."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from aiohttp import web
from chat_server import CANARY, KEY, always, ask, ask_many, client, completion, first, good, hang, question, serving

from exprl.errors import JudgeError
from exprl.judge.http.client import ChatClient, Failure, Reply
from exprl.types import Usage


@pytest.fixture(autouse=True)
def nothing_privileged_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert CANARY not in caplog.text
    assert KEY not in caplog.text


class TestAsking:
    async def test_a_reply_has_its_text_and_its_usage(self) -> None:
        async with serving() as server:
            got = await ask(server.url)
        assert got == Reply("Score: 4", False, Usage(1, 100, 7, 64))

    async def test_a_reply_that_ran_into_the_token_limit_is_cut_short(self) -> None:
        async with serving(always(completion("so", finish="length"))) as server:
            got = await ask(server.url)
        assert isinstance(got, Reply)
        assert got.cut_short

    async def test_the_request_holds_what_was_asked_and_nothing_else(self) -> None:
        async with serving() as server, client(server.url, max_tokens=9) as judge:
            await judge.complete(question("1?"))
            await judge.complete(
                question("2?", max_tokens=5, response_format={"type": "json_object"}, logprobs=True, seed=3)
            )
        plain = {"model": "m", "messages": [{"role": "user", "content": "1?"}], "temperature": 0.0, "max_tokens": 9}
        assert server.bodies[0] == plain
        assert server.bodies[1] == plain | {
            "messages": [{"role": "user", "content": "2?"}],
            "max_tokens": 5,
            "response_format": {"type": "json_object"},
            "logprobs": True,
            "top_logprobs": 20,
            "seed": 3,
        }

    async def test_no_more_calls_than_allowed_are_in_flight(self) -> None:
        async def slow(request: web.Request, call: int) -> web.StreamResponse:
            await asyncio.sleep(0.02)
            return await good(request, call)

        async with serving(slow) as server, client(server.url, concurrency=3) as judge:
            got = await ask_many(judge, 12)
        assert all(isinstance(reply, Reply) for reply in got)
        assert server.most == 3

    async def test_the_limit_holds_for_all_endpoints_together(self) -> None:
        together: list[int] = []

        async def slow(request: web.Request, call: int) -> web.StreamResponse:
            together.append(one.in_flight + two.in_flight)
            await asyncio.sleep(0.02)
            return await good(request, call)

        async with serving(slow) as one, serving(slow) as two, client((one.url, two.url), concurrency=3) as judge:
            await ask_many(judge, 16)
        assert one.bodies
        assert two.bodies
        assert max(together) == 3

    async def test_calls_of_one_route_go_to_one_endpoint(self) -> None:
        async with serving() as one, serving() as two, client((one.url, two.url)) as judge:
            for _ in range(6):
                await judge.complete(question(route="problem 7"))
        assert sorted((len(one.bodies), len(two.bodies))) == [0, 6]

    async def test_connections_are_kept(self) -> None:
        peers = set()

        async def note(request: web.Request, call: int) -> web.StreamResponse:
            assert request.transport is not None
            peers.add(request.transport.get_extra_info("peername"))
            return await good(request, call)

        async with serving(note) as server, client(server.url) as judge:
            for _ in range(5):
                await judge.complete(question())
        assert len(peers) == 1

    async def test_a_redirect_is_not_followed_and_a_cookie_not_kept(self) -> None:
        cookies = []

        async def bait(request: web.Request, call: int) -> web.StreamResponse:
            cookies.append(request.headers.get("Cookie"))
            return web.Response(status=302, headers={"Location": "http://127.0.0.1:9/", "Set-Cookie": "a=b"})

        async with serving(bait) as server, client(server.url) as judge:
            got = [await judge.complete(question()) for _ in range(2)]
        assert got == [Failure("judge answered HTTP 302", Usage(calls=1))] * 2
        assert cookies == [None, None]


class TestKeys:
    async def test_the_key_comes_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MY_KEY", KEY)
        async with serving() as server:
            await ask(server.url, api_key_env="MY_KEY")
            monkeypatch.delenv("MY_KEY")
            await ask(server.url, api_key_env="MY_KEY")
        assert server.keys == [f"Bearer {KEY}", None]

    async def test_a_refused_key_is_final_and_neither_it_nor_the_body_is_shown(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EXPRL_JUDGE_API_KEY", KEY)
        async with serving(always(f"bad key {KEY}", 401)) as server:
            got = await ask(server.url)
        assert got == Failure("judge answered HTTP 401 (is EXPRL_JUDGE_API_KEY set and valid?)", Usage(calls=1))
        assert len(server.bodies) == 1

    def test_a_key_that_no_header_can_carry_is_an_error_that_does_not_show_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EXPRL_JUDGE_API_KEY", KEY + "\nX: é")
        with pytest.raises(JudgeError, match="EXPRL_JUDGE_API_KEY") as caught:
            client("http://h/v1")
        assert KEY not in str(caught.value)

    @pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host/v1", "http://", f"file:///{KEY}", "http://h:99999"])
    def test_a_url_that_cannot_be_asked_is_an_error_that_says_what_to_write(self, url: str) -> None:
        with pytest.raises(JudgeError, match=r"write e\.g\. url = ") as caught:
            client(("http://127.0.0.1:8000/v1", url))
        assert KEY not in str(caught.value)

    def test_credentials_in_the_url_beside_a_key_are_an_error_that_shows_neither(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EXPRL_JUDGE_API_KEY", KEY)
        with pytest.raises(JudgeError, match="keep one") as caught:
            client(f"http://user:{CANARY}@h/v1")
        assert CANARY not in str(caught.value)


class TestDeadlines:
    async def test_what_has_no_reply_by_the_deadline_is_a_failure_that_counts_what_was_sent(self) -> None:
        async with serving(hang) as server, client(server.url, concurrency=2) as judge:
            start = time.monotonic()
            got = await asyncio.gather(*(judge.complete(question(), deadline=start + 0.2) for _ in range(6)))
            assert time.monotonic() - start < 2
            assert judge._loops[asyncio.get_running_loop()].slots._value == 2
        assert [reply.reason for reply in got if isinstance(reply, Failure)] == ["judge batch deadline reached"] * 6
        assert sum(reply.usage.calls for reply in got) == 2

    async def test_a_deadline_that_is_over_sends_nothing(self) -> None:
        async with serving() as server, client(server.url) as judge:
            got = await judge.complete(question(), deadline=time.monotonic() - 1)
        assert got == Failure("judge batch deadline reached")
        assert server.bodies == []

    async def test_a_deadline_ends_a_hold_that_the_server_asked_for(self) -> None:
        async with serving(always("", 429, {"Retry-After": "50"})) as server, client(server.url) as judge:
            start = time.monotonic()
            got = await judge.complete(question(), deadline=start + 0.2)
        assert got == Failure("judge batch deadline reached", Usage(calls=1))
        assert time.monotonic() - start < 2

    async def test_a_reply_in_time_is_a_reply(self) -> None:
        async with serving() as server, client(server.url) as judge:
            assert isinstance(await judge.complete(question(), deadline=time.monotonic() + 5), Reply)

    async def test_a_cancelled_call_gives_its_turn_back(self) -> None:
        async with serving(first(2, hang)) as server, client(server.url, concurrency=2) as judge:
            hung = [asyncio.create_task(judge.complete(question())) for _ in range(4)]
            while len(server.bodies) < 2:
                await asyncio.sleep(0.01)
            for task in hung:
                task.cancel()
            await asyncio.gather(*hung, return_exceptions=True)
            assert all(task.cancelled() for task in hung)
            assert all(isinstance(reply, Reply) for reply in await ask_many(judge, 4))


class TestIdentity:
    async def test_it_is_the_entry_of_the_model_and_is_asked_once(self) -> None:
        models = {"data": [{"id": "other"}, {"id": "m", "root": "org/weights", "created": 17}]}
        async with serving(models=models) as server, client(server.url) as judge:
            assert await asyncio.gather(judge.identity(), judge.identity()) == ["m org/weights"] * 2
        assert server.identified == 1

    async def test_it_is_all_that_is_served_where_the_model_is_not_named(self) -> None:
        async with serving(models={"data": [{"id": "b"}, {"id": "a"}, 7]}) as server, client(server.url) as judge:
            assert await judge.identity() == "a\nb"

    @pytest.mark.parametrize("models", [None, [], {"data": 3}, {"data": [{"id": None}]}])
    async def test_it_is_empty_where_the_endpoint_does_not_say(self, models: object) -> None:
        async with serving(models=models) as server, client(server.url) as judge:
            assert [await judge.identity(), await judge.identity()] == ["", ""]
        assert server.identified == 1

    async def test_a_slow_server_is_waited_for_and_a_silent_one_is_taken_not_to_say(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with serving(models={"data": [{"id": "m"}]}) as server:
            server.slow = 0.2
            async with client(server.url) as judge:
                assert await judge.identity() == "m"
            monkeypatch.setattr("exprl.judge.http.client._IDENTIFY", 0.05)
            async with client(server.url) as judge:
                assert [await judge.identity(), await judge.identity()] == ["", ""]
            assert server.identified == 2

    async def test_replicas_of_one_model_are_one_model_whichever_of_them_answers(self) -> None:
        models = {"data": [{"id": "m"}]}
        async with (
            serving(models=models) as one,
            serving(models=models) as two,
            client((one.url, two.url)) as both,
            client((one.url, "http://127.0.0.1:9/v1")) as half,
        ):
            assert await both.identity() == await half.identity() == "m"

    async def test_a_server_that_is_not_there_yet_is_asked_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with serving(models={"data": [{"id": "m"}]}) as server:
            url = server.url
        async with client(url) as judge:
            assert await judge.identity() == ""
            monkeypatch.setattr(judge, "_identify_after", 0.0)
            async with serving(models={"data": [{"id": "m"}]}, port=int(url[17:-3])):
                assert await judge.identity() == "m"


class TestClosing:
    async def test_a_session_in_another_threads_loop_is_closed_from_here(self) -> None:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            async with serving() as server:
                judge = client(server.url)
                asking = asyncio.run_coroutine_threadsafe(judge.complete(question()), loop)
                reply = await asyncio.wrap_future(asking)
                session = judge._loops[loop].session
                await judge.aclose()
            assert isinstance(reply, Reply)
            assert session.closed
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def test_each_event_loop_has_a_session_of_its_own(self) -> None:
        """A trainer may call from a new loop each time, without closing in between."""

        async def once(judge: ChatClient, port: int) -> Reply | Failure:
            async with serving(always(completion(), headers={"Connection": "close"}), port=port):
                return await judge.complete(question())

        async def find() -> str:
            async with serving() as server:
                return server.url

        url = asyncio.run(find())
        judge = client(url)
        got = [asyncio.run(once(judge, int(url[17:-3]))) for _ in range(2)]
        assert all(isinstance(reply, Reply) for reply in got)
        assert len(judge._loops) == 1
        asyncio.run(judge.aclose())
        gc.collect()

    async def test_a_closed_client_may_be_used_again(self) -> None:
        async with serving() as server:
            judge = client(server.url)
            for _ in range(2):
                assert isinstance(await judge.complete(question()), Reply)
                await judge.aclose()


def test_what_goes_over_the_wire_is_described_without_an_http_library() -> None:
    code = "from exprl.judge.http import endpoints, pacing, wire; import sys; assert 'aiohttp' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
