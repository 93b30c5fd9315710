"""The one plain format that all tests are brought to, as JSON text; `Reference.tests` holds it.

    {"entry": "add",                 the function under test, an expression: "add", "Solution().add"; absent for stdin
     "setup": "import math",         runs before the candidate, in its module (imports, helpers that a task gives)
     "prefix": "def add(a, b):\\n",   put before a candidate that begins with white space: the body of a function alone
     "oracle": "def add(a, b): ...", a trusted program: run in a jail of its own, it says what is expected where a case does not
     "cases": [
       {"call": "candidate(1, 2)", "expect": "3"},            one call, and a Python literal; absent: what the oracle gives
       {"call": "candidate(1)", "expect": "0.5", "how": "equal", "atol": 1e-6, "rtol": 0.0},
       {"args": [1, 2], "returns": 3},                        the same in JSON, for tests written by hand
       {"stdin": "1 2\\n", "stdout": "3\\n"},                   a whole program: what it reads, what it prints
       {"code": "for x in range(9):\\n    assert candidate(x) == x"}     asserts that are more than one call each
     ]}

`how` is a comparison of `exprl.verify.code.compare`. A `call` runs in the jail, so what stands in it is no secret; `expect`,
`stdout` and `code` never enter a jail in which a candidate runs.

    >>> read_suite('{"entry": "add", "cases": [{"args": [1, 2], "returns": 3}]}').cases[0]
    CallCase(call='candidate(*[1, 2])', expect='3', how='equal', atol=0.0, rtol=0.0)

Refuses: an unknown key, a case that is none of these, no cases. No message quotes a test.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias, get_args

from exprl.verify.code.compare import Comparison
from exprl.verify.code.literal import write_literal

__all__ = ["CallCase", "Case", "CodeCase", "StdinCase", "Suite", "TestsError", "read_suite", "suite_of", "write_suite"]


class TestsError(ValueError):
    """Tests that cannot be used. The message says where and why, and quotes nothing."""

    __test__ = False  # no class of tests, for all its name


class CallCase(NamedTuple):
    """One call, an expression in which `candidate` is the function under test, and the literal that it should give."""

    call: str
    expect: str | None
    how: Comparison = "equal"
    atol: float = 0.0
    rtol: float = 0.0


class StdinCase(NamedTuple):
    """What a program reads, and what it should print."""

    stdin: str
    stdout: str


class CodeCase(NamedTuple):
    """Statements with asserts that call `candidate`."""

    code: str


Case: TypeAlias = CallCase | StdinCase | CodeCase


class Suite(NamedTuple):
    """All tests of one problem."""

    cases: tuple[Case, ...]
    entry: str | None = None
    setup: str = ""
    prefix: str = ""
    oracle: str | None = None


def write_suite(suite: Suite) -> str:
    """The JSON text of a suite; what holds its default is left out."""
    whole: dict[str, object] = {name: value for name, value in suite._asdict().items() if name != "cases" and value}
    whole["cases"] = [_case_cells(case) for case in suite.cases]
    return json.dumps(whole, ensure_ascii=True)


def _case_cells(case: Case) -> dict[str, object]:
    defaults = type(case)._field_defaults
    return {name: value for name, value in case._asdict().items() if value is not None and value != defaults.get(name)}


def read_suite(text: str) -> Suite:
    """Read the JSON text of a suite.

    Raises:
        TestsError: it is none.
    """
    try:
        cells = json.loads(text)
    except (ValueError, RecursionError):
        raise TestsError("not JSON") from None
    if not isinstance(cells, dict):
        raise TestsError("expected a JSON object with `cases`")
    return suite_of(cells)


def suite_of(cells: Mapping[str, object]) -> Suite:
    """The suite that an object of the format means.

    Raises:
        TestsError: a key, a type or a case that the format does not know.
    """
    if unknown := sorted(str(key) for key in cells if key not in Suite._fields):
        raise TestsError(f"unknown key {unknown[0][:40]!r}; known are {', '.join(Suite._fields)}")
    cases = cells.get("cases")
    if not isinstance(cases, list) or not cases:
        raise TestsError("`cases` must be a list with at least one case")
    texts = {name: cells[name] for name in Suite._fields[1:] if cells.get(name) is not None}
    if wrong := [name for name, value in texts.items() if not isinstance(value, str)]:
        raise TestsError(f"`{wrong[0]}` must be text")
    suite = Suite(tuple(_case(case, f"case {n}") for n, case in enumerate(cases)), **texts)  # type: ignore[arg-type]
    return _checked(suite)


def _checked(suite: Suite) -> Suite:
    calls = [case for case in suite.cases if not isinstance(case, StdinCase)]
    if calls and suite.entry is None:
        raise TestsError("tests that call a function need `entry`, its name")
    if any(isinstance(case, CallCase) and case.expect is None for case in calls) and suite.oracle is None:
        raise TestsError("a call without `expect` needs an `oracle`")
    return suite


def _case(cells: object, where: str) -> Case:
    if not isinstance(cells, dict):
        raise TestsError(f"{where}: expected an object")
    keys = set(cells)
    if keys >= {"stdin", "stdout"} and len(keys) == 2 and _texts(cells, "stdin", "stdout"):
        return StdinCase(cells["stdin"], cells["stdout"])
    if keys == {"code"} and _texts(cells, "code"):
        return CodeCase(cells["code"])
    if {"args", "returns"} <= keys:
        given = {
            **cells,
            "call": f"candidate(*{write_literal(cells['args'])})",
            "expect": write_literal(cells["returns"]),
        }
        return _call_case({name: value for name, value in given.items() if name not in ("args", "returns")}, where)
    if "call" in keys:
        return _call_case(cells, where)
    raise TestsError(f"{where}: expected call + expect, args + returns, stdin + stdout, or code")


def _call_case(cells: Mapping[str, object], where: str) -> CallCase:
    if set(cells) - set(CallCase._fields) or not _texts(cells, "call", *(["expect"] if "expect" in cells else [])):
        raise TestsError(f"{where}: a call knows {', '.join(CallCase._fields)}; call and expect are text")
    how, atol, rtol = cells.get("how", "equal"), cells.get("atol", 0.0), cells.get("rtol", 0.0)
    if how not in get_args(Comparison):
        raise TestsError(f"{where}: `how` is one of {', '.join(get_args(Comparison))}")
    if not all(isinstance(t, int | float) and 0 <= t < float("inf") for t in (atol, rtol)):
        raise TestsError(f"{where}: a tolerance is a number that is not negative")
    return CallCase(cells["call"], cells.get("expect"), how, float(atol), float(rtol))  # type: ignore[arg-type]


def _texts(cells: Mapping[str, object], *names: str) -> bool:
    return all(isinstance(cells.get(name), str) for name in names)
