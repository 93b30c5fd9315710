"""An LLM judge's calls per second: exprl against openai, litellm and httpx, on the same server in the same run.

2,000 calls of 10 kB, 64 in flight, against a mock server in another process that answers at once from memory. exprl's side
is the whole judge: problems, references and traces are rendered into prompts, replies parsed into verdicts, and every
verdict committed to a cache in SQLite. The peers are given finished messages of the same size and only have to post them
and hand back the text.

Sides take turns in rounds, each side's figure is the median of its rounds; a peer has a quarter of the calls a round (all
of them with --full). CPU is this process's, all threads, without the server's. The peers are not dependencies:

    pip install openai litellm httpx
    python benchmarks/judge_client.py [--full]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import TYPE_CHECKING

from exprl.config import LLMJudgeConfig
from exprl.judge.llm import LLMJudge
from exprl.types import Problem, Reference, Submission

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLS, IN_FLIGHT, SIZE, ROUNDS, GROUP = 2000, 64, 10_000, 3, 16
PEER_SHARE = 4
RATE_GOAL, RATIO_GOAL = 1500.0, 7.0
MODEL, VERDICT = "mock", "The steps follow and the result is the reference's.\n\nScore: 4"

Messages = list[dict[str, str]]
Post = Callable[[Messages], Awaitable[str]]

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class MockServer(asyncio.Protocol):
    """HTTP, as much of it as these clients speak: whatever is posted has the same completion as its answer."""

    requests = received = 0

    def __init__(self) -> None:
        self.data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (head := self.data.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(self.data, 0, head)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(self.data) < end:
                return
            self.transport.write(self.answer(bytes(self.data[: self.data.find(b"\r\n")]), end - head - 4))
            del self.data[:end]

    def answer(self, line: bytes, size: int) -> bytes:
        """The response to one request, by its first line."""
        if line.startswith(b"POST"):
            MockServer.requests += 1
            MockServer.received += size
            return COMPLETION
        if b"/models" in line:
            return response({"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        return response([MockServer.requests, MockServer.received])


def response(body: object) -> bytes:
    """A whole HTTP response."""
    data = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data)


COMPLETION = response(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": VERDICT}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 2500,
            "completion_tokens": 20,
            "total_tokens": 2520,
            "prompt_tokens_details": {"cached_tokens": 2000},
        },
    }
)


async def serve() -> None:
    """Be the server until the parent ends; its port is the one line of output."""
    server = await asyncio.get_running_loop().create_server(MockServer, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def server_elsewhere() -> Iterator[str]:
    """The URL of a mock server in another process."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.stdin.close()


def seen(url: str) -> tuple[int, int]:
    """Requests and bytes that the server has received."""
    with urllib.request.urlopen(url + "/seen") as answer:
        requests, received = json.load(answer)
    return requests, received


def write_text(rng: random.Random, length: int) -> str:
    """Worked mathematics of so many characters, in lines and paragraphs."""
    lines, size = [], 0
    while size < length:
        a, b = rng.randrange(1000), rng.randrange(1000)
        line = rng.choice(
            (
                f"We have {a} + {b} = {a + b}, so the bound holds for n >= {a % 7}.",
                f"Let $x_{{{a % 9}}} = \\frac{{{a}}}{{{b + 1}}}$; then the sum is at most {b}.\n",
                f"Hence {a} divides the product and case {b % 5} cannot occur.",
                f"### Step {a % 9}: by symmetry we may assume that {a} <= {a + b}.",
            )
        )
        lines.append(line)
        size += len(line) + 1
    return "\n".join(lines)[:length]


def make_submissions(trace_length: int, calls: int = CALLS) -> list[Submission]:
    """One call each: groups of rollouts of a problem, each judged on its outcome."""
    rng = random.Random(0)
    problems = [
        Problem(f"p{n}", write_text(rng, 400), Reference(write_text(rng, 1200), str(n)))
        for n in range(-(-calls // GROUP))
    ]
    traces = [f"{n}. {write_text(rng, trace_length)}" for n in range(calls)]
    return [
        Submission(problems[n // GROUP], f"r{n}", trace, (len(trace),), "outcome") for n, trace in enumerate(traces)
    ]


def make_messages(calls: int) -> list[Messages]:
    """What the peers are given: finished prompts of 10 kB in JSON."""
    rng = random.Random(1)
    head = write_text(rng, 1500)
    return [
        [
            {"role": "system", "content": head},
            {"role": "user", "content": f"{n}. {write_text(rng, SIZE - 2200)}"},
            {"role": "user", "content": head[:300]},
        ]
        for n in range(calls)
    ]


@dataclass
class Side:
    """The rounds of one side: seconds, CPU seconds and bytes a call."""

    name: str
    calls: int
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)

    async def measure(self, url: str, work: Callable[[], Awaitable[None]]) -> None:
        """One round of so many calls; the server must have had exactly as many requests."""
        before = seen(url)
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        await work()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        after = seen(url)
        if after[0] - before[0] != self.calls:
            raise SystemExit(f"{self.name}: {after[0] - before[0]} requests for {self.calls} calls")
        self.rates.append(self.calls / wall)
        self.cpu.append(1000 * cpu / self.calls)
        self.sizes.append((after[1] - before[1]) / self.calls)

    def row(self, note: str) -> str:
        """Its line of the table."""
        return (
            f"{self.name:<10}{median(self.rates):>10.0f}{median(self.cpu):>14.2f}{median(self.sizes) / 1000:>10.1f}"
            f"  {note}"
        )


async def judge(url: str, submissions: list[Submission], store: Path) -> None:
    """exprl's side: the whole judge."""
    llm = LLMJudge(LLMJudgeConfig(model=MODEL, url=url, concurrency=IN_FLIGHT), store=store)
    rows = await llm.score(submissions)
    await llm.aclose()
    if any(verdict.score != 0.75 for row in rows for verdict in row):
        raise SystemExit("exprl: a verdict is not what the server said")


async def post_all(post: Post, batch: list[Messages]) -> None:
    """A peer's side: 64 workers post finished messages."""
    waiting = iter(batch)

    async def work() -> None:
        for messages in waiting:
            if await post(messages) != VERDICT:
                raise SystemExit("a peer's text is not what the server said")

    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))


def openai_post(module: ModuleType, url: str) -> Post:
    """openai's asynchronous client."""
    client = module.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)

    async def post(messages: Messages) -> str:
        reply = await client.chat.completions.create(model=MODEL, messages=messages, temperature=0.0, max_tokens=2048)
        return str(reply.choices[0].message.content)

    return post


def litellm_post(module: ModuleType, url: str) -> Post:
    """litellm's asynchronous function."""

    async def post(messages: Messages) -> str:
        reply = await module.acompletion(
            model=f"openai/{MODEL}", api_base=url, api_key="none", messages=messages, temperature=0.0, max_tokens=2048
        )
        return str(reply.choices[0].message.content)

    return post


def httpx_post(module: ModuleType, url: str) -> Post:
    """A bare HTTP client, with no library for chat on top."""
    client = module.AsyncClient(limits=module.Limits(max_connections=IN_FLIGHT), timeout=60.0)

    async def post(messages: Messages) -> str:
        body = {"model": MODEL, "messages": messages, "temperature": 0.0, "max_tokens": 2048}
        reply = await client.post(url + "/chat/completions", json=body)
        return str(reply.json()["choices"][0]["message"]["content"])

    return post


PEERS: dict[str, Callable[[ModuleType, str], Post]] = {
    "httpx": httpx_post,
    "openai": openai_post,
    "litellm": litellm_post,
}


def load_peers(url: str) -> dict[str, Post]:
    """The peers that are installed."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it downloads a price list when imported
    found = {}
    for name, make in PEERS.items():
        try:
            found[name] = make(importlib.import_module(name), url)
        except ImportError:
            continue
    return found


async def trace_length_for(url: str, folder: Path) -> int:
    """How long a trace must be for a request of 10 kB: asked of the judge itself with two short ones."""
    probe, before = 4000, seen(url)
    await judge(url, make_submissions(probe, 2), folder)
    return probe + SIZE - (seen(url)[1] - before[1]) // 2


async def run(url: str, peer_calls: int) -> dict[str, Side]:
    """All rounds of all sides."""
    with tempfile.TemporaryDirectory() as folder:
        submissions = make_submissions(await trace_length_for(url, Path(folder, "probe")))
        messages = make_messages(peer_calls)
        ours = Side("exprl", CALLS)
        sides = {"exprl": ours}
        peers: dict[str, Post] = {}
        for n in range(ROUNDS):
            store = Path(folder, str(n))
            await ours.measure(url, lambda store=store: judge(url, submissions, store))  # type: ignore[misc]
            if n == 0:  # imported only now: exprl's first round must not pay for what they leave in memory
                await check_cache(url, submissions, store)
                peers = load_peers(url)
                for name, post in peers.items():
                    sides[name] = Side(name, peer_calls)
                    await post_all(post, messages[:IN_FLIGHT])
            for name, post in peers.items():
                await sides[name].measure(url, lambda post=post: post_all(post, messages))  # type: ignore[misc]
    return sides


async def check_cache(url: str, submissions: list[Submission], store: Path) -> None:
    """The same batch once more must come from the cache, without a request."""
    before = seen(url)
    await judge(url, submissions, store)
    if seen(url) != before:
        raise SystemExit("exprl: a committed verdict was asked for again")


def main() -> int:
    """Print the table; 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="as many calls for the peers as for exprl")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve())
        return 0
    with server_elsewhere() as url:
        sides = asyncio.run(run(url, CALLS if arguments.full else CALLS // PEER_SHARE))

    ours = sides["exprl"]
    print(f"{CALLS} calls of 10 kB, {IN_FLIGHT} in flight, mock server in another process, {os.cpu_count()} cores")
    print(f"{'side':<10}{'calls/s':>10}{'CPU ms/call':>14}{'kB/call':>10}  note")
    print(ours.row("renders, parses, commits to the cache; median of 3 rounds"))
    for name in PEERS:
        if name in sides:
            times = median(ours.rates) / median(sides[name].rates)
            print(
                sides[name].row(
                    f"posts finished messages, {sides[name].calls} a round; exprl is {times:.1f} times as fast"
                )
            )
        else:
            print(f"{name:<10}{'-':>10}{'-':>14}{'-':>10}  not installed: pip install {name}")
    rate = median(ours.rates)
    ratio = rate / median(sides["openai"].rates) if "openai" in sides else float("nan")
    good = rate >= RATE_GOAL or ratio >= RATIO_GOAL
    print(
        f"{'ok' if good else 'MISSED'}: {rate:.0f} calls/s (goal >= {RATE_GOAL:.0f}), {ratio:.1f} times openai "
        f"(or goal >= {RATIO_GOAL:g}), {median(ours.cpu):.2f} ms of CPU a call"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
