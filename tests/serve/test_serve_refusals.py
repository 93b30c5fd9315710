"""Who and what is turned away: without a token, with the wrong one, too large, too slow, too often, broken."""

from __future__ import annotations

import asyncio
import gzip
import json
import time

import pytest
from served import ACTOR, EVALUATOR, PROBLEM, TRACE, FakeJudge, Served, serving

from exprl.serve.routes import ROUTES

HEAD = f"POST /v1/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ACTOR}\r\nContent-Type: application/json\r\n"


async def raw(server: Served, *parts: bytes, pause: float = 0.0) -> tuple[bytes, float]:
    """All that comes back for some bytes until the server closes, and how long it took to."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.running.port)
    started = time.monotonic()
    answer = b""
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        answer = await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        pass  # closed while this was still writing
    finally:
        writer.close()
    return answer, time.monotonic() - started


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", "Basic YTpi", ACTOR, f"bearer{ACTOR}", "Bearer é"]
)
async def test_without_a_token_nothing_is_answered_and_the_body_is_not_read(header: str | None) -> None:
    async with serving() as server:
        await server.register()
        headers = {} if header is None else {"Authorization": header}
        for route in ROUTES:
            if route.roles is not None:
                path = route.path.replace("{id}", "p1")
                answer = await server.ask(path, method=route.method, token=None, headers=headers, data=b"{" * 10)
                assert (answer.status, answer.json) == (401, {"error": "a bearer token is needed"})
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_an_actor_can_neither_register_nor_list_nor_delete_nor_read_metrics() -> None:
    async with serving() as server:
        await server.register()
        for route in ROUTES:
            if route.roles == frozenset({"evaluator"}):
                answer = await server.ask(route.path.replace("{id}", "p1"), PROBLEM, method=route.method)
                assert answer.status == 403, route.path
        assert len(server.state.references) == 1


async def test_an_id_that_nobody_registered_gets_no_hint() -> None:
    async with serving() as server:
        await server.register()
        for path in ("/v1/score", "/v1/score_prefixes", "/v1/verify"):
            answer = await server.ask(path, {"reference": "p2", "text": "x"})
            assert (answer.status, answer.json) == (404, {"error": "no reference has this id"})


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"reference": "p1", "text": "\\ud800"}', 400),
        (b"[" * 100_000, 400),
        (b'{"reference": "p1", "text": ' + b"1" * 5000 + b"}", 400),
        (b"null", 422),
        (b"[]", 422),
        (b'{"reference": "p1"}', 422),
        (b'{"reference": "", "text": "x"}', 422),
        (b'{"reference": "p1", "text": "SECRET", "SECRET": 1}', 422),
        (b'{"reference": "p1", "text": "x", "reasons": "yes"}', 422),
        (b'{"reference": ["SECRET"], "text": {"SECRET": 1}}', 422),
    ],
)
async def test_a_malformed_body_is_refused_in_words_that_quote_none_of_it(data: bytes, status: int) -> None:
    async with serving() as server:
        await server.register()
        answer = await server.ask("/v1/score", data=data)
        assert answer.status == status
        assert isinstance(answer.json, dict)
        assert "SECRET" not in answer.text
        assert "1111" not in answer.text


@pytest.mark.parametrize("cuts", [[], [3, 2, 4], [1, 1, 4], [3], [5], [-1, 4], [True, 4], [1.5, 4], list(range(65))])
async def test_cuts_that_do_not_ascend_to_the_end_of_the_text_are_refused(cuts: list[float]) -> None:
    async with serving() as server:
        await server.register()
        answer = await server.ask("/v1/score_prefixes", {"reference": "p1", "text": "abcd", "cuts": cuts})
        assert answer.status == 422


async def test_other_types_of_body_are_refused_and_compressed_ones_are_never_unpacked() -> None:
    async with serving() as server:
        await server.register()
        body = json.dumps({"reference": "p1", "text": "x"}).encode()
        for headers in ({"Content-Type": "text/plain"}, {"Content-Encoding": "gzip"}, {"Content-Encoding": "br"}):
            packed = gzip.compress(body * 1000)
            assert (await server.ask("/v1/score", data=packed, headers=headers)).status == 415


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent() -> None:
    async with serving(body=1000) as server:
        answer, _ = await raw(server, f"{HEAD}Content-Length: 1001\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"larger than 1000 bytes" in answer


async def test_a_body_that_turns_out_too_large_is_cut_off() -> None:
    async with serving(body=1000) as server:
        chunk = b"200\r\n" + b"x" * 512 + b"\r\n"
        answer, _ = await raw(server, f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode(), chunk, chunk, pause=0.05)
        assert answer.startswith(b"HTTP/1.1 413")
        fits = await server.ask("/v1/references", {**PROBLEM, "solution": "1+1=2\n" * 1000}, token=EVALUATOR)
        assert fits.status == 201  # registrations have a limit of their own


async def test_a_slow_head_is_cut_off_however_steadily_it_drips() -> None:
    async with serving(head=0.3) as server:
        drops = [b"GET /health HTTP/1.1\r\n", *(b"X-%d: 1\r\n" % n for n in range(40))]
        answer, seconds = await raw(server, *drops, pause=0.1)
        assert answer == b""
        assert seconds < 3


async def test_a_connection_that_says_nothing_is_closed() -> None:
    async with serving(head=0.2) as server:
        answer, seconds = await raw(server)
        assert (answer, seconds < 3) == (b"", True)


async def test_a_slow_body_is_refused_however_steadily_it_drips() -> None:
    async with serving(receive=0.3) as server:
        head = f"{HEAD}Content-Length: 1000\r\n\r\n".encode()
        answer, seconds = await raw(server, head, *([b"x"] * 30), pause=0.1)
        assert answer.startswith(b"HTTP/1.1 408") or answer == b""  # the answer may be lost where bytes still come
        assert seconds < 6
        answer, _ = await raw(server, head)
        assert answer.startswith(b"HTTP/1.1 408")
        assert await server.metric('exprl_refused_total{reason="slow"}') == "2"


async def test_a_body_of_broken_chunks_is_refused_and_one_that_breaks_off_is_no_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(receive=0.2) as server:
        answer, _ = await raw(
            server, f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode(), b"zz\r\nSECRET\r\n", pause=0.05
        )
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 408"))
        assert b"SECRET" not in answer
        _, writer = await asyncio.open_connection("127.0.0.1", server.running.port)
        writer.write(f"{HEAD}Content-Length: 1000\r\n\r\nxx".encode())
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
        await asyncio.sleep(0.05)
        assert server.state.metrics.in_flight == 0
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_connection_beyond_the_limit_is_cut_and_the_others_live() -> None:
    async with serving(connections=3) as server:
        held = [await asyncio.open_connection("127.0.0.1", server.running.port) for _ in range(3)]
        await asyncio.sleep(0.05)
        answer, _ = await raw(server, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer == b""
        reader, writer = held[0]
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        for _, writer in held:
            writer.close()


async def test_too_many_requests_of_a_role_wait_and_the_other_role_is_served() -> None:
    async with serving(rate=3.0) as server:
        await server.register()
        statuses = [await server.ask("/v1/score", {"reference": "p1", "text": "x"}) for _ in range(5)]
        assert [answer.status for answer in statuses] == [200, 200, 200, 429, 429]
        assert int(statuses[-1].headers["Retry-After"]) >= 1
        assert (await server.ask("/v1/score", {"reference": "p1", "text": "x"}, token=EVALUATOR)).status == 200


async def test_guessing_tokens_is_slow_and_does_not_keep_out_who_has_one() -> None:
    async with serving(stranger_rate=2.0) as server:
        await server.register()
        statuses = [(await server.ask("/v1/score", {}, token=f"guess-{n}")).status for n in range(4)]
        assert statuses == [401, 401, 429, 429]
        assert (await server.ask("/v1/score", {"reference": "p1", "text": "x"})).status == 200


async def test_more_at_once_than_the_limit_are_told_to_come_again() -> None:
    gate = asyncio.Event()
    async with serving(FakeJudge(gate=gate), in_flight=2) as server:
        await server.register()
        asked = [asyncio.create_task(server.ask("/v1/score", {"reference": "p1", "text": str(n)})) for n in range(2)]
        while server.state.metrics.in_flight < 2:
            await asyncio.sleep(0.01)
        busy = await server.ask("/v1/score", {"reference": "p1", "text": "more"})
        assert (busy.status, busy.headers["Retry-After"]) == (503, "1")
        gate.set()
        assert [(await one).status for one in asked] == [200, 200]


@pytest.mark.parametrize(
    "start", [b"\x16\x03\x01\x02\x00", b"GET /\x00 HTTP/1.1\r\n\r\n", b"NONSENSE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
)
async def test_what_is_no_http_is_answered_400_and_the_server_lives(start: bytes) -> None:
    async with serving(head=1.0) as server:
        answer, _ = await raw(server, start)
        assert answer.startswith(b"HTTP/1.") is False or b" 400 " in answer.splitlines()[0]
        assert (await server.ask("/health", method="GET", token=None)).status == 200


async def test_unknown_paths_and_methods_are_refused_in_json() -> None:
    async with serving() as server:
        assert (await server.ask("/v1/nothing", {})).json == {"error": "not found"}
        answer = await server.ask("/v1/score", method="PUT")
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert (await server.ask("/../pyproject.toml", method="GET")).status == 404


async def test_a_fault_of_the_servers_own_is_500_without_words(caplog: pytest.LogCaptureFixture) -> None:
    def fail(text: str) -> object:
        raise RuntimeError(f"SECRET {text}")

    async with serving(FakeJudge(fail)) as server:  # type: ignore[arg-type]
        await server.register()
        answer = await server.ask("/v1/score", {"reference": "p1", "text": TRACE})
        assert (answer.status, answer.json) == (500, {"error": "something went wrong here"})
        stream = await server.ask("/v1/score_prefixes", {"reference": "p1", "text": TRACE, "stream": True})
        assert json.loads(stream.text) == {"error": "something went wrong here"}
    assert "RuntimeError in " in caplog.text
    assert "SECRET" not in caplog.text
    assert "boxed" not in caplog.text
