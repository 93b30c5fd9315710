"""Problems from a JSONL or parquet file, a Hub id, or an embedded world, with the columns named in the configuration.

A row gives a problem's id (or `<stem>-<row>` where the data has none), its text, and what there is of a reference:
solution, answer and tests may all be missing at load, since evaluation sets often have no solutions. What a method needs
is asked for by `require_references` (Stage I), `require_answers` (sparse rewards, evaluation) and `require_tests` (code).
Tests in any form that `exprl.verify.code.readers` knows are brought to the one plain format; they may need other columns.

What this module refuses, naming file, line, column, value and remedy: a missing column, a value of the wrong type, an
empty problem, an id seen twice (both places), a domain it does not know, tests of no known form, no rows at all. The value
of a solution, answer or tests column is never shown, nor that of a nested value in any column, for it may hold one.

    >>> from exprl.config import ColumnMap, SourceConfig
    >>> source = SourceConfig(path="sciknow_physics_train.jsonl", domain="science",
    ...                       columns=ColumnMap(id="idx", problem="prompt"))
    >>> load_problems(source)[0].id  # doctest: +SKIP
    '115'
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import get_args

from exprl.config import ColumnMap, SourceConfig
from exprl.data.rows import Row, read_rows, source_stem
from exprl.errors import DataError
from exprl.types import Domain, Problem, Reference
from exprl.verify.code.readers import read_tests
from exprl.verify.code.tests import TestsError

__all__ = ["load_problems", "require_answers", "require_references", "require_tests"]

# Columns that come along in `Problem.meta`. A list of what is known to be harmless, not of what is not: another column
# ("canonical_solution", "hint", "cot") may hold the reference, and meta is printed.
META_COLUMNS = (
    *("category", "dataset", "difficulty", "elo", "kind", "level", "source", "steps", "subfield", "subject"),
    *("topic", "type", "unit", "year"),
)
_META_LENGTH = 100
Reshape = Callable[[Mapping[str, object], ColumnMap], Mapping[str, object]]
_HALF_SURROGATE = re.compile("[\ud800-\udfff]")


def load_problems(source: SourceConfig, reshape: Reshape | None = None) -> list[Problem]:
    """Load the problems that a source names, in the order of the data.

    Args:
        source: path, columns, domain, offset and limit. Columns named other than the default must exist.
        reshape: makes the columns of a row from others, before any is looked at.
    Returns:
        At least one problem; ids are unique.
    Raises:
        DataError: whatever cannot be read or used, with its place.
    """
    if source.path.startswith("world:"):
        return _world_problems(source)
    places: dict[str, str] = {}
    problems = []
    for row in read_rows(source):
        if reshape is not None:
            row = row._replace(cells=reshape(row.cells, source.columns))
        problem = _problem(row, source)
        if (first := places.setdefault(problem.id, row.where)) != row.where:
            raise DataError(f"{row.where}: id {problem.id!r} is already used at {first}; ids must be unique")
        problems.append(problem)
    return _at_least_one(problems, source)


def require_references(problems: Sequence[Problem], purpose: str = "Stage I") -> None:
    """Refuse problems without a worked solution, which the judge needs.

    Raises:
        DataError: names the first ids that lack one.
    """
    _require([p.id for p in problems if not p.reference.has_solution], len(problems), "a reference solution", purpose)


def require_answers(problems: Sequence[Problem], purpose: str = "verification") -> None:
    """Refuse problems without a stored final answer, which the verifier needs.

    Raises:
        DataError: names the first ids that lack one.
    """
    _require([p.id for p in problems if not p.reference.has_answer], len(problems), "an answer", purpose)


def require_tests(problems: Sequence[Problem], purpose: str = "rewards from execution") -> None:
    """Refuse problems without tests, which the code verifier needs.

    Raises:
        DataError: names the first ids that lack them.
    """
    _require([p.id for p in problems if not p.reference.has_tests], len(problems), "tests", purpose)


def _require(lacking: list[str], total: int, what: str, purpose: str) -> None:
    if lacking:
        names = ", ".join(lacking[:5]) + (", ..." if len(lacking) > 5 else "")
        raise DataError(
            f"{purpose} needs {what} for every problem, and {len(lacking)} of {total} have none: {names}; "
            f'set the column ([...columns] {what.split()[-1]} = "...") or take those problems out'
        )


def _world_problems(source: SourceConfig) -> list[Problem]:
    from exprl.worlds import load_problems as load_world

    stop = None if source.limit is None else source.offset + source.limit
    return _at_least_one(load_world(source.path)[source.offset : stop], source)


def _at_least_one(problems: list[Problem], source: SourceConfig) -> list[Problem]:
    if not problems:
        after = f" after offset {source.offset}" if source.offset else ""
        raise DataError(f"{source.path}: no problems{after}; check the path, split and offset")
    return problems


def _problem(row: Row, source: SourceConfig) -> Problem:
    columns = source.columns
    reference = Reference(
        solution=_optional(row, "solution", columns.solution),
        answer=_optional(row, "answer", columns.answer),
        tests=_tests(row, columns, source),
    )
    return Problem(
        id=_id(row, columns, source),
        text=_text(row, columns.problem),
        reference=reference,
        domain=_domain(row, columns, source),
        meta=_meta(row, columns),
    )


def _id(row: Row, columns: ColumnMap, source: SourceConfig) -> str:
    value = _cell(row, "id", columns.id)
    if value is None:
        return f"{source_stem(source)}-{row.number}"
    name = _plain(value)
    if name is None or not name.strip():
        raise DataError(f"{row.where}, column {columns.id!r}: expected a text or number as id, found {_shown(value)}")
    return name


def _text(row: Row, column: str) -> str:
    if column not in row.cells:
        raise _missing_column(row, "problem", column)
    value = row.cells[column]
    if not isinstance(value, str):
        raise DataError(f"{row.where}, column {column!r}: expected the problem's text, found {_shown(value)}")
    if not value.strip():
        raise DataError(
            f"{row.where}, column {column!r}: the problem is empty ({value[:20]!r}); fill it or delete the row"
        )
    return _encodable(value, row, column)


def _optional(row: Row, key: str, column: str) -> str | None:
    """A solution or answer as text; None where absent, null or blank. Its value stays out of every message."""
    value = _cell(row, key, column)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]  # OlympiadBench wraps its single answers in a list.
    if value is None:
        return None
    text = _plain(value)
    if text is None:
        raise DataError(f"{row.where}, column {column!r}: expected text or a number, found {_kind(value)}")
    return _encodable(text, row, column) if text.strip() else None


def _tests(row: Row, columns: ColumnMap, source: SourceConfig) -> str | None:
    """The row's tests in the one plain format; None where there are none. They stay out of every message.

    A column that nobody named holds tests of code only where the row is code.
    """
    _cell(row, "tests", columns.tests)
    if columns.tests == ColumnMap.model_fields["tests"].default and _domain(row, columns, source) != "code":
        return None
    try:
        return read_tests(row.cells, columns.tests)
    except TestsError as error:
        fault = str(error)
    raise DataError(f"{row.where}, column {columns.tests!r}: {fault} (the formats: exprl.verify.code.readers)")


def _domain(row: Row, columns: ColumnMap, source: SourceConfig) -> Domain:
    if columns.domain is None:
        return source.domain
    value = _cell(row, "domain", columns.domain)
    for domain in get_args(Domain):
        if value == domain:
            return domain  # type: ignore[no-any-return]
    known = ", ".join(get_args(Domain))
    raise DataError(f"{row.where}, column {columns.domain!r}: expected one of {known}, found {_shown(value)}")


def _meta(row: Row, columns: ColumnMap) -> dict[str, str | int | float]:
    mapped = {columns.id, columns.problem, columns.solution, columns.answer, columns.tests}
    found = {name: row.cells.get(name) for name in META_COLUMNS if name not in mapped}
    return {
        name: value
        for name, value in found.items()
        if (isinstance(value, str) and len(value) <= _META_LENGTH)
        or (isinstance(value, int | float) and not isinstance(value, bool))
    }


def _cell(row: Row, key: str, column: str) -> object:
    """The value, or None where the column is absent; a column somebody named on purpose must be there."""
    if column not in row.cells and column != ColumnMap.model_fields[key].default:
        raise _missing_column(row, key, column)
    return row.cells.get(column)


def _missing_column(row: Row, key: str, column: str) -> DataError:
    names = [str(name) for name in row.cells]
    near = difflib.get_close_matches(column, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names[:12]) or 'no columns'}"
    return DataError(f"{row.where}: no column {column!r}; {hint} (set columns.{key})")


def _plain(value: object) -> str | None:
    """Text as it is, a finite number as text (277.0, as a table with gaps stores 277, gives "277"); else None."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)


def _encodable(text: str, row: Row, column: str) -> str:
    # JSON can spell half a surrogate pair, which no tokenizer and no file can take.
    if _HALF_SURROGATE.search(text):
        raise DataError(
            f"{row.where}, column {column!r}: holds half a surrogate pair (\\ud800-\\udfff); mend the escape"
        )
    return text


def _shown(value: object) -> str:
    """A scalar, shortened, with its type; of anything nested the type alone."""
    if isinstance(value, str | int | float | bool):
        text = repr(value)
        return f"{_kind(value)} {text if len(text) <= 40 else text[:37] + '...'}"
    return _kind(value)


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__
