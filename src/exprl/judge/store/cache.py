"""Verdicts that were paid for once: what a judge has said is on disk before anybody hears it.

    cache = VerdictCache.open(folder / "judge.sqlite")
    verdict = await cache.fetch(key, ask)

A stored verdict costs nothing: its `usage` is empty. Equal keys that are asked for at the same time in one event loop
share one call, whoever of the callers goes away; the call ends when all have. Its usage goes to one of them. Across
loops and processes the first verdict that is stored stands, for everybody: a judge that contradicts itself contradicts
itself in nobody's results.

What this module refuses: to store a failure (an unscored verdict is asked again), and to trust what is stored. A row
that is no scored verdict is treated as absent and overwritten.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from exprl.judge.store.store import Store, Work
from exprl.types import Usage, Verdict

__all__ = ["VerdictCache"]

Ask = Callable[[], Awaitable[Verdict]]


class _Row(NamedTuple):
    key: str
    verdict: str


class _Flight:
    """One call that is on its way, and how many wait for it."""

    __slots__ = ("call", "paid", "waiting")

    def __init__(self, call: asyncio.Task[Verdict]) -> None:
        self.call = call
        self.waiting = 0
        self.paid = False  # whether somebody has been told what it cost


class VerdictCache:
    """Key -> verdict. Make it with `VerdictCache.open`; usable from several event loops and threads."""

    def __init__(self, store: Store | None) -> None:
        self._store = store
        self._loops: dict[asyncio.AbstractEventLoop, dict[str, _Flight]] = {}

    @classmethod
    def open(cls, path: Path | None) -> VerdictCache:
        """The cache in a file, which is made if need be; None keeps nothing and only shares calls in flight."""
        return cls(None if path is None else Store.open(path))

    async def fetch(self, key: str, ask: Ask) -> Verdict:
        """The verdict of a key.

        Args:
            key: identifies all that the verdict depends on.
            ask: called where nothing is stored or on its way. What it raises reaches all who wait.
        Returns:
            A verdict that is on disk if it is scored (and the disk can be written), with the usage of this call of
            `fetch`.
        """
        flights = self._here()
        flight = flights.get(key)
        if flight is None:
            flight = flights[key] = _Flight(asyncio.ensure_future(self._answer(key, ask)))
        flight.waiting += 1
        try:
            verdict = await asyncio.shield(flight.call)
        finally:
            flight.waiting -= 1
            if flight.call.done() or not flight.waiting:
                flight.call.cancel()
                if flights.get(key) is flight:
                    del flights[key]
        if flight.paid:
            return dataclasses.replace(verdict, usage=Usage())
        flight.paid = True
        return verdict

    def close(self) -> None:
        """Let go of the file; the next `fetch` opens it again."""
        if self._store is not None:
            self._store.close()

    def _here(self) -> dict[str, _Flight]:
        loop = asyncio.get_running_loop()
        flights = self._loops.get(loop)
        if flights is None:
            for gone in [other for other in list(self._loops) if other.is_closed()]:
                self._loops.pop(gone, None)
            flights = self._loops[loop] = {}
        return flights

    async def _answer(self, key: str, ask: Ask) -> Verdict:
        if self._store is None:
            return await ask()
        stored = _parse(await self._store.do(_LOOKUP, key))
        if stored is not None:
            return stored
        verdict = await ask()
        return verdict if verdict.score is None else await _keep(self._store, key, verdict)


async def _keep(store: Store, key: str, verdict: Verdict) -> Verdict:
    """The verdict that stands from now on, with what the given one has cost."""
    row = _Row(key, json.dumps(_as_dict(verdict)))
    standing = await store.do(_INSERT, row)
    if standing is None or standing == row.verdict:
        return verdict
    earlier = _parse(standing)
    if earlier is None:
        await store.do(_REPLACE, row)
        return verdict
    return dataclasses.replace(earlier, usage=verdict.usage)


def _as_dict(verdict: Verdict) -> dict[str, object]:
    usage = verdict.usage
    return {
        "score": verdict.score,
        "likert": verdict.likert,
        "raw": verdict.raw,
        "note": verdict.note,
        "prompt_hash": verdict.prompt_hash,
        "judge": verdict.judge,
        "usage": [usage.calls, usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens],
    }


def _parse(text: object) -> Verdict | None:
    """The verdict of a row, at no cost; None where there is no row or it is none of ours."""
    if not isinstance(text, bytes | str):
        return None
    try:
        row = json.loads(text)
        score, likert = row["score"], row["likert"]
        words = [row[name] for name in ("raw", "note", "prompt_hash", "judge")]
        if type(score) not in (int, float) or not (likert is None or type(likert) is int):
            return None
        if not all(isinstance(word, str) for word in words):
            return None
        raw, note, prompt_hash, judge = words
        return Verdict(float(score), likert=likert, raw=raw, note=note, prompt_hash=prompt_hash, judge=judge)
    except (ValueError, LookupError, TypeError, RecursionError, OverflowError):
        return None


def _lookup(connection: sqlite3.Connection, keys: list[str]) -> list[object]:
    marks = ",".join("?" * len(keys))
    query = f"SELECT CAST(key AS BLOB), verdict FROM verdicts WHERE key IN ({marks})"
    found: dict[bytes, object] = dict(connection.execute(query, keys))
    return [found.get(key.encode()) for key in keys]


def _insert(connection: sqlite3.Connection, rows: list[_Row]) -> list[object]:
    """What stands after each insert: the row's own text, or the one that was there before."""
    marks = ",".join(["(?,?)"] * len(rows))
    query = f"INSERT OR IGNORE INTO verdicts (key, verdict) VALUES {marks}"
    added = connection.execute(query, [text for row in rows for text in row]).rowcount
    if added == len(rows):
        return [row.verdict for row in rows]
    standing = _lookup(connection, [row.key for row in rows])
    return [row.verdict if found == row.verdict.encode() else found for row, found in zip(rows, standing, strict=True)]


def _replace(connection: sqlite3.Connection, rows: list[_Row]) -> list[bool]:
    connection.executemany("INSERT OR REPLACE INTO verdicts (key, verdict) VALUES (?, ?)", rows)
    return [True] * len(rows)


_LOOKUP: Work[str, object] = Work(_lookup)
_INSERT: Work[_Row, object] = Work(_insert, writes=True)
_REPLACE: Work[_Row, bool] = Work(_replace, writes=True)
