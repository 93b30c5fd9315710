"""Rows of a problem file, each with the place it was read from.

A `.jsonl` or `.jsonl.gz` file is split at line feeds only (a problem may hold U+2028), a `.parquet` file is read in
batches, and anything of the form `owner/name` or `owner/name:config` is a Hub id. Rows before `offset` are skipped
unread and reading stops after `limit`, so a broken line outside that window does no harm.

What this module refuses: a line that is not UTF-8 or not a JSON object, a damaged file, a folder, an unknown ending.
No message quotes a row, since a row holds its reference; a place, a column and a reason are enough to find it.

    >>> next(read_rows(SourceConfig(path="aime26.jsonl"))).where  # doctest: +SKIP
    'aime26.jsonl, line 1'
"""

from __future__ import annotations

import difflib
import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from exprl.config import SourceConfig
from exprl.errors import DataError

__all__ = ["Row", "is_hub_id", "read_rows", "source_stem"]

_SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?(:[\w.-]+)?")
_BATCH = 1024


class Row(NamedTuple):
    """One row: `number` counts rows from 0, `where` says in words where it stands (lines and rows count from 1)."""

    number: int
    where: str
    cells: Mapping[str, object]


def read_rows(source: SourceConfig) -> Iterator[Row]:
    """Yield the rows of a file or Hub dataset between `offset` and `offset + limit`.

    Raises:
        DataError: no such file (with near matches), an ending that is not known, damaged content, or a Hub dataset that
            cannot be loaded.
    """
    path = Path(source.path)
    suffix = _suffix(source.path)
    if suffix is None:
        return _hub_rows(source) if is_hub_id(source.path) else _refuse_path(path)
    if not path.is_file():
        _refuse_path(path)
    return _parquet_rows(path, source) if suffix == ".parquet" else _jsonl_rows(path, source)


def source_stem(source: SourceConfig) -> str:
    """The name rows without an id are numbered under: `data/aime26.jsonl.gz` gives `aime26`.

    >>> source_stem(SourceConfig(path="openai/gsm8k:main"))
    'gsm8k'
    """
    suffix = _suffix(source.path)
    name = Path(source.path).name
    return name[: -len(suffix)] if suffix else name.partition(":")[0]


def _suffix(path: str) -> str | None:
    return next((suffix for suffix in _SUFFIXES if path.endswith(suffix)), None)


def is_hub_id(path: str) -> bool:
    """Whether a path names a Hub dataset, `owner/name` or `owner/name:config`, and no file."""
    # A name with a data file's ending is a mistyped path far more often than a dataset called so.
    looks_like_file = Path(path).suffix in {".json", ".csv", ".tsv", ".txt", ".gz", ".zip", ".arrow"}
    return bool(_HUB_ID.fullmatch(path)) and not (Path(path).exists() or looks_like_file or _suffix(path))


def _refuse_path(path: Path) -> Iterator[Row]:
    if path.is_dir():
        raise DataError(f"{path} is a folder; name one file in it that ends in {', '.join(_SUFFIXES)}")
    if path.exists() or _suffix(path.name) is None:
        raise DataError(f"{path}: the ending is not one of {', '.join(_SUFFIXES)}, and it is no Hub id (owner/name)")
    raise DataError(f"{path}: no such file; {_near_matches(path)}")


def _near_matches(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist either"
    names = sorted(entry.name for entry in folder.iterdir() if _suffix(entry.name))
    if near := difflib.get_close_matches(path.name, names, n=3, cutoff=0.5):
        return f"did you mean {' or '.join(near)}?"
    return f"{folder} holds {', '.join(names[:8])}" if names else f"{folder} holds no problem files"


def _window(source: SourceConfig) -> tuple[int, int | None]:
    return source.offset, None if source.limit is None else source.offset + source.limit


def _jsonl_rows(path: Path, source: SourceConfig) -> Iterator[Row]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        lines = ((number, line) for number, line in enumerate(_lines(path, file), 1) if line.strip())
        for index, (number, line) in islice(enumerate(lines), *_window(source)):
            where = f"{path.name}, line {number}"
            yield Row(index, where, _parse(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, where))


def _lines(path: Path, file: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path.name}: damaged gzip file ({error}); fetch or compress it again") from error


def _parse(line: bytes, where: str) -> Mapping[str, object]:
    # The error of `json` carries the whole line, reference and all: it is read off here and not chained.
    fault, cells = "", None
    try:
        cells = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        fault = f"not UTF-8 (byte {error.start + 1} of the line); save the file as UTF-8"
    except json.JSONDecodeError as error:
        fault = f"malformed JSON at character {error.colno}: {error.msg}; mend the line or delete it"
    except RecursionError:
        fault = "nested too deeply; mend the line or delete it"
    if not fault and not isinstance(cells, dict):
        fault = f"expected a JSON object, found {type(cells).__name__}; write one {{...}} a line"
    if fault:
        raise DataError(f"{where}: {fault}")
    assert isinstance(cells, dict)
    return cells


def _parquet_rows(path: Path, source: SourceConfig) -> Iterator[Row]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise DataError(f"{path.name}: parquet files need pyarrow; pip install 'exprl[eval]'") from error
    try:
        with pq.ParquetFile(path) as file:
            rows = (row for batch in file.iter_batches(_BATCH) for row in batch.to_pylist())
            for index, cells in islice(enumerate(rows), *_window(source)):
                yield Row(index, f"{path.name}, row {index + 1}", cells)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path.name}: not a parquet file, or a damaged one; fetch it again") from error


def _hub_rows(source: SourceConfig) -> Iterator[Row]:
    try:
        import datasets
    except ImportError as error:
        raise DataError(f"{source.path}: Hub datasets need `datasets`; pip install 'exprl[train]'") from error
    name, _, config = source.path.partition(":")
    try:
        rows = datasets.load_dataset(name, config or None, split=source.split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{source.path}, split {source.split!r}: cannot be loaded from the Hub ({type(error).__name__}: "
            f"{_first_line(error)}); check the name and the connection, or give the path of a {_SUFFIXES[0]} file"
        ) from error
    for index, cells in islice(enumerate(rows), *_window(source)):
        yield Row(index, f"{source.path}, row {index + 1}", cells)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:200]
