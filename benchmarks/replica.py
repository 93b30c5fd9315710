"""A simulated replica of a model server: a process of its own that speaks HTTP, keeps prefixes, and takes its time.

Shared by the benchmarks that need more than one server, or one whose speed is known:

    with replicas(4, Speed(slots=4, prefill=20_000, decode=500)) as servers:
        servers[0].url, servers[0].kill(), servers[0].seen()

A token is four bytes of the prompt's text. A call waits for one of the `slots`; in its slot it is prefilled at `prefill`
tokens a second, less what the prefix cache holds, and then writes `max_tokens` tokens at `decode` tokens a second. The
cache keeps blocks of 16 tokens, each known by all that stands before it, and lets go of those used least recently once it
is full. What a call leaves is there when its prefill is done, and not before. Its times are sleeps: the processor is left to
the client, which is real.
"""

from __future__ import annotations

import argparse
import array
import asyncio
import json
import subprocess
import sys
import urllib.request
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

from aiohttp import web

BLOCK = 16
BYTES_PER_TOKEN = 4
REPLY = "Score: 3"
_LARGEST_REQUEST = 64 << 20


class PrefixCache:
    """Blocks of tokens, each known by all that stands before it; `capacity` in tokens, None for all there is."""

    def __init__(self, capacity: int | None = None) -> None:
        self._known: OrderedDict[int, None] = OrderedDict()
        self._most = None if capacity is None else capacity // BLOCK

    def found(self, ids: Sequence[int]) -> int:
        """How many tokens at the beginning need no prefill. The last token always does: its logits are wanted."""
        marks = list(takewhile(self._known.__contains__, _marks(ids[: len(ids) - 1])))
        self._touch(marks)
        return BLOCK * len(marks)

    def keep(self, ids: Sequence[int]) -> None:
        """What a call leaves behind."""
        self._touch(_marks(ids))
        while self._most is not None and len(self._known) > self._most:
            self._known.popitem(last=False)

    def _touch(self, marks: Sequence[int]) -> None:
        for mark in reversed(marks):  # the end of a prompt is let go of before its beginning
            self._known[mark] = None
            self._known.move_to_end(mark)


def _marks(ids: Sequence[int]) -> list[int]:
    marks, mark = [], 0
    for start in range(0, len(ids) - BLOCK + 1, BLOCK):
        mark = hash((mark, *ids[start : start + BLOCK]))
        marks.append(mark)
    return marks


def token_ids(prompt: str) -> Sequence[int]:
    """Four bytes a token."""
    data = prompt.encode("utf-8", "replace")
    return array.array("I", data + b" " * (-len(data) % BYTES_PER_TOKEN))


class Speed(NamedTuple):
    """How fast a replica is: calls at once, tokens a second of one call, and tokens that its cache holds (0: any)."""

    slots: int = 8
    prefill: float = 50_000.0
    decode: float = 1_000.0
    cache: int = 0


@dataclass
class Seen:
    """What a replica has done so far."""

    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


class _Replica:
    def __init__(self, speed: Speed) -> None:
        self.speed = speed
        self.cache = PrefixCache(speed.cache or None)
        self.slots = asyncio.Semaphore(speed.slots)
        self.seen = Seen()

    async def chat(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        ids = token_ids("".join(f"<{turn['role']}>{turn['content']}" for turn in body["messages"]))
        writes = int(body["max_tokens"])
        async with self.slots:
            cached = self.cache.found(ids)
            await asyncio.sleep((len(ids) - cached) / self.speed.prefill)
            self.cache.keep(ids)
            await asyncio.sleep(writes / self.speed.decode)
        self._count(len(ids), cached, writes)
        usage = {
            "prompt_tokens": len(ids),
            "completion_tokens": writes,
            "prompt_tokens_details": {"cached_tokens": cached},
        }
        return web.json_response(
            {"choices": [{"message": {"content": REPLY}, "finish_reason": "stop"}], "usage": usage}
        )

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "simulated"}]})

    async def told(self, request: web.Request) -> web.Response:
        return web.json_response(vars(self.seen))

    def _count(self, prompt: int, cached: int, writes: int) -> None:
        self.seen.calls += 1
        self.seen.prompt_tokens += prompt
        self.seen.cached_tokens += cached
        self.seen.completion_tokens += writes


async def _serve(speed: Speed) -> None:
    """Be a replica until the parent ends; the port is the one line of output."""
    replica = _Replica(speed)
    app = web.Application(client_max_size=_LARGEST_REQUEST)
    app.router.add_post("/v1/chat/completions", replica.chat)
    app.router.add_get("/v1/models", replica.models)
    app.router.add_get("/seen", replica.told)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=512).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


@dataclass
class Server:
    """A running replica."""

    url: str
    process: subprocess.Popen[str]

    def kill(self) -> None:
        """SIGKILL: no goodbye to those it was serving."""
        self.process.kill()
        self.process.wait()

    def seen(self) -> Seen:
        """What it has done so far."""
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/seen", timeout=10) as reply:
            return Seen(**json.load(reply))


@contextmanager
def _running(speed: Speed) -> Iterator[Server]:
    options = [f"--{name}={value}" for name, value in speed._asdict().items()]
    command = [sys.executable, __file__, *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Server(f"http://127.0.0.1:{int(process.stdout.readline())}/v1", process)
        finally:
            process.stdin.close()


@contextmanager
def replicas(count: int, speed: Speed) -> Iterator[list[Server]]:
    """So many of them, each in a process of its own."""
    with ExitStack() as stack:
        yield [stack.enter_context(_running(speed)) for _ in range(count)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option, default in Speed()._asdict().items():
        parser.add_argument(f"--{option}", type=type(default), default=default)
    asyncio.run(_serve(Speed(**vars(parser.parse_args()))))
