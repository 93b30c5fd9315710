"""The SQLite file behind a store: opened when it is needed, set aside when it is damaged, never the end of a run.

    judge.sqlite              verdicts (key -> JSON) and spend (what each judge cost); WAL, made with mode 0600
    judge.sqlite.damaged-1    what stood there and was no such file: no database, corrupt pages, another schema

Replies of a judge may quote references, hence the mode; a file that exists keeps the mode that it has. A damaged file
takes its `-wal` with it, its `spend` is carried over where it can still be read (a cost limit must not start at 0
again), and a warning says so, once. Several processes may find the same damage: opening and moving happen under a short
`flock` on the folder, and a process whose file was moved away by another one notices it and opens the new one.

What can be neither read nor written (no permission, no room, a file system without locks) is said once through
`logging`, and looked at again every few seconds. A finished file in a folder that is read-only can still be read.

A `Database` is used by one thread at a time.
"""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

__all__ = ["Database", "is_damage"]

_LOG = logging.getLogger("exprl.judge")
_APPLICATION = 0x65787072  # "expr", to tell our files from other SQLite files
_VERSION = 1
_SCHEMA = (
    "CREATE TABLE verdicts (key TEXT PRIMARY KEY, verdict TEXT NOT NULL)",
    "CREATE TABLE spend (judge TEXT, priced INTEGER, calls INTEGER, prompt INTEGER, completion INTEGER, "
    "cached INTEGER, cost REAL, PRIMARY KEY (judge, priced)) WITHOUT ROWID",
)
_SPEND = "SELECT judge, priced, calls, prompt, completion, cached, cost FROM spend"
_BUSY = 30.0  # seconds to wait for another process; its transactions take milliseconds
_RETRY = 5.0
_DAMAGE = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))


class Database:
    """One file and the connection to it, for one thread at a time.

    Args:
        path: where it is or shall be; its folder is made if need be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._not_before = 0.0
        self._said: set[str] = set()

    def connection(self) -> sqlite3.Connection | None:
        """The open connection, or None where there can be none just now."""
        if self._connection is not None and self._identity() != self._file:
            self.close()  # set aside by another process, or deleted: what is written there now nobody would find
        if self._connection is None and time.monotonic() >= self._not_before:
            self._not_before = time.monotonic() + _RETRY
            self._open()
        return self._connection

    def set_aside(self, why: sqlite3.Error) -> None:
        """Let go of a file that proved damaged, and move it away unless another process already has."""
        found = self._file
        self.close()
        try:
            with _alone(self.path.parent):
                if found is not None and self._identity() == found:
                    self._move(why)
            self._not_before = 0.0
        except OSError as error:
            self.say(f"cannot be moved away ({error.strerror})")

    def say(self, what: str) -> None:
        """Tell people about a state, once."""
        if what not in self._said:
            self._said.add(what)
            _LOG.warning(
                "%s %s; judging goes on, but what cannot be stored is asked again next time", self.path.name, what
            )

    def close(self) -> None:
        """Close the connection; `connection` opens it again."""
        connection, self._connection, self._file = self._connection, None, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()
        self._not_before = 0.0

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(self.path.parent):
                self._connection = self._sound_connection()
                self._file = self._identity()
        except (OSError, sqlite3.Error) as error:
            self.say(f"cannot be opened ({error.strerror if isinstance(error, OSError) else error})")

    def _sound_connection(self) -> sqlite3.Connection:
        try:
            return _connect(self.path)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            old = self._move(error)
        new = _connect(self.path)
        _carry_spend_over(old, new)
        return new

    def _move(self, why: sqlite3.Error) -> Path:
        names = (self.path.with_name(f"{self.path.name}.damaged-{n}") for n in itertools.count(1))
        new = next(name for name in names if not name.exists())
        for end in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                os.rename(f"{self.path}{end}", f"{new}{end}")
        _LOG.warning("%s is damaged (%s): set aside as %s, a new one is begun", self.path.name, why, new.name)
        return new

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino


class _OtherSchemaError(sqlite3.DatabaseError):
    """A sound SQLite file that is not ours, or of another version."""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is at fault, so that no later attempt will do better."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, _OtherSchemaError) or (code is not None and code & 0xFF in _DAMAGE)


def _connect(path: Path) -> sqlite3.Connection:
    """A connection to a file that holds our tables; a missing or empty file is made into one."""
    if not path.exists():
        with suppress(FileExistsError):  # closed at once, before SQLite holds locks that closing would drop
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        return _prepared(sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False))
    except sqlite3.OperationalError:
        if os.access(path.parent, os.W_OK) or not _is_finished(path):
            raise
    # A WAL file needs a `-shm` beside it; where none can be made, it is read as it lies there.
    as_it_lies = f"file:{quote(str(path))}?immutable=1"
    return _prepared(sqlite3.connect(as_it_lies, uri=True, isolation_level=None, check_same_thread=False))


def _is_finished(path: Path) -> bool:
    wal = path.with_name(path.name + "-wal")
    return path.exists() and not (wal.exists() and wal.stat().st_size)


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    try:
        if _number(connection, "PRAGMA user_version") == 0 and not _number(
            connection, "SELECT count(*) FROM sqlite_master"
        ):
            _create(connection)
        _check(connection)
        connection.execute("PRAGMA synchronous = NORMAL")  # kill -9 loses nothing, a power cut the last moments
        connection.text_factory = bytes  # what a stored text is worth, its reader decides
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.execute("COMMIT")


def _check(connection: sqlite3.Connection) -> None:
    found = _number(connection, "PRAGMA application_id"), _number(connection, "PRAGMA user_version")
    if found != (_APPLICATION, _VERSION):
        raise _OtherSchemaError(f"not a store of verdicts of version {_VERSION}")
    tables = dict(connection.execute("SELECT sql, 1 FROM sqlite_master WHERE sql IS NOT NULL"))
    if not all(statement in tables for statement in _SCHEMA):
        raise _OtherSchemaError("its tables are not those of a store of verdicts")


def _number(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])


def _carry_spend_over(old: Path, new: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error), closing(sqlite3.connect(old)) as connection:
        connection.text_factory = bytes
        rows = [(bytes(judge).decode("utf-8", "replace"), *rest) for judge, *rest in connection.execute(_SPEND)]
        new.executemany("INSERT OR IGNORE INTO spend VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else opens or moves a store of this folder meanwhile; where there are no such locks, hope does."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
