"""kill -9 while judging: the verdicts are those of a quiet run, and nothing that was stored is paid for again.

The judge asks a server in this process, whose reply follows from the prompt. Each life of the judge is a process of its
own, forked from one that has done its imports, killed at a seeded moment, and followed by the next until all is judged.
After every kill the store is looked at as it lies there, in a copy, so that the next life recovers it by itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from exprl.judge.store.ledger import Ledger, Prices
from local_server import in_a_thread, listening

CUTS = 3
CHILD = """
import asyncio, dataclasses, json, os, sys
from pathlib import Path
import exprl.judge.llm
from exprl.config import LLMJudgeConfig
from exprl.judge import build_judge
from exprl.types import Problem, Reference, Submission

assert "torch" not in sys.modules
url, rollouts, cuts = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def submission(i):
    text = "".join(f"Step {t} of {i} gives {i * t}.\\n" for t in range(cuts))
    ends = [end + 1 for end, sign in enumerate(text) if sign == "\\n"]
    problem = Problem(f"p{i // 4}", f"What is {i // 4} + 1?", Reference(f"It is {i // 4 + 1}.", str(i // 4 + 1)))
    return Submission(problem, f"r{i}", text, tuple(ends), "prefix")

def tell(folder, row):
    handle = os.open(folder / "told.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, json.dumps(row).encode() + b"\\n")
    os.close(handle)

async def main(folder):
    config = LLMJudgeConfig(model="judge", url=url, concurrency=8)
    judge = build_judge(config, store=folder, secret=b"s" * 32)
    few = asyncio.Semaphore(4)  # so that rollouts become complete all along
    async def one(i):
        async with few:
            (verdicts,) = await judge.score([submission(i)])
        rows = [{**dataclasses.asdict(verdict), "usage": None} for verdict in verdicts]
        tell(folder, rows)
        return rows
    judged = await asyncio.gather(*map(one, range(rollouts)))
    await judge.aclose()
    (folder / "draft.json").write_text(json.dumps(judged))
    (folder / "draft.json").rename(folder / "verdicts.json")

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(main(Path(line.strip())))
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    print(pid, flush=True)
    sys.stdin.readline()
    print(os.waitpid(pid, 0)[1], flush=True)
"""


class Server:
    """Counts requests by prompt. A reply holds the prompt's digest, and its score follows from it."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.Response:
        digest = hashlib.sha256(json.dumps((await request.json())["messages"]).encode()).hexdigest()
        self.asked[digest] += 1
        await asyncio.sleep(int(digest[:2], 16) / 50_000)  # up to 5 ms, so that answers overtake each other
        choice = {"message": {"role": "assistant", "content": reply_to(digest)}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 50, "completion_tokens": 5}})


def reply_to(digest: str) -> str:
    return f"Prompt {digest}\n\nScore: {1 + int(digest[:8], 16) % 5}"


def prompt_of(raw: str) -> str:
    return raw.split()[1]


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.handle)
    app.router.add_get("/v1/models", models)
    with in_a_thread(listening(app)) as server.url:
        yield server


async def models(request: web.Request) -> web.Response:
    return web.json_response({"data": [{"id": "judge"}]})


class Nursery:
    """Starts one life of a judge after the other."""

    def __init__(self, server: Server, rollouts: int) -> None:
        command = [sys.executable, "-c", CHILD, server.url, str(rollouts), str(CUTS)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def begin(self, folder: Path) -> int:
        return self._say(str(folder))

    def end(self) -> int:
        return self._say("")  # until now a dead one is a zombie, whose id is nobody else's

    def _say(self, line: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate(timeout=60)


@contextmanager
def nursery(rollouts: int) -> Iterator[tuple[Nursery, Server]]:
    with serving() as server:
        made = Nursery(server, rollouts)
        try:
            yield made, server
        finally:
            made.close()


def committed(folder: Path, scratch: Path) -> dict[str, str]:
    """Prompt -> reply of the stored verdicts, read from a copy of the files."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for file in folder.glob("judge.sqlite*"):
        shutil.copy(file, scratch)
    if not (scratch / "judge.sqlite").exists():
        return {}
    with closing(sqlite3.connect(scratch / "judge.sqlite")) as connection:
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return {}  # killed while the file was made
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        raws = [json.loads(text)["raw"] for (text,) in connection.execute("SELECT verdict FROM verdicts")]
    return {prompt_of(raw): raw for raw in raws}


def told(folder: Path) -> set[str]:
    path = folder / "told.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return {prompt_of(row["raw"]) for line in lines for row in json.loads(line)}


def wait_for_the_moment(folder: Path, server: Server, chance: random.Random) -> None:
    """Sometimes at once (while it opens the files), mostly after a few requests, and a moment more."""
    if chance.random() < 0.2:
        time.sleep(chance.uniform(0, 0.04))
        return
    target = server.asked.total() + chance.randint(1, 12)
    end = time.monotonic() + 20
    while server.asked.total() < target and not (folder / "verdicts.json").exists():
        assert time.monotonic() < end, "the judge asks no more and does not finish"
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.006))


def judge_quietly(folder: Path, nursery: Nursery, server: Server) -> list[object]:
    folder.mkdir()
    nursery.begin(folder)
    assert nursery.end() == 0
    assert set(server.asked.values()) == {1}
    server.asked.clear()
    verdicts: list[object] = json.loads((folder / "verdicts.json").read_text())
    return verdicts


def judge_with_kills(folder: Path, nursery: Nursery, server: Server, kills: int) -> list[object]:
    """All that must hold after each kill and at the end; returns the verdicts of the life that lived."""
    folder.mkdir()
    chance = random.Random(kills)
    stored: dict[str, str] = {}
    lost: Counter[str] = Counter()  # kills that met a prompt's call before it was stored
    for life in range(kills + 1):
        before = server.asked.copy()
        process = nursery.begin(folder)
        if life < kills:
            wait_for_the_moment(folder, server, chance)
            os.kill(process, signal.SIGKILL)
        assert nursery.end() in ((0, signal.SIGKILL) if life < kills else (0,))
        now = committed(folder, folder.with_name("copy"))
        asked = server.asked - before
        assert not stored.keys() & asked.keys(), "what was stored was asked again"
        assert stored.items() <= now.items(), "what was stored is gone"
        assert told(folder) <= now.keys(), "a verdict was given before it was stored"
        assert all(raw == reply_to(prompt) for prompt, raw in now.items())
        lost.update(asked.keys() - now.keys())
        stored = now
    assert lost, "no kill met a call in flight"
    assert server.asked.keys() == stored.keys()
    assert all(count <= 1 + lost[prompt] for prompt, count in server.asked.items())
    ledger = Ledger.open(folder / "judge.sqlite", prices=Prices(), limit=None)
    assert len(stored) <= ledger.spent().calls <= server.asked.total()
    ledger.close()
    verdicts: list[object] = json.loads((folder / "verdicts.json").read_text())
    return verdicts


def kill(times: int, *, rollouts: int, folder: Path) -> None:
    with nursery(rollouts) as (made, server):
        quiet = judge_quietly(folder / "quiet", made, server)
        killed = judge_with_kills(folder / "killed", made, server, times)
    assert killed == quiet
    assert sum(len(rows) for rows in killed) == rollouts * CUTS  # type: ignore[arg-type, misc]


def test_eight_kills_change_no_verdict_and_cost_no_stored_call(tmp_path: Path) -> None:
    kill(8, rollouts=20, folder=tmp_path)


@pytest.mark.slow
def test_two_hundred_kills_change_no_verdict_and_cost_no_stored_call(tmp_path: Path) -> None:
    kill(200, rollouts=420, folder=tmp_path)
