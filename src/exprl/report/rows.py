"""JSON objects and JSONL rows off the disk, and typed ways into them.

A row is what a file said, nothing more: a value that is missing, null, NaN or of another type reads as None
(numbers), as the empty string (text) or as an empty object. Nothing is ever filled in with 0. Files are streamed with
the byte offset of each line, so that a file larger than memory can be gone through once and visited again at chosen
lines.

What it refuses: a damaged JSON file, and a damaged line that is not the last one. A last line without its newline was
torn by a kill and is dropped.

    >>> number({"reward": 0.25, "kl": None}, "kl") is None
    True
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from exprl.errors import RunError

__all__ = ["Row", "child", "number", "read_object", "read_rows", "string"]

Row = dict[str, object]


def read_object(path: Path) -> Row | None:
    """One JSON object, or None where there is no such file."""
    if not path.exists():
        return None
    try:
        value: object = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        # `from None`: the decoder's error carries the whole document.
        raise RunError(f"{path}, line {error.lineno}, column {error.colno}: {error.msg}; the file is damaged") from None
    except UnicodeDecodeError:
        raise RunError(f"{path}: not UTF-8; the file is damaged") from None
    if not isinstance(value, dict):
        raise RunError(f"{path} holds {type(value).__name__}, expected a JSON object; the file is damaged")
    return value


def read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Byte offset and row of each line of a JSONL file, streamed; none where there is no file.

    A last line without its newline was torn by a kill, or is being written, and is left out.
    """
    if not path.exists():
        return
    offset = 0
    with path.open("rb") as file:
        for count, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                value: object = json.loads(line)
            except (json.JSONDecodeError, UnicodeDecodeError):
                # `from None`: the decoder's error carries the whole line, which may be the evaluator's.
                raise RunError(f"{path}, line {count}: not JSON; restore the file or delete the line") from None
            if isinstance(value, dict):
                yield offset, value
            offset += len(line)


def number(row: Mapping[str, object], key: str) -> float | None:
    """A finite number, else None: null, NaN, text and absence all mean that there is no value."""
    value = row.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def string(row: Mapping[str, object], key: str) -> str:
    """Text, or the empty string."""
    value = row.get(key)
    return value if isinstance(value, str) else ""


def child(row: Mapping[str, object], key: str) -> Row:
    """A nested object, or an empty one."""
    value = row.get(key)
    return value if isinstance(value, dict) else {}
