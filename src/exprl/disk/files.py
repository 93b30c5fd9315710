"""Files that survive kill -9 at any byte.

JSONL is append-only and one writer's: a batch of rows is one write, and a row is there once its line feed is. What
follows the last line feed is a torn row: readers drop it, and the next append cuts it off. JSON and text files are
written beside their place, flushed to disk, and renamed into it. A batch that does not fit on the disk is taken back
whole.

What this module refuses: NaN and infinity (not JSON; an unscored value is None), a value that JSON has no form for (a
`Reference`, say), a malformed line before the last, and a full disk without a word about it.

    >>> append_jsonl("metrics.jsonl", [{"step": 1, "reward": 0.25}])  # doctest: +SKIP
    >>> read_jsonl("metrics.jsonl")  # doctest: +SKIP
    [{'step': 1, 'reward': 0.25}]
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from exprl.errors import RunError

__all__ = [
    "append_jsonl",
    "disk_room",
    "iter_jsonl",
    "read_json",
    "read_jsonl",
    "repair_jsonl",
    "write_json",
    "write_jsonl",
    "write_text",
]

JsonRow = dict[str, object]
_TAIL = 1 << 16


def append_jsonl(path: str | Path, rows: Iterable[Mapping[str, object]], *, fsync: bool = False) -> None:
    """Append rows as one write; all of them are kept, or (a full disk) none.

    Args:
        path: its folder is made if need be; a torn last line is cut off first. One process writes a file.
        fsync: also wait until the disk has it: survives a power cut, not only a kill.
    Raises:
        RunError: no room on the disk, or a NaN or infinity in a row.
        TypeError: a value that JSON has no form for.
    """
    path = Path(path)
    data = b"".join(_line(path, row) for row in rows)
    if not data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with disk_room(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            _append(handle, data)
            if fsync:
                os.fsync(handle)
        finally:
            os.close(handle)


def read_jsonl(path: str | Path) -> list[JsonRow]:
    """All complete rows of a file; `[]` where it does not exist yet.

    Raises:
        RunError: a malformed line, with its number.
    """
    return list(iter_jsonl(path))


def iter_jsonl(path: str | Path) -> Iterator[JsonRow]:
    """Like `read_jsonl`, one row at a time."""
    path = Path(path)
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return  # Torn: it can only be the last.
            yield _row(path, number, line)


def repair_jsonl(path: str | Path) -> int:
    """Cut off a torn last line.

    Returns:
        How many bytes were dropped; 0 for a whole or missing file.
    """
    if not Path(path).exists():
        return 0
    handle = os.open(path, os.O_RDWR)
    try:
        return _repair(handle)
    finally:
        os.close(handle)


def write_json(path: str | Path, value: object) -> None:
    """Write a JSON file that is at any moment either the old one or the new one.

    Raises:
        RunError: no room on the disk, or a NaN or infinity in it.
    """
    write_text(path, _dumps(Path(path), value, indent=2) + "\n")


def write_jsonl(path: str | Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write all rows of a JSONL file anew; at any moment it is either the old one or the new one."""
    path = Path(path)
    _replace(path, b"".join(_line(path, row) for row in rows))


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file that is at any moment either the old one or the new one."""
    _replace(Path(path), text.encode("utf-8", "backslashreplace"))


def read_json(path: str | Path) -> JsonRow:
    """Read a JSON object.

    Raises:
        RunError: missing, malformed, or not an object.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such file") from error
    return _row(path, None, data)


@contextmanager
def disk_room(path: str | Path) -> Iterator[None]:
    """Turn a full disk, inside the block, into an error that says what is free and that nothing finished is lost."""
    try:
        yield
    except _save_errors() as error:
        if not _says_full(error):
            raise
        raise RunError(
            f"no room on the disk for {Path(path).name} ({_free(Path(path))} free); make some and run again with "
            "--resume: all finished work is kept"
        ) from error


def _save_errors() -> tuple[type[Exception], ...]:
    """What saving raises; the libraries that write checkpoints have errors of their own, without an `errno`."""
    own: object = getattr(sys.modules.get("safetensors"), "SafetensorError", None)
    torch_and_system = (OSError, RuntimeError)
    return (*torch_and_system, own) if isinstance(own, type) and issubclass(own, Exception) else torch_and_system


def _says_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    return "(os error 28)" in str(error) or "inline_container" in str(error)


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with disk_room(path):
        try:
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        _fsync_folder(path.parent)


def _line(path: Path, row: Mapping[str, object]) -> bytes:
    text = _dumps(path, dict(row))
    try:
        return text.encode("utf-8") + b"\n"
    except UnicodeEncodeError:  # Half a surrogate pair in a policy's text: JSON can escape it, UTF-8 cannot hold it.
        return json.dumps(row, allow_nan=False).encode("ascii") + b"\n"


def _dumps(path: Path, value: object, indent: int | None = None) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    except ValueError as error:
        raise RunError(f"{path.name}: a value is not JSON ({error}); an unscored value is written as None") from error


def _append(handle: int, data: bytes) -> None:
    _repair(handle)
    start = os.fstat(handle).st_size
    try:
        while data:  # One write, unless a signal or a full disk makes it a short one.
            data = data[os.write(handle, data) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(handle, start)
        raise


def _repair(handle: int) -> int:
    size = os.fstat(handle).st_size
    end = size
    while end > 0:
        start = max(0, end - _TAIL)
        found = os.pread(handle, end - start, start).rfind(b"\n")
        end = start + found + 1 if found >= 0 else start
        if found >= 0:
            break
    if end < size:
        os.ftruncate(handle, end)
    return size - end


def _row(path: Path, number: int | None, data: bytes) -> JsonRow:
    # `json`'s own error carries the whole line, and a verdict may quote a reference: it is read off, not chained.
    fault, row = "", None
    try:
        row = json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        fault = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
    if not isinstance(row, dict):
        where = path if number is None else f"{path}, line {number}"
        reason = fault or f"expected an object, found {type(row).__name__}"
        raise RunError(f"{where}: malformed JSON ({reason}); restore the file or delete what is damaged")
    return row


def _fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _free(path: Path) -> str:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    return f"{free / 1e9:.1f} GB" if free >= 1e9 else f"{free / 1e6:.1f} MB"
