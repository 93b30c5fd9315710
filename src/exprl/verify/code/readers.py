"""Bring the tests of a data row, in whatever known form, to the one plain format of `exprl.verify.code.tests`.

    column                               recognised by                            becomes
    base_input (MBPP+)                   canonical_solution beside it             calls; the canonical solution is the oracle
    public_test_cases (LiveCodeBench)    private_test_cases beside it             stdin, or calls if metadata has func_name
    test (HumanEval, LeetCodeDataset)    asserts, entry_point beside it           calls, and code for what is more than one
    test_list (MBPP)                     a list of asserts                        the same
    input_output (LeetCodeDataset)       {"input": "n = 7", "output": "[2]"}, ... calls; from `test` where the row has it
    input_output (APPS, TACO)            {"inputs": [...], "outputs": [...]}      stdin, or calls if it has fn_name
    any                                  {"cases": [...]}                         itself, checked

What a row's `prompt` defines beside the function under test (imports, helpers) becomes the suite's setup.

    >>> read_tests({"tests": ["assert add(1, 2) == 3"]}, "tests")
    '{"entry": "add", "cases": [{"call": "candidate(1, 2)", "expect": "3"}]}'

Refuses: what it does not recognise. Nothing is run and nothing unpickled; no message quotes a test.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence

from exprl.verify.code.asserts import called_function, translate
from exprl.verify.code.literal import NotPlainError, read_literal, write_literal
from exprl.verify.code.mbpp import read_mbpp_plus
from exprl.verify.code.packed import PackedError, unpack
from exprl.verify.code.tests import CallCase, Case, StdinCase, Suite, TestsError, suite_of, write_suite

__all__ = ["read_tests"]

_Cells = Mapping[str, object]

_PRELUDE = "\n".join(
    f"from {name} import *" for name in ("typing", "functools", "collections", "itertools", "heapq", "bisect", "math")
)


def read_tests(cells: _Cells, column: str) -> str | None:
    """The tests of a row as text of the plain format; None where the column is absent or empty.

    Args:
        cells: the whole row: several formats spread over columns.
        column: the one that was named for the tests.
    Raises:
        TestsError: there is something, and it is no known form of tests.
    """
    value = cells.get(column)
    if value is None or (isinstance(value, str | list | dict) and not value):
        return None
    return write_suite(_suite(cells, column, value))


def _suite(cells: _Cells, column: str, value: object) -> Suite:
    if column in ("base_input", "plus_input") and "canonical_solution" in cells:
        return read_mbpp_plus(cells)
    if column in ("public_test_cases", "private_test_cases"):
        return _livecodebench(cells)
    if column == "input_output" and "def check" in _text(cells, "test"):
        return _asserts(cells, _text(cells, "test"))  # the same tests, and there a text can be told from a number
    if isinstance(value, str):
        value = _parsed(value) if value.lstrip()[:1] in ("{", "[") else value
    if isinstance(value, str):
        return _asserts(cells, value)
    if isinstance(value, Mapping):
        return _inputs_outputs(cells, value) if "inputs" in value else suite_of(value)
    if isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
        return _assert_list(cells, [str(item) for item in value])
    if isinstance(value, Sequence) and all(isinstance(item, Mapping) for item in value):
        return _pairs(cells, list(value))
    raise TestsError("not a form of tests that is known")


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _text(cells: _Cells, name: str) -> str:
    value = cells.get(name)
    return value if isinstance(value, str) else ""


def _asserts(cells: _Cells, code: str) -> Suite:
    entry = _text(cells, "entry_point") or called_function([code])
    if not entry:
        raise TestsError("no function that the asserts call; give its name in a column `entry_point`")
    setup, prefix = _prompt(_text(cells, "prompt"), entry)
    return Suite(tuple(translate(code, entry)), entry=entry, setup=setup, prefix=prefix)


def _assert_list(cells: _Cells, asserts: list[str]) -> Suite:
    entry = _text(cells, "entry_point") or called_function(asserts)
    if entry is None:
        raise TestsError("no function that the asserts call; give its name in a column `entry_point`")
    imports = cells.get("test_imports")
    setup = [*(map(str, imports) if isinstance(imports, list) else []), _text(cells, "test_setup_code")]
    cases = [case for text in asserts for case in translate(text, entry)]
    return Suite(tuple(cases), entry=entry, setup="\n".join(filter(None, setup)))


def _prompt(prompt: str, entry: str) -> tuple[str, str]:
    """(setup, prefix): what a prompt defines beside `entry`, and the whole prompt where it begins `entry` itself."""
    try:
        body = ast.parse(prompt).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "", ""
    kept = (ast.Import, ast.ImportFrom, ast.Assign, ast.FunctionDef, ast.ClassDef)
    setup = [node for node in body if isinstance(node, kept) and getattr(node, "name", None) != entry]
    begins = any(isinstance(node, ast.FunctionDef) and node.name == entry for node in body)
    return "\n".join(ast.unparse(node) for node in setup), prompt if begins else ""


def _pairs(cells: _Cells, items: list[Mapping[str, object]]) -> Suite:
    """[{"input": ..., "output": ...}]: arguments by name where there is an entry point, else stdin and stdout."""
    if not all(isinstance(item.get("input"), str) and isinstance(item.get("output"), str) for item in items):
        raise TestsError("expected objects with `input` and `output`, both text")
    if any(item.get("testtype") == "functional" for item in items):
        return _functional(items, _function_name(cells))
    entry = _text(cells, "entry_point")
    if not entry:
        return Suite(tuple(StdinCase(str(item["input"]), str(item["output"])) for item in items))
    setup, _ = _prompt(_text(cells, "prompt"), entry)
    cases = [_named_call(str(item["input"]), str(item["output"])) for item in items]
    return Suite(tuple(cases), entry=entry, setup=setup)


def _named_call(arguments: str, output: str) -> Case:
    try:
        read_literal(output)
        ast.parse(f"candidate({arguments})", mode="eval")
    except (NotPlainError, SyntaxError, ValueError, RecursionError, MemoryError):
        raise TestsError("an input that is no arguments, or an output that is no Python literal") from None
    return CallCase(f"candidate({arguments})", output)


def _livecodebench(cells: _Cells) -> Suite:
    items = [*_livecodebench_items(cells, "public_test_cases"), *_livecodebench_items(cells, "private_test_cases")]
    if not items:
        raise TestsError("no test cases in either column")
    return _pairs({"metadata": cells.get("metadata")}, items)


def _livecodebench_items(cells: _Cells, column: str) -> list[Mapping[str, object]]:
    value = cells.get(column)
    if isinstance(value, str) and value:
        value = _parsed(value) if value.lstrip()[:1] == "[" else _unpacked(value)
    if not value:
        return []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise TestsError(f"{column}: expected a list of test cases")
    return value


def _unpacked(text: str) -> object:
    try:
        inner = unpack(text)
    except PackedError as error:
        raise TestsError(f"packed tests: {error}") from None
    return _parsed(inner) if isinstance(inner, str) else inner


def _function_name(cells: _Cells) -> str:
    metadata = cells.get("metadata")
    metadata = _parsed(metadata) if isinstance(metadata, str) else metadata
    name = metadata.get("func_name") if isinstance(metadata, Mapping) else None
    if not isinstance(name, str) or not name.isidentifier():
        raise TestsError("functional tests need `func_name` in the column `metadata`")
    return name


def _functional(items: list[Mapping[str, object]], name: str) -> Suite:
    """Arguments one JSON value a line; a method of `Solution`; tuples count as lists, as upstream has it."""
    cases = []
    for item in items:
        arguments = [_json_value(line) for line in str(item["input"]).split("\n") if line.strip()]
        expect = write_literal(_json_value(str(item["output"])))  # type: ignore[arg-type]
        cases.append(CallCase(f"candidate(*{arguments!r})", expect, "json"))
    return Suite(tuple(cases), entry=f"Solution().{name}", setup=_PRELUDE)


def _json_value(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise TestsError("a functional test whose input or output is not JSON") from None


def _inputs_outputs(cells: _Cells, value: Mapping[str, object]) -> Suite:
    """APPS and TACO: two lists side by side."""
    inputs, outputs = value.get("inputs"), value.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs) or not inputs:
        raise TestsError("`inputs` and `outputs` must be lists of the same length")
    name = value.get("fn_name")
    if name is None:
        return Suite(tuple(StdinCase(_joined(i), _joined(o)) for i, o in zip(inputs, outputs, strict=True)))
    if not isinstance(name, str) or not name.isidentifier() or not all(isinstance(one, list) for one in inputs):
        raise TestsError("`fn_name` must be a function's name, and each input a list of its arguments")
    method = "class Solution" in _text(cells, "starter_code")
    cases = [
        CallCase(f"candidate(*{i!r})", write_literal(o[0] if isinstance(o, list) and len(o) == 1 else o), "json")
        for i, o in zip(inputs, outputs, strict=True)
    ]
    return Suite(tuple(cases), entry=f"Solution().{name}" if method else name, setup=_PRELUDE)


def _joined(value: object) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)
