"""One process a run directory.

The file `lock` holds the process id of the owner and the moment it started, since ids are used again. An owner that is
gone, is a zombie, or started at another moment is no owner: its lock is taken over, so that a killed run resumes
without a hand's help. Looking and taking happen under a short `flock`, so two processes cannot both take over. On
another machine an owner cannot be looked at: then the error says to delete the file once that machine is done.

    >>> with RunLock(Path("runs/demo")):  # doctest: +SKIP
    ...     ...
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from exprl.errors import RunError

__all__ = ["RunLock"]

_Owner = dict[str, object]


class RunLock:
    """A context manager that holds a run directory.

    Entering raises `RunError` where a living process holds it, this one included.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"

    def __enter__(self) -> Self:
        with _guarded(self._path) as file:
            owner = _read(file)
            if owner is not None and (fault := self._fault(owner)):
                raise RunError(fault)
            _write(file, _myself())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _guarded(self._path) as file:
            if _read(file) == _myself():
                _write(file, None)

    def _fault(self, owner: _Owner) -> str | None:
        if owner.get("machine") != _myself()["machine"]:
            return f"another machine runs {self._path.parent}; once it does not any more, delete {self._path}"
        pid = owner.get("pid")
        if isinstance(pid, int) and _alive(pid, owner.get("started")):
            return f"process {pid} runs {self._path.parent} already; wait for it or stop it"
        return None


@contextmanager
def _guarded(path: Path) -> Iterator[IO[str]]:
    with path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _read(file: IO[str]) -> _Owner | None:
    file.seek(0)
    try:
        owner = json.loads(file.read())
    except ValueError:
        return None  # Empty after a release; torn when its writer was killed in the act.
    return owner if isinstance(owner, dict) else None


def _write(file: IO[str], owner: _Owner | None) -> None:
    file.seek(0)
    file.truncate()
    if owner is not None:
        file.write(json.dumps(owner))
    file.flush()


def _myself() -> _Owner:
    machine = hashlib.blake2b(platform.node().encode(), digest_size=8).hexdigest()
    return {"pid": os.getpid(), "started": _started(os.getpid()), "machine": machine}


def _alive(pid: int, started: object) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # Somebody else's, hence alive.
    return _started(pid) == started


def _started(pid: int) -> int | None:
    """Clock ticks from boot to the process's start; -1 for a zombie, None where the system does not say."""
    try:
        # The name, in parentheses, may hold spaces; state is the first field after it, start the 20th.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return -1 if fields[0] == "Z" else int(fields[19])
