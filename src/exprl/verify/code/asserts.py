"""Translate assert-style tests into calls and expected values, by their syntax tree; nothing is run.

Each `assert` whose one side is a call of the function under test and whose other side is a literal becomes a `CallCase`:

    assert candidate(x) == 3              assert not candidate(x)       assert candidate(x) is None
    assert abs(candidate(x) - 3) < 1e-6   assert candidate(x) in (1, 2) assert set(candidate(x)) == {1, 2}
    assert math.isclose(candidate(x), 3, rel_tol=1e-3)

The call's arguments must be free of names that the test itself defines. What is left (loops, helpers, random inputs) stays
together, in order, as one `CodeCase`; statements without any assert or loop are dropped with the asserts that needed none.

    >>> translate("def check(candidate):\\n    assert candidate([2, 1]) == [1, 2]\\n    assert True", "sort")
    [CallCase(call='candidate([2, 1])', expect='[1, 2]', how='equal', atol=0.0, rtol=0.0)]
"""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Iterable, Iterator

from exprl.verify.code.compare import Comparison
from exprl.verify.code.literal import NotPlainError, literal_of, write_literal
from exprl.verify.code.tests import CallCase, Case, CodeCase, TestsError
from exprl.verify.sandbox.program import Plain

__all__ = ["called_function", "translate"]

_WRAPPERS = {"set", "sorted", "list", "tuple", "len", "str", "sum", "frozenset", "dict", "int", "float", "bool"}
_COMPARISONS: dict[type[ast.cmpop], Comparison] = {
    ast.Eq: "equal",
    ast.NotEq: "differs",
    ast.In: "within",
    ast.Is: "is",
}


def translate(code: str, entry: str | None) -> list[Case]:
    """The cases of a test program: a `check(candidate)` function, or asserts that call `entry` by its name.

    Raises:
        TestsError: the program is no Python, or has no assert.
    """
    body = _statements(_tree(code))
    names = {"candidate", *([entry] if entry else [])}
    cases: list[Case] = []
    rest: list[ast.stmt] = []
    bound = _bound(body)
    for statement in body:
        found = _translated(statement, names, bound)
        if found is None:
            rest.append(statement)
        else:
            cases.extend(found)
    if left := _rest(rest, entry):
        cases.append(left)
    if not cases:
        raise TestsError("the tests hold no assert")
    return cases


def called_function(asserts: Iterable[str]) -> str | None:
    """The function that asserts are about: the one called most often that is no builtin."""
    calls = Counter(
        node.func.id
        for text in asserts
        for node in ast.walk(_tree(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not hasattr(builtins, node.func.id)
    )
    return calls.most_common(1)[0][0] if calls else None


def _tree(code: str) -> ast.Module:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise TestsError("the tests are no Python") from None


def _statements(module: ast.Module) -> list[ast.stmt]:
    """The statements of a test, those of `check` in the place of its definition; a call of `check` and metadata go."""
    found: list[ast.stmt] = []
    for statement in module.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "check":
            found.extend(statement.body)
        elif not _is_call_of_check(statement) and not _is_metadata(statement):
            found.append(statement)
    return found


def _is_call_of_check(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and ast.unparse(statement).startswith("check(")


def _is_metadata(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "METADATA"


def _bound(body: list[ast.stmt]) -> set[str]:
    """Names that the test itself gives a meaning (`math` aside): a call that uses one cannot be taken out of it."""
    nodes = [node for statement in body for node in ast.walk(statement)]
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    imports = [name for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for name in node.names]
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return stored | defined | {(name.asname or name.name).partition(".")[0] for name in imports} - {"math"}


def _translated(statement: ast.stmt, names: set[str], bound: set[str]) -> list[Case] | None:
    """The cases of one statement: none for `assert True`; None where it cannot be translated."""
    if not isinstance(statement, ast.Assert):
        return None
    tests = statement.test.values if _is_and(statement.test) else [statement.test]  # type: ignore[attr-defined]
    found: list[Case] = []
    for test in tests:
        if isinstance(test, ast.Constant):
            if not test.value:
                return None
            continue
        case = next(_cases(test, names, bound), None)
        if case is None:
            return None
        found.append(case)
    return found


def _is_and(test: ast.expr) -> bool:
    return isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And)


def _cases(test: ast.expr, names: set[str], bound: set[str]) -> Iterator[CallCase]:
    """The first thing that it yields is the translation."""
    if (call := _call(test, names, bound)) is not None:
        yield CallCase(f"bool({call})", "True", "truth")
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) and (call := _call(test.operand, names, bound)):
        yield CallCase(f"bool({call})", "False", "truth")
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        yield from _compared(test, names, bound)
    if isinstance(test, ast.Call) and ast.unparse(test.func) in ("math.isclose", "isclose") and len(test.args) == 2:
        yield from _isclose(test, names, bound)


def _compared(test: ast.Compare, names: set[str], bound: set[str]) -> Iterator[CallCase]:
    left, right, operator = test.left, test.comparators[0], type(test.ops[0])
    how = _COMPARISONS.get(operator)
    if how is not None:
        yield from _pair(left, right, how, names, bound)
        if operator in (ast.Eq, ast.NotEq):
            yield from _pair(right, left, how, names, bound)
    elif operator in (ast.Lt, ast.LtE) and (difference := _difference(left)) is not None:
        atol = _literal(right)
        if isinstance(atol, int | float) and atol >= 0:
            limit: Comparison = "below" if operator is ast.Lt else "equal"
            yield from _pair(*difference, limit, names, bound, atol=float(atol))
            yield from _pair(difference[1], difference[0], limit, names, bound, atol=float(atol))


def _difference(node: ast.expr) -> tuple[ast.expr, ast.expr] | None:
    """(a, b) of `abs(a - b)`."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("abs", "math.fabs") and len(node.args) == 1:
        inner = node.args[0]
        if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Sub):
            return inner.left, inner.right
    return None


def _isclose(test: ast.Call, names: set[str], bound: set[str]) -> Iterator[CallCase]:
    given = {keyword.arg: _literal(keyword.value) for keyword in test.keywords}
    rtol, atol = given.pop("rel_tol", 1e-9), given.pop("abs_tol", 0.0)
    if not given and isinstance(rtol, float | int) and isinstance(atol, float | int):
        for one, other in (test.args, test.args[::-1]):
            yield from _pair(one, other, "equal", names, bound, atol=float(atol), rtol=float(rtol))


def _pair(
    left: ast.expr,
    right: ast.expr,
    how: Comparison,
    names: set[str],
    bound: set[str],
    atol: float = 0.0,
    rtol: float = 0.0,
) -> Iterator[CallCase]:
    call = _call(left, names, bound)
    if call is None:
        return
    try:
        yield CallCase(call, write_literal(literal_of(right)), how, atol, rtol)
    except (NotPlainError, RecursionError, ValueError):
        return


def _literal(node: ast.expr) -> Plain:
    try:
        return literal_of(node)
    except NotPlainError:
        return None


def _call(node: ast.expr, names: set[str], bound: set[str]) -> str | None:
    """The text of a call of the function under test, perhaps wrapped in `set(...)` and the like; None if it is none."""
    inner = node
    while isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id in _WRAPPERS - names:
        if len(inner.args) != 1 or inner.keywords:
            return None
        inner = inner.args[0]
    if not (isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id in names):
        return None
    inside = {
        n.id for argument in (*inner.args, *inner.keywords) for n in ast.walk(argument) if isinstance(n, ast.Name)
    }
    if inside & (bound | names):
        return None
    inner.func.id = "candidate"
    return ast.unparse(node)


def _rest(body: list[ast.stmt], entry: str | None) -> CodeCase | None:
    """What could not be translated, unless nothing in it tests anything."""
    if not any(isinstance(node, ast.Assert) for statement in body for node in ast.walk(statement)):
        return None
    alias = [f"{entry} = candidate"] if entry is not None and entry.isidentifier() else []
    return CodeCase("\n".join([*alias, *(ast.unparse(statement) for statement in body)]))
