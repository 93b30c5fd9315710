"""MBPP+ as EvalPlus stores it: inputs, a canonical solution that says what is expected, and rules by task.

JSON has lost the inputs' types: what was a tuple is a list. Which tasks want tuples, sets or complex numbers, and where, is
the benchmark's own table (evalplus/data/mbpp.py, Apache 2.0), kept here as data. Its comparison is kept as well: `==`, so
that a tuple is no list; floats to the row's `atol`, at least 1e-6, and 1e-7 relative; eight tasks compare as sets; in three
a match counts as True.

Two exceptions are not kept: upstream lets Mbpp/164 and Mbpp/295 pass for a constant answer. They are compared as all others.

    >>> restore(2, [[3, 4], [5]])
    [(3, 4), (5,)]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from exprl.verify.code.tests import CallCase, Suite, TestsError

__all__ = ["read_mbpp_plus", "restore"]

_Restore: TypeAlias = Callable[[list[object]], list[object]]

_AS_SETS = {
    *("similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly"),
    *("larg_nnum", "intersection_array", "find_dissimilar", "Diff"),
}
_FOUND_OR_NOT = {"check_str", "text_match_three", "text_starta_endb"}
_ATOL, _RTOL = 1e-6, 1e-7


def read_mbpp_plus(cells: Mapping[str, object]) -> Suite:
    """The suite of one row.

    Raises:
        TestsError: a column is missing or of another type.
    """
    entry, oracle, number = cells.get("entry_point"), cells.get("canonical_solution"), _number(cells.get("task_id"))
    inputs = [*_list(cells.get("base_input")), *_list(cells.get("plus_input"))]
    if not isinstance(entry, str) or not isinstance(oracle, str) or not inputs:
        raise TestsError("MBPP+ needs entry_point, canonical_solution, base_input and plus_input")
    stated = cells.get("atol")
    atol = max(float(stated) if isinstance(stated, int | float) else 0.0, _ATOL)
    try:
        calls = [_call(entry, restore(number, _list(one))) for one in inputs]
    except (TypeError, ValueError, IndexError, AttributeError):
        raise TestsError("the inputs are not of the shape that this task has") from None
    return Suite(tuple(CallCase(call, None, "equal", atol, _RTOL) for call in calls), entry=entry, oracle=oracle)


def restore(number: int, arguments: list[object]) -> list[object]:
    """The arguments of one call of task `number`, with the types that JSON has lost."""
    for numbers, change in _TABLE:
        if number in numbers:
            return change(arguments)
    return arguments


def _call(entry: str, arguments: list[object]) -> str:
    call = f"candidate(*{arguments!r})"
    if entry in _AS_SETS:
        return f"set({call})"
    if entry in _FOUND_OR_NOT:
        return f"(lambda found: found if isinstance(found, bool) else found is not None)({call})"
    return call


def _number(task_id: object) -> int:
    tail = str(task_id).rpartition("/")[2]
    return int(tail) if tail.isdecimal() and tail.isascii() else -1


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _tuple(value: object) -> object:
    """A list or text as tuple, which is how upstream's rule treats both."""
    return tuple(value)  # type: ignore[arg-type]


def _tuples(value: object) -> object:
    return [_tuple(item) for item in value]  # type: ignore[attr-defined]


def _deep(value: object) -> object:
    return tuple(_deep(item) for item in value) if isinstance(value, list) else value


def _set_or_dict(item: object) -> object:
    return set(item) if isinstance(item, list) and item else {}


_TABLE: tuple[tuple[set[int], _Restore], ...] = (
    (
        {2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579, 596, 616, 630, 726, 740, 744, 809},
        lambda a: [_tuple(one) for one in a],
    ),
    ({63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780}, lambda a: [_tuples(one) for one in a]),
    ({75, 413, 444, 753}, lambda a: [_tuples(a[0]), a[1]]),
    ({106, 750}, lambda a: [a[0], _tuple(a[1])]),
    ({115}, lambda a: [[_set_or_dict(item) for item in _list(a[0])]]),
    ({124}, lambda a: [float(str(a[0])), complex(str(a[1]))]),
    ({250, 405, 446, 617, 720, 763, 808}, lambda a: [_tuple(a[0]), a[1]]),
    ({259, 401, 445}, lambda a: [_tuple(_tuples(one)) for one in a]),
    ({278}, lambda a: [tuple(_tuple(item) if isinstance(item, list) else item for item in _list(one)) for one in a]),
    ({307}, lambda a: [_tuple(a[0]), a[1], a[2]]),
    ({722}, lambda a: [{key: _tuple(value) for key, value in a[0].items()}, *a[1:]]),  # type: ignore[attr-defined]
    ({252}, lambda a: [complex(str(a[0]))]),
    ({580, 615, 791}, lambda a: [_deep(one) for one in a]),
)
