"""Cached scores a second over HTTP: `exprl serve` against a bare route of its framework, in the same run.

Both servers are processes of their own, one after the other in rounds, and are asked by another process over 32 kept
connections. The bare route reads the body as JSON and answers a constant in JSON, without a token, a limit, a check or a count:
what aiohttp gives by itself. exprl's route does all that a request passes: token, rate, size and time limits, a strict check of
the body, a look-up of the reference, a hash of the trace (1 kB by default), the remembered verdict, metrics. Each side's figure
is the median of its rounds.

    python benchmarks/serve.py [--full]

The goal is 1,000 cached scores a second or half of what the bare route gives on the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from aiohttp import web

from exprl.serve.auth import ACTOR_TOKEN, EVALUATOR_TOKEN

CONNECTIONS, TEXTS = 32, 64
RATE_GOAL, RATIO_GOAL = 1000.0, 0.5
TOKEN, EVALUATOR = "benchmark-actor-token", "benchmark-evaluator-token"
TRACE = "37+25=62 ###\n62*3=186 ###\n\\boxed{186}\n"


async def bare(request: web.Request) -> web.Response:
    """The peer: reads JSON, answers JSON."""
    body = await request.json()
    return web.json_response({"score": 1.0 if body else None})


def serve_bare() -> None:
    """Be the bare server; its port is the one line of output."""

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/v1/score", bare)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
        await asyncio.to_thread(sys.stdin.read)

    asyncio.run(run())


@contextmanager
def server(command: list[str]) -> Iterator[int]:
    """A server in a process of its own; gives its port."""
    environment = {**os.environ, ACTOR_TOKEN: TOKEN, EVALUATOR_TOKEN: EVALUATOR}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield int(json.loads(process.stdout.readline())["port"])
        finally:
            process.terminate()


def request(path: str, body: object, token: str) -> bytes:
    """A whole HTTP request."""
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


class Connection(asyncio.Protocol):
    """One kept connection: the next request goes out when the answer to the last is whole."""

    def __init__(self, asked: list[bytes], until: float, done: asyncio.Future[None]) -> None:
        self.asked, self.until, self.done = asked, until, done
        self.count, self.data = 0, bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.asked[0])

    def data_received(self, data: bytes) -> None:
        self.data += data
        head = self.data.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self.data.find(b"Content-Length: ", 0, head) + 16
        if len(self.data) < head + 4 + int(self.data[at : self.data.find(b"\r\n", at)]):
            return
        if not self.data.startswith(b"HTTP/1.1 200") or not self.data.rstrip().endswith(b"1.0}"):
            self.done.set_exception(SystemExit(f"not a score: {bytes(self.data[:200])!r}"))
            return
        self.data.clear()
        self.count += 1
        if time.perf_counter() < self.until:
            self.transport.write(self.asked[self.count % len(self.asked)])
        else:
            self.transport.close()
            self.done.set_result(None)


async def load(port: int, seconds: float, size: int) -> float:
    """Requests a second over all connections."""
    loop = asyncio.get_running_loop()
    texts = [f"{n}: " + (TRACE * (size // len(TRACE) + 1))[:size] + "\n\\boxed{186}" for n in range(TEXTS)]
    asked = [request("/v1/score", {"reference": "p1", "text": text}, TOKEN) for text in texts]
    started = time.perf_counter()
    connections = []
    for number in range(CONNECTIONS):
        rotated = asked[number % TEXTS :] + asked[: number % TEXTS]
        done: asyncio.Future[None] = loop.create_future()
        make = Connection(rotated, started + seconds, done)
        await loop.create_connection(lambda make=make: make, "127.0.0.1", port)  # type: ignore[misc]
        connections.append(make)
    await asyncio.gather(*(connection.done for connection in connections))
    return sum(connection.count for connection in connections) / (time.perf_counter() - started)


async def register(port: int) -> None:
    """Tell exprl's server the one reference."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    problem = {"id": "p1", "problem": "What is (37 + 25) * 3?", "solution": "37+25=62\n62*3=186", "answer": "186"}
    writer.write(request("/v1/references", problem, EVALUATOR))
    if b" 201 " not in await reader.readline():
        raise SystemExit("the reference was not registered")
    writer.close()


def main() -> int:
    """Print the table; 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--full", action="store_true", help="nine rounds of 5 s instead of three of 2 s, and longer traces"
    )
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        serve_bare()
        return 0
    rounds, seconds = (9, 5.0) if arguments.full else (3, 2.0)
    sizes = (1000, 16_000) if arguments.full else (1000,)
    exprl = [
        sys.executable,
        "-c",
        "from exprl.cli import main; main()",
        "serve",
        "--port",
        "0",
        "--json",
        "--rate",
        "1e9",
    ]
    print(f"{CONNECTIONS} kept connections, {TEXTS} traces that were scored before, {os.cpu_count()} cores")
    print(f"{'trace':>8}{'exprl/s':>10}{'bare/s':>10}{'ratio':>8}")
    results = []
    with server(exprl) as ours, server([sys.executable, __file__, "--bare"]) as theirs:
        asyncio.run(register(ours))
        for size in sizes:
            asyncio.run(load(ours, 0.5, size))  # scores are cached from here on
            asyncio.run(load(theirs, 0.5, size))
            pairs = [
                (asyncio.run(load(ours, seconds, size)), asyncio.run(load(theirs, seconds, size)))
                for _ in range(rounds)
            ]
            mine, bare_rate = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
            results.append((mine, mine / bare_rate))
            print(f"{size:>8}{mine:>10.0f}{bare_rate:>10.0f}{mine / bare_rate:>8.2f}")
    rate, ratio = results[0]
    good = rate >= RATE_GOAL or ratio >= RATIO_GOAL
    print(
        f"{'ok' if good else 'MISSED'}: {rate:.0f} cached scores a second (goal >= {RATE_GOAL:.0f}), {ratio:.2f} of a bare "
        f"route (or goal >= {RATIO_GOAL:g})"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
