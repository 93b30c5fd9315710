"""Python literals as text: read without running anything, written so that they can be read again.

Expected values are kept as literal text (`"[(1, 2), {3}]"`), since JSON has no tuple, set, complex number, NaN or key that
is not a string. What is read: constants, displays of lists, tuples, sets and dicts, `set()`, `float("inf")`, the names
`nan` and `inf`, a sign, and arithmetic on numbers of sane size. Everything else is no literal.

    >>> read_literal("[(1, 2), {3}, -inf, 10**9 + 7]")
    [(1, 2), {3}, -inf, 1000000007]
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterable

from exprl.verify.sandbox.program import Plain

__all__ = ["NotPlainError", "literal_of", "read_literal", "write_literal"]

_Number = int | float | complex

_NAMES = {"nan": math.nan, "inf": math.inf}
_BITS = 20_000
_OPERATORS: dict[type[ast.operator], Callable[[_Number, _Number], _Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


class NotPlainError(ValueError):
    """The text or tree is no literal. The message never quotes it."""


def read_literal(text: str) -> Plain:
    """Read a literal.

    Raises:
        NotPlainError: it is none.
    """
    try:
        return literal_of(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise NotPlainError("not a Python literal") from None


def write_literal(value: Plain) -> str:
    """The text that `read_literal` reads back as the same value."""
    return repr(value)


def literal_of(node: ast.expr) -> Plain:
    """The value of a syntax tree that is a literal.

    Raises:
        NotPlainError: it is none.
    """
    if isinstance(node, ast.Constant) and node.value is not Ellipsis:
        return node.value
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return _sequence(node)
    if isinstance(node, ast.Dict):
        return {_hashable(key): literal_of(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.Name) and node.id in _NAMES:
        return _NAMES[node.id]
    if isinstance(node, ast.UnaryOp | ast.BinOp):
        return _arithmetic(node)
    if isinstance(node, ast.Call):
        return _call(node)
    raise NotPlainError("not a Python literal")


def _sequence(node: ast.List | ast.Tuple | ast.Set) -> Plain:
    if isinstance(node, ast.Set):
        return {_hashable(item) for item in node.elts}
    items = [literal_of(item) for item in node.elts]
    return items if isinstance(node, ast.List) else tuple(items)


def _hashable(node: ast.expr | None) -> Plain:
    value = literal_of(node) if node is not None else None
    try:
        hash(value)
    except TypeError:
        raise NotPlainError("a key or member that cannot be hashed") from None
    if node is None:
        raise NotPlainError("not a Python literal")
    return value


def _arithmetic(node: ast.UnaryOp | ast.BinOp) -> _Number:
    if isinstance(node, ast.UnaryOp):
        value = _number(node.operand)
        if isinstance(node.op, ast.USub):
            return -value
        if isinstance(node.op, ast.UAdd):
            return +value
        raise NotPlainError("not a Python literal")
    left, right, apply = _number(node.left), _number(node.right), _OPERATORS.get(type(node.op))
    if apply is None or (isinstance(node.op, ast.Pow) and _bits(left) * abs(right) > _BITS):
        raise NotPlainError("arithmetic that is not carried out")
    try:
        return apply(left, right)
    except ArithmeticError:
        raise NotPlainError("arithmetic that has no value") from None


def _bits(value: _Number) -> int:
    return value.bit_length() if isinstance(value, int) else 1


def _number(node: ast.expr) -> _Number:
    value = literal_of(node)
    if isinstance(value, bool) or not isinstance(value, _Number) or _bits(value) > _BITS:
        raise NotPlainError("not a number")
    return value


def _call(node: ast.Call) -> Plain:
    """`set()`, `set(...)`, `frozenset(...)`, `tuple(...)`, `list`, `sorted` of a literal; `float("inf")`."""
    if not isinstance(node.func, ast.Name) or node.keywords or len(node.args) > 1:
        raise NotPlainError("not a Python literal")
    value: Plain = literal_of(node.args[0]) if node.args else ()
    try:
        if node.func.id == "float" and isinstance(value, str | int | float):
            return float(value)
        if node.func.id in _BUILDERS and isinstance(value, Iterable) and not isinstance(value, bytes):
            return _BUILDERS[node.func.id](value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise NotPlainError("not a Python literal")


_BUILDERS: dict[str, Callable[[Iterable[Plain]], Plain]] = {
    "set": set,
    "frozenset": frozenset,
    "tuple": tuple,
    "list": list,
    "sorted": lambda items: sorted(items),  # type: ignore[type-var]
}
