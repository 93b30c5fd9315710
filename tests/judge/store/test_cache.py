"""VerdictCache: nothing that was paid for is asked again, no failure is kept, and equal calls in flight are one."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exprl.judge.store.cache import VerdictCache
from exprl.types import Usage, Verdict

PAID = Usage(calls=1, prompt_tokens=100, completion_tokens=7, cached_tokens=64)
GOOD = Verdict(0.75, likert=4, raw="Score: 4", judge="llm:j", prompt_hash="ab" * 32, usage=PAID, note="cut")
FREE = Verdict(0.75, likert=4, raw="Score: 4", judge="llm:j", prompt_hash="ab" * 32, note="cut")
FAILED = Verdict(None, unscored="judge timeout", judge="llm:j", usage=Usage(calls=2))

TEXTS = st.text(st.characters(codec=None))  # half surrogate pairs, too: a judge may write anything
VERDICTS = st.builds(
    Verdict,
    score=st.floats(0, 1),
    likert=st.none() | st.integers(1, 5),
    raw=TEXTS,
    judge=TEXTS,
    prompt_hash=TEXTS,
    note=TEXTS,
)


class Asker:
    """Counts what it is asked; answers once `go` is set."""

    def __init__(self, answer: Verdict | Exception = GOOD, *, wait: bool = False) -> None:
        self.answer = answer
        self.asked = self.cancelled = 0
        self.go = asyncio.Event()
        if not wait:
            self.go.set()

    async def __call__(self) -> Verdict:
        self.asked += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "judge.sqlite"


@pytest.fixture
def cache(path: Path) -> Iterator[VerdictCache]:
    cache = VerdictCache.open(path)
    yield cache
    cache.close()


@pytest.fixture(params=["disk", "memory"])
def any_cache(request: pytest.FixtureRequest, path: Path) -> Iterator[VerdictCache]:
    cache = VerdictCache.open(path if request.param == "disk" else None)
    yield cache
    cache.close()


def rows(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT key, verdict FROM verdicts"))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_stored_verdict_is_not_asked_again_and_costs_nothing(cache: VerdictCache, path: Path) -> None:
    ask = Asker()
    assert await cache.fetch("k", ask) == GOOD
    assert json.loads(rows(path)["k"])["usage"] == [1, 100, 7, 64]  # on disk before it was returned
    assert await cache.fetch("k", ask) == FREE
    cache.close()
    assert await VerdictCache.open(path).fetch("k", ask) == FREE
    assert ask.asked == 1


@given(verdicts=st.lists(VERDICTS, min_size=10, max_size=20))
@settings(max_examples=10)  # 10 to 20 verdicts each: a file is slow to make
def test_every_verdict_comes_back_as_it_was(verdicts: list[Verdict]) -> None:
    async def both_ways(cache: VerdictCache) -> None:
        asks = [Asker(verdict) for verdict in verdicts]
        for _ in range(2):
            assert await asyncio.gather(*(cache.fetch(str(i), ask) for i, ask in enumerate(asks))) == verdicts
        assert {ask.asked for ask in asks} == {1}

    with tempfile.TemporaryDirectory() as folder:
        cache = VerdictCache.open(Path(folder) / "judge.sqlite")
        asyncio.run(both_ways(cache))
        cache.close()


async def test_failures_are_asked_again(any_cache: VerdictCache) -> None:
    ask = Asker(FAILED)
    assert await any_cache.fetch("k", ask) == FAILED
    assert await any_cache.fetch("k", ask) == FAILED
    assert ask.asked == 2


async def test_equal_calls_in_flight_are_one_call_whose_cost_is_told_once(any_cache: VerdictCache) -> None:
    ask = Asker(wait=True)
    calls = [asyncio.ensure_future(any_cache.fetch("k", ask)) for _ in range(5)]
    await until(lambda: ask.asked == 1)
    ask.go.set()
    verdicts = await asyncio.gather(*calls)
    assert ask.asked == 1
    assert sorted(verdicts, key=lambda verdict: verdict.usage.calls) == [FREE, FREE, FREE, FREE, GOOD]


async def test_a_caller_that_goes_away_does_not_take_the_call_with_it(any_cache: VerdictCache) -> None:
    ask = Asker(wait=True)
    first, second = (asyncio.ensure_future(any_cache.fetch("k", ask)) for _ in range(2))
    await until(lambda: ask.asked == 1)
    first.cancel()
    await until(first.done)
    ask.go.set()
    assert await second == GOOD
    assert first.cancelled()
    assert (ask.asked, ask.cancelled) == (1, 0)


async def test_a_call_that_nobody_waits_for_ends_and_the_next_one_asks_anew(any_cache: VerdictCache) -> None:
    ask = Asker(wait=True)
    calls = [asyncio.ensure_future(any_cache.fetch("k", ask)) for _ in range(2)]
    await until(lambda: ask.asked == 1)
    for call in calls:
        call.cancel()
    await until(lambda: ask.cancelled == 1)
    ask.go.set()
    assert await any_cache.fetch("k", ask) == GOOD
    assert ask.asked == 2


async def test_an_exception_reaches_all_who_wait_and_nothing_stays(any_cache: VerdictCache) -> None:
    ask = Asker(RuntimeError("a bug"), wait=True)
    calls = [asyncio.ensure_future(any_cache.fetch("k", ask)) for _ in range(3)]
    await until(lambda: ask.asked == 1)
    ask.go.set()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["a bug"] * 3
    assert await any_cache.fetch("k", Asker()) == GOOD


async def test_an_answer_that_came_in_is_kept_even_if_nobody_waits_any_more(cache: VerdictCache, path: Path) -> None:
    call: asyncio.Task[Verdict]

    async def ask() -> Verdict:
        asyncio.get_running_loop().call_soon(call.cancel)
        return GOOD

    call = asyncio.ensure_future(cache.fetch("k", ask))
    with pytest.raises(asyncio.CancelledError):
        await call
    cache.close()
    assert list(rows(path)) == ["k"]


NO_VERDICTS = [
    *("", "{", "null", "[]", "7", "{}", '{"score": 0.5}', json.dumps({"score": 0.5, "likert": 3})),
    *(
        json.dumps({**json.loads('{"likert": 3, "raw": "", "note": "", "prompt_hash": "", "judge": ""}'), **wrong})
        for wrong in (
            *({"score": score} for score in (None, True, "0.5", 1.5, -0.1, float("nan"), 10**400, [])),
            *({"score": 0.5, "likert": likert} for likert in ("3", 3.0, True)),
            *({"score": 0.5, name: 7} for name in ("raw", "note", "prompt_hash", "judge")),
        )
    ),
    "[" * 100_000,
    b"\xff\xfe\x00 no text",
    12,
]


@pytest.mark.parametrize("row", NO_VERDICTS, ids=range(len(NO_VERDICTS)))
async def test_a_row_that_is_no_verdict_is_asked_again_and_overwritten(row: object, path: Path) -> None:
    cache, ask = VerdictCache.open(path), Asker()
    await cache.fetch("another", ask)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO verdicts VALUES ('k', ?)", (row,))
        connection.commit()
    assert await cache.fetch("k", ask) == GOOD
    assert await cache.fetch("k", ask) == FREE
    assert ask.asked == 2
    cache.close()


async def test_a_torn_row_is_never_half_believed(cache: VerdictCache, path: Path) -> None:
    await cache.fetch("whole", Asker())
    whole = rows(path)["whole"]
    with closing(sqlite3.connect(path)) as connection:
        cuts = [(str(cut), whole[:cut]) for cut in range(len(whole))]
        connection.executemany("INSERT INTO verdicts VALUES (?, ?)", cuts)
        connection.commit()
    ask = Asker()
    for verdict in (GOOD, FREE):
        verdicts = await asyncio.gather(*(cache.fetch(str(cut), ask) for cut in range(len(whole))))
        assert verdicts == [verdict] * len(whole)
    assert ask.asked == len(whole)


async def test_the_first_verdict_that_is_stored_stands(cache: VerdictCache, path: Path) -> None:
    async def ask() -> Verdict:
        with closing(sqlite3.connect(path)) as connection:  # another process was faster
            theirs = '{"score": 0.25, "likert": 2, "raw": "", "note": "", "prompt_hash": "", "judge": "llm:j"}'
            connection.execute("INSERT INTO verdicts VALUES ('k', ?)", (theirs,))
            connection.commit()
        return GOOD

    verdict = await cache.fetch("k", ask)
    assert (verdict.score, verdict.usage) == (0.25, PAID)  # what it cost is still ours


def test_several_event_loops_use_one_cache(cache: VerdictCache) -> None:
    asked: list[str] = []

    async def ask(key: str) -> Verdict:
        asked.append(key)
        await asyncio.sleep(0.001)
        return GOOD

    async def work() -> None:
        keys = [str(i % 50) for i in range(200)]
        verdicts = await asyncio.gather(*(cache.fetch(key, lambda key=key: ask(key)) for key in keys))
        assert {verdict.score for verdict in verdicts} == {0.75}

    threads = [threading.Thread(target=asyncio.run, args=(work(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(work())
    assert 50 <= len(asked) <= 150


WORKER = """
import asyncio, json, sys
from pathlib import Path
from exprl.judge.store.cache import VerdictCache
from exprl.types import Verdict

async def main(cache, me, asked):
    async def ask(key):
        asked.append(key)
        await asyncio.sleep(0.002)
        return Verdict(0.5, raw=me)
    async def one(i):
        return (await cache.fetch(str(i), lambda: ask(i))).raw
    told = []
    for start in range(0, 100, 20):
        told += await asyncio.gather(*map(one, range(start, start + 20)))
    print(json.dumps([asked, told]))

cache = VerdictCache.open(Path(sys.argv[1]))
asyncio.run(main(cache, sys.argv[2], []))
"""


def test_processes_that_share_a_cache_agree_on_every_verdict(path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "src")}
    command = [sys.executable, "-c", WORKER, str(path)]
    workers = [
        subprocess.Popen([*command, me], env=environment, stdout=subprocess.PIPE, text=True) for me in ("a", "b")
    ]
    outcomes = [json.loads(worker.communicate(timeout=60)[0]) for worker in workers]
    (asked, told), (asked_too, told_too) = outcomes
    assert told == told_too
    assert len(asked) + len(asked_too) >= 100
    assert [json.loads(rows(path)[str(i)])["raw"] for i in range(100)] == told


async def test_without_a_place_to_store_verdicts_are_still_given(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache, ask = VerdictCache.open(tmp_path / "file" / "judge.sqlite"), Asker()
    assert [await cache.fetch("k", ask) for _ in range(3)] == [GOOD] * 3
    assert ask.asked == 3
    cache.close()


async def test_a_file_that_is_damaged_while_in_use_costs_its_verdicts_and_nothing_else(path: Path) -> None:
    cache, ask = VerdictCache.open(path), Asker()
    await asyncio.gather(*(cache.fetch(str(i), ask) for i in range(500)))
    cache.close()
    data = bytearray(path.read_bytes())
    data[4 * 4096 :] = os.urandom(len(data) - 4 * 4096)
    path.write_bytes(data)
    for _ in range(2):
        verdicts = await asyncio.gather(*(cache.fetch(str(i), ask) for i in range(500)))
        assert {verdict.score for verdict in verdicts} == {0.75}
    assert ask.asked == 1000
    cache.close()


async def test_nothing_is_kept_in_memory(path: Path) -> None:
    cache, ask = VerdictCache.open(None), Asker()
    assert [await cache.fetch("k", ask) for _ in range(2)] == [GOOD, GOOD]
    assert ask.asked == 2
    assert not path.exists()
