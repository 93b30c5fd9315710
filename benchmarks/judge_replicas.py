"""Several judge replicas behind one list of endpoints: what routing does for their prefix caches, and what a death costs.

The real judge and its client ask 1, 2 and 4 replicas, sticky (`judge.routing`, the default) and in turn, each time cold. A
replica is a process that speaks HTTP and has a cache of 16-token blocks of limited size (`replica.py`), or with --server a
real llama.cpp server. `cached` is the share of all prompt tokens that the replicas report as cached; `busiest` is the most
that one replica was asked over the whole run, as a multiple of its even share. Traces are judged as they come: rollouts of
all problems in a random order, so many at a time, each as soon as it is there.

Then one of the replicas is killed (SIGKILL) while a batch is under way. Nothing may be lost: every verdict is there, and each
replica that still lives has answered what the dead one had not.

    python benchmarks/judge_replicas.py [--full]
    python benchmarks/judge_replicas.py --server MODEL.gguf [--python PYTHON]   # needs xllamacpp there

Goals: with 4 replicas sticky routing finds at least 95 % of the share that one replica finds, round robin less than
sticky; no verdict is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from exprl.config import LLMJudgeConfig
from exprl.judge import LLMJudge
from exprl.types import Problem, Reference, Submission, Usage, Verdict
from llama_server import llama_server
from replica import BYTES_PER_TOKEN, Server, Speed, replicas

Routing = Literal["sticky", "round_robin"]
COUNTS, KEPT_GOAL = (1, 2, 4), 0.95


class Size(NamedTuple):
    """Problems, rollouts a problem, prefixes a rollout; tokens of problem, reference and rollout; judging together."""

    problems: int = 24
    rollouts: int = 8
    prefixes: int = 6
    problem: int = 128
    reference: int = 1024
    tokens: int = 2048
    together: int = 24
    concurrency: int = 32
    writes: int = 4


SMALL = Size()
FULL = SMALL._replace(problems=72, tokens=4096)
# As many slots as rollouts and prefixes at a time: llama.cpp keeps a prefix in its slot, until another prompt takes it.
REAL = Size(problems=3, rollouts=2, prefixes=2, problem=40, reference=160, tokens=120, together=2, concurrency=8)
SLOTS = 4
# A quarter of what the small size leaves in a cache that forgets nothing: caches are never as large as one would like.
SPEED = Speed(slots=8, prefill=60_000.0, decode=400.0, cache=150_000)


def prose(rng: random.Random, tokens: int) -> str:
    """Words of about so many tokens, no two alike."""
    words = " ".join(
        f"{rng.choice(('sum', 'root', 'bound', 'case', 'limit'))} {rng.randrange(10**4)}" for _ in range(tokens)
    )
    return words[: tokens * BYTES_PER_TOKEN]


def make_submissions(size: Size, seed: str) -> list[Submission]:
    """Rollouts of all problems, cut into pieces of equal length, in a random order."""
    rng = random.Random(seed)
    found = []
    for number in range(size.problems):
        reference = Reference(prose(rng, size.reference), str(number))
        problem = Problem(f"p{number}-{seed}", prose(rng, size.problem), reference)
        for rollout in range(size.rollouts):
            pieces = [f"{prose(rng, size.tokens // size.prefixes)}\n###\n" for _ in range(size.prefixes)]
            cuts = tuple(len("".join(pieces[: place + 1])) for place in range(size.prefixes))
            found.append(Submission(problem, f"r{rollout}", "".join(pieces), cuts, "prefix"))
    rng.shuffle(found)
    return found


class Judged(NamedTuple):
    """What came of a batch."""

    verdicts: int
    scored: int
    usage: Usage
    seconds: float

    @property
    def share(self) -> float:
        """Cached tokens, of all prompt tokens."""
        return self.usage.cached_tokens / max(self.usage.prompt_tokens, 1)


async def judge_all(urls: Sequence[str], routing: Routing, size: Size, submissions: Sequence[Submission]) -> Judged:
    """Judge each rollout by itself, so many at a time, as an agent loop does."""
    config = LLMJudgeConfig(
        model="simulated",
        url=tuple(urls),
        routing=routing,
        concurrency=size.concurrency,
        max_tokens=size.writes,
        cache=False,
        timeout=600.0,
        trace_limit=10**9,
    )
    judge, waiting = LLMJudge(config), iter(submissions)
    verdicts: list[Verdict] = []

    async def work() -> None:
        for submission in waiting:
            verdicts.extend((await judge.score([submission]))[0])

    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(size.together)))
    seconds = time.perf_counter() - start
    await judge.aclose()
    # A model that answers nonsense is asked nothing else here: what counts is that there was an answer.
    answered = sum(verdict.usage.prompt_tokens > 0 for verdict in verdicts)
    return Judged(len(verdicts), answered, sum((verdict.usage for verdict in verdicts), Usage()), seconds)


def ways(count: int) -> tuple[Routing, ...]:
    """One replica needs no routing."""
    return ("sticky", "round_robin") if count > 1 else ("sticky",)


class Row(NamedTuple):
    """One line of the table."""

    replicas: int
    routing: Routing
    judged: Judged
    busiest: float


def measure(count: int, routing: Routing, size: Size, speed: Speed) -> Row:
    """One setting on fresh replicas."""
    with replicas(count, speed) as servers:
        judged = asyncio.run(judge_all([one.url for one in servers], routing, size, make_submissions(size, "0")))
        calls = [one.seen().calls for one in servers]
    return Row(count, routing, judged, max(calls) * count / sum(calls))


async def _killed(servers: Sequence[Server], size: Size, after: float) -> Judged:
    """Judge while the first of the replicas is killed."""
    urls = [one.url for one in servers]
    judging = asyncio.create_task(judge_all(urls, "sticky", size, make_submissions(size, "0")))
    while (await asyncio.to_thread(servers[0].seen)).calls < after and not judging.done():
        await asyncio.sleep(0.01)
    servers[0].kill()
    return await judging


def kill_one(size: Size, speed: Speed, count: int = 4) -> tuple[Judged, int]:
    """The batch, and how many calls the dead replica had answered by then, at least."""
    after = size.problems * size.rollouts * size.prefixes // (3 * count)
    with replicas(count, speed) as servers:
        judged = asyncio.run(_killed(servers, size, after))
        answered = sum(one.seen().calls for one in servers[1:])
    return judged, size.problems * size.rollouts * size.prefixes - answered


def measured(counts: Sequence[int], measure_one: Callable[[int, Routing], Row]) -> list[Row]:
    """The table, each row printed as soon as it is there."""
    print(
        f"{'replicas':>8}  {'routing':<12}{'calls':>7}{'lost':>6}{'tokens sent':>13}{'cached':>9}{'busiest':>9}{'seconds':>9}"
    )
    rows = []
    for count in counts:
        for routing in ways(count):
            row = measure_one(count, routing)
            one = row.judged
            print(
                f"{row.replicas:>8}  {row.routing:<12}{one.usage.calls:>7}{one.verdicts - one.scored:>6}"
                f"{one.usage.prompt_tokens:>13}{one.share:>9.3f}{row.busiest:>9.2f}{one.seconds:>9.1f}",
                flush=True,
            )
            rows.append(row)
    return rows


def simulate(size: Size, speed: Speed, counts: Sequence[int] = COUNTS) -> int:
    """Print the table and the death; 1 where a goal is missed."""
    print(
        f"{size.problems} problems x {size.rollouts} rollouts x {size.prefixes} prefixes, reference {size.reference}, rollout "
        f"{size.tokens} tokens; a replica's cache holds {speed.cache:,}; {size.concurrency} calls in flight"
    )
    rows = measured(counts, partial(measure, size=size, speed=speed))
    dead, gone = kill_one(size, speed, counts[-1])
    print(
        f"one of {counts[-1]} killed mid-batch: {dead.scored} of {dead.verdicts} verdicts, {dead.usage.calls} requests; the "
        f"dead one had answered {gone}; cached {dead.share:.3f}"
    )
    return verdict(rows, dead)


def verdict(rows: Sequence[Row], dead: Judged) -> int:
    """The last line."""
    share = {(row.replicas, row.routing): row.judged.share for row in rows}
    most = max(row.replicas for row in rows)
    kept = share[most, "sticky"] / max(share[1, "sticky"], 1e-9)
    turns = share[most, "round_robin"] / max(share[1, "sticky"], 1e-9)
    lost = sum(row.judged.verdicts - row.judged.scored for row in rows) + dead.verdicts - dead.scored
    good = kept >= KEPT_GOAL and turns < kept and lost == 0
    print(
        f"{'ok' if good else 'MISSED'}: {most} replicas keep {100 * kept:.1f} % of one replica's cached share (goal >= "
        f"{100 * KEPT_GOAL:.0f} %), in turn {100 * turns:.1f} %; {lost} verdicts lost (goal 0)"
    )
    return 0 if good else 1


def measure_llama(python: str, model: Path, size: Size, count: int, routing: Routing) -> Row:
    """One setting on real servers, each with its share of the slots."""
    with ExitStack() as stack:
        servers = [stack.enter_context(llama_server(python, model, SLOTS)) for _ in range(count)]
        seed = secrets.token_hex(4)
        judged = asyncio.run(judge_all([one.url for one in servers], routing, size, make_submissions(size, seed)))
    return Row(count, routing, judged, float("nan"))


async def _killed_llama(servers: Sequence[Server], size: Size, after: float) -> Judged:
    urls = [one.url for one in servers]
    judging = asyncio.create_task(judge_all(urls, "sticky", size, make_submissions(size, secrets.token_hex(4))))
    await asyncio.sleep(after)
    servers[0].kill()
    return await judging


def real(python: str, model: Path, size: Size) -> int:
    """The same on llama.cpp servers."""
    print(
        f"llama.cpp, {model.name}, {SLOTS} slots and 1 thread a replica; {size.problems} problems x {size.rollouts} rollouts x "
        f"{size.prefixes} prefixes"
    )
    rows = measured(COUNTS, partial(measure_llama, python, model, size))
    with ExitStack() as stack:
        servers = [stack.enter_context(llama_server(python, model, SLOTS)) for _ in range(2)]
        dead = asyncio.run(_killed_llama(servers, size, rows[1].judged.seconds / 3))
    print(f"one of 2 killed mid-batch: {dead.scored} of {dead.verdicts} verdicts, {dead.usage.calls} requests")
    return verdict(rows, dead)


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulated replicas, or real ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="three times the problems, twice the length")
    parser.add_argument("--server", type=Path, help="a GGUF model: llama.cpp servers in place of simulated ones")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has xllamacpp")
    given = parser.parse_args(arguments)
    if given.server is not None:
        return real(given.python, given.server, REAL)
    return simulate(FULL if given.full else SMALL, SPEED)


if __name__ == "__main__":
    sys.exit(main())
