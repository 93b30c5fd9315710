"""What judges must not forget, in one SQLite file: work from any thread or event loop, done in batches by one thread.

    store = Store.open(path)                  # the same path gives the same store: one writer a process
    found = await store.do(LOOKUP, key)       # from an event loop, which goes on meanwhile
    store.post(CHARGE, charge)                # from anywhere, without waiting
    store.close()                             # all that was posted is on disk; the next use opens it again

A commit costs more than a row, so rows share one: the thread takes what has gathered while it was committing (512 items
at most), runs each kind of `Work` once over all its items, commits, and only then answers. An answer therefore outlives
kill -9. A batch that fails is taken back and tried item by item, so that a disk without room loses the writes and not
the reads; what cannot be done is answered None, and said once. A file that proves damaged is set aside
(`exprl.judge.store.database`) and the batch done on a new one.

Several processes share a file by SQLite's own locks. SQLite does not survive a fork: the file is closed around it, and
parent and child each open it again with their next work.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import queue
import sqlite3
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar, cast

from exprl.judge.store.database import Database, is_damage

__all__ = ["Store", "Work"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_LARGEST_BATCH = 512


@dataclass(frozen=True, eq=False)
class Work(Generic[Item, Result]):
    """One kind of work: `run` does all items of a batch in one go and gives one result an item.

    Different kinds of a batch change places, except around an `in_turn`: that sees all that came before it and nothing
    that came after.
    """

    run: Callable[[sqlite3.Connection, list[Item]], Sequence[Result]]
    writes: bool = False
    in_turn: bool = False


class _Job:
    """One item of work, and who waits for it: an event loop, or nobody but a callback."""

    __slots__ = ("error", "item", "loop", "result", "then", "work")

    def __init__(
        self,
        work: Work[object, object] | None,
        item: object,
        then: Callable[[_Job], None],
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        self.work = work  # None: stop
        self.item = item
        self.then = then
        self.loop = loop
        self.result: object = None
        self.error: Exception | None = None


class Store:
    """A file of verdicts and costs. Make it with `Store.open`."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self._lock = threading.Lock()
        self._using = threading.Lock()  # the connection is in use: nobody forks
        self._queue: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    @classmethod
    def open(cls, path: Path) -> Store:
        """The store at a path, the same object for all who ask in this process. Opens the file with the first work."""
        place = os.path.realpath(path)
        with _opening:
            store = _stores.get(place)
            if store is None:
                store = _stores[place] = cls(Path(place))
            return store

    async def do(self, work: Work[Item, Result], item: Item) -> Result | None:
        """Do it and wait, without holding up the event loop.

        Returns:
            The result, committed; None where the file could not be read or written.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result | None] = loop.create_future()
        self._submit(work, item, lambda job: _resolve(future, job), loop)
        return await future

    def do_now(self, work: Work[Item, Result], item: Item) -> Result | None:
        """Do it and wait, holding up this thread."""
        done = threading.Event()
        job = self._submit(work, item, lambda job: done.set(), None)
        done.wait()
        if job.error is not None:
            raise job.error
        return cast("Result | None", job.result)

    def post(self, work: Work[Item, Result], item: Item, then: Callable[[Result | None], None] | None = None) -> None:
        """Do it soon. `then` is called in the store's thread, in the order of posting."""
        self._submit(work, item, lambda job: then(cast("Result | None", job.result)) if then else None, None)

    def close(self) -> None:
        """Finish what was posted and let go of the file. Whoever goes on using the store opens it again."""
        done = threading.Event()
        with self._lock:
            if self._thread is None:
                return
            self._queue.put(_Job(None, None, lambda job: done.set(), None))
        done.wait()

    def _submit(
        self,
        work: Work[Item, Result],
        item: Item,
        then: Callable[[_Job], None],
        loop: asyncio.AbstractEventLoop | None,
    ) -> _Job:
        job = _Job(cast("Work[object, object]", work), item, then, loop)
        with self._lock:
            self._queue.put(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="exprl-judge-store", daemon=True)
                self._thread.start()
        return job

    def _serve(self) -> None:
        while True:
            batch = self._gather()
            jobs = [job for job in batch if job.work is not None]
            if jobs:
                with self._using:
                    self._finish(jobs)
                _answer(jobs)
            if len(jobs) < len(batch):
                stopped = self._stopped()
                _answer([job for job in batch if job.work is None])
                if stopped:
                    return

    def _stopped(self) -> bool:
        with self._lock:
            if not self._queue.empty():
                self._queue.put(_Job(None, None, lambda job: None, None))  # somebody came in between: stop after them
                return False
            with self._using:
                self._database.close()
            self._thread = None
            return True

    def _gather(self) -> list[_Job]:
        batch = [self._queue.get()]
        while len(batch) < _LARGEST_BATCH:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return batch

    def _finish(self, jobs: list[_Job]) -> None:
        """Do the jobs, whatever it takes; afterwards each has its result, None, or an error that is a bug."""
        try:
            self._transact(jobs)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and is_damage(error):
                self._database.set_aside(error)
            for job in jobs:
                self._finish_alone(job)

    def _finish_alone(self, job: _Job) -> None:
        job.result = None
        try:
            self._transact([job])
        except sqlite3.Error as error:
            self._database.say(_in_words(error))
        except Exception as error:
            job.error = error

    def _transact(self, jobs: list[_Job]) -> None:
        connection = self._database.connection()
        if connection is None:
            return
        writes = any(job.work.writes for job in jobs if job.work is not None)
        try:
            if writes:
                connection.execute("BEGIN IMMEDIATE")
            _run(connection, jobs)
            if writes:
                connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise

    def _before_fork(self) -> None:
        self._using.acquire()
        self._database.close()

    def _after_fork(self, *, child: bool) -> None:
        self._using.release()
        if child:  # where no thread lives on, and a lock may be held by one of them for ever
            self._lock = threading.Lock()
            self._queue = queue.SimpleQueue()
            self._thread = None


_opening = threading.Lock()
_stores: weakref.WeakValueDictionary[str, Store] = weakref.WeakValueDictionary()
_forking: list[Store] = []


def _run(connection: sqlite3.Connection, jobs: list[_Job]) -> None:
    kinds: dict[Work[object, object], list[_Job]] = {}
    for job in jobs:
        if job.work is None:
            continue
        if job.work.in_turn:
            _run_kinds(connection, kinds)
            _run_kinds(connection, {job.work: [job]})
            kinds = {}
        else:
            kinds.setdefault(job.work, []).append(job)
    _run_kinds(connection, kinds)


def _run_kinds(connection: sqlite3.Connection, kinds: dict[Work[object, object], list[_Job]]) -> None:
    for work, jobs in kinds.items():
        for job, result in zip(jobs, work.run(connection, [job.item for job in jobs]), strict=True):
            job.result = result


def _answer(jobs: list[_Job]) -> None:
    """Tell who waits; an event loop is woken once for all that it waits for."""
    loops: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in jobs:
        if job.loop is None:
            job.then(job)
        else:
            loops.setdefault(job.loop, []).append(job)
    for loop, members in loops.items():
        with suppress(RuntimeError):  # it is closed: nobody waits any more
            loop.call_soon_threadsafe(_tell, members)


def _tell(jobs: list[_Job]) -> None:
    for job in jobs:
        job.then(job)


def _resolve(future: asyncio.Future[Result | None], job: _Job) -> None:
    if future.done():
        return  # cancelled meanwhile
    if job.error is not None:
        future.set_exception(job.error)
    else:
        future.set_result(cast("Result | None", job.result))


def _in_words(error: sqlite3.Error) -> str:
    code: int = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return "has no room on its disk" if code == sqlite3.SQLITE_FULL else f"cannot be used ({error})"


def _before_fork() -> None:
    _opening.acquire()
    _forking[:] = _stores.values()
    for store in _forking:
        store._before_fork()


def _after_fork(*, child: bool) -> None:
    for store in _forking:
        store._after_fork(child=child)
    _forking.clear()
    _opening.release()


def _at_exit() -> None:
    for store in list(_stores.values()):
        store.close()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=partial(_after_fork, child=False),
    after_in_child=partial(_after_fork, child=True),
)
atexit.register(_at_exit)
