"""Plain data as text, both ways: exact builtin types and no others.

JSON for what JSON has; one-key objects for what it lacks: {"t": tuple, "d": pairs of a dict, "s": set, "z": frozenset,
"b": bytes in hex, "c": [real, imaginary], "i": a long integer in hex}.

`encode` runs in the candidate's process. Subclasses are reduced through the builtin type's own methods (a `Counter`
becomes a dict, a named tuple a tuple), so that no method of the candidate's is called; what is no builtin is refused.
`decode` runs outside on text that the candidate may have forged: anything but well-formed plain data is ValueError,
at a cost linear in its length (long integers are in hex, and keys chosen to collide are refused).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["DEPTH", "decode", "encode"]

DEPTH = 100
"""Levels of nesting, above which data are refused."""

_LONG = 1 << 62
_COLLISIONS = 256


def encode(value: object) -> str:
    """Text of plain data.

    Raises:
        TypeError: a part of it is not plain.
        ValueError: nested deeper than `DEPTH`.
    """
    return _dumps(_reduce(value, DEPTH))


def decode(text: str) -> Any:
    """Plain data of text.

    Raises:
        ValueError: the text is not plain data.
    """
    try:
        return _restore(json.loads(text, parse_int=_short_int), DEPTH)
    except (TypeError, RecursionError, OverflowError, MemoryError) as error:
        raise ValueError("not plain data") from error


# References taken now: what the candidate does to `builtins` or `json` later changes nothing here.
_dumps: Callable[[object], str] = json.JSONEncoder(check_circular=False).encode
_isinstance, _type, _abs, _list, _map, _hex = isinstance, type, abs, list, map, hex
_TypeError, _ValueError = TypeError, ValueError
_bool, _int, _float, _complex, _str, _bytes = bool, int, float, complex, str, bytes
_tuple, _dict, _set, _frozenset = tuple, dict, set, frozenset


def _reduce(value: object, depth: int) -> object:
    kind = _type(value)
    if value is None or kind is _bool:
        return value
    if depth == 0:
        raise _ValueError("nested too deeply")
    for base, reduce in _SCALARS:
        if kind is base or _isinstance(value, base):
            return reduce(value)
    for base, tag, items in _CONTAINERS:
        if kind is base or _isinstance(value, base):
            reduced = [_reduce(item, depth - 1) for item in items(value)]
            return reduced if tag is None else {tag: reduced}
    raise _TypeError("not plain data")


def _reduce_int(value: Any) -> object:
    number = _int.__index__(value)
    return number if _abs(number) < _LONG else {"i": _hex(number)}


def _reduce_dict(value: Any) -> Iterable[object]:
    return [_list(pair) for pair in _dict.items(value)]


_SCALARS: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (int, _reduce_int),
    (str, str.__str__),
    (float, float.__float__),
    (bytes, lambda value, _hexed=bytes.hex: {"b": _hexed(value)}),  # type: ignore[misc]
    (complex, lambda value, _c=complex.__complex__: {"c": [_c(value).real, _c(value).imag]}),  # type: ignore[misc]
)
_CONTAINERS: tuple[tuple[type, str | None, Callable[[Any], Iterable[object]]], ...] = (
    (list, None, list.__iter__),
    (tuple, "t", tuple.__iter__),
    (dict, "d", _reduce_dict),
    (set, "s", set.__iter__),
    (frozenset, "z", frozenset.__iter__),
)


def _short_int(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("a long integer that is not in hex")
    return int(digits)


def _restore(node: Any, depth: int) -> Any:
    if not isinstance(node, list | dict):
        return node
    if depth == 0:
        raise ValueError("nested too deeply")
    if isinstance(node, list):
        return [_restore(item, depth - 1) for item in node]
    [(tag, body)] = node.items()
    if tag == "i":
        return int(body, 16)
    if tag == "b":
        return bytes.fromhex(body)
    if not isinstance(body, list):
        raise ValueError("not plain data")
    if tag == "c":
        return complex(*(float(part) for part in body))
    return _restore_container(tag, [_restore(item, depth - 1) for item in body])


def _restore_container(tag: str, items: list[Any]) -> Any:
    if tag == "t":
        return tuple(items)
    if tag == "d":
        pairs = [(key, value) for key, value in items]
        _check_keys([key for key, _ in pairs])
        return dict(pairs)
    if tag in ("s", "z"):
        _check_keys(items)
        return set(items) if tag == "s" else frozenset(items)
    raise ValueError("not plain data")


def _check_keys(keys: list[Any]) -> None:
    """Building a table of keys with one hash takes quadratic time; honest data have hardly any."""
    if len(keys) - len({hash(key) for key in keys}) > _COLLISIONS:
        raise ValueError("keys that collide")
