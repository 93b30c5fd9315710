r"""LiveCodeBench's packed private tests, read without unpickling.

Upstream packs a JSON text as base64(zlib(pickle(text))). A pickle is a program for a stack machine, and `pickle.loads` runs
whatever it says. This decoder knows only the opcodes that put plain data on the stack: text, bytes, numbers, None, bools,
lists, tuples, dicts and the memo. An opcode that could name, build or call anything is refused, and so is one unknown.

    >>> decode_pickle(b"\x80\x04\x95\x0a" + bytes(7) + b"](K\x01\x8c\x01ae.")
    [1, 'a']

Refuses: more than 256 MiB unpacked, a stack that does not come out even, anything after the end that is cut short.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["PackedError", "decode_pickle", "unpack"]

Data: TypeAlias = "bool | int | float | str | bytes | list[Data] | tuple[Data, ...] | dict[Data, Data] | None"

_LARGEST = 256 * 1024 * 1024


class PackedError(ValueError):
    """What is packed is not plain data, or damaged. The message never quotes it."""


def unpack(text: str) -> Data:
    """Read base64(zlib(pickle(data))).

    Raises:
        PackedError: damaged, too large, or more than plain data.
    """
    try:
        inflate = zlib.decompressobj()
        content = inflate.decompress(base64.b64decode(text, validate=True), _LARGEST)
    except (binascii.Error, ValueError, zlib.error):
        raise PackedError("damaged: not base64 of zlib") from None
    if inflate.unconsumed_tail or not inflate.eof:
        raise PackedError("damaged, or larger than 256 MiB")
    return decode_pickle(content)


def decode_pickle(content: bytes) -> Data:
    """The plain data that a pickle holds.

    Raises:
        PackedError: an opcode that is not for plain data, or damaged content.
    """
    try:
        return _Machine(content).run()
    except PackedError:
        raise
    except (IndexError, struct.error, UnicodeDecodeError, ValueError, TypeError, KeyError):
        raise PackedError("damaged: not a pickle of plain data") from None


class _Machine:
    """A stack machine for the plain subset of pickle protocols 0 to 5."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0
        self._stack: list[Data] = []
        self._marks: list[int] = []
        self.memo: dict[int, Data] = {}

    def run(self) -> Data:
        while (code := self.take(1)) != b".":
            step = _STEPS.get(code)
            if step is None:
                raise PackedError("it holds more than plain data; refused")
            step(self)
        if len(self._stack) != 1 or self._marks:
            raise PackedError("damaged: the stack does not come out even")
        return self._stack.pop()

    def take(self, size: int) -> bytes:
        if size < 0 or self._at + size > len(self._content):
            raise PackedError("damaged: it ends too early")
        self._at += size
        return self._content[self._at - size : self._at]

    def number(self, layout: str) -> int:
        (value,) = struct.unpack(layout, self.take(struct.calcsize(layout)))
        return int(value)

    def line(self) -> bytes:
        end = self._content.index(b"\n", self._at)
        return self.take(end + 1 - self._at)[:-1]

    def real(self) -> float:
        (value,) = struct.unpack(">d", self.take(8))
        return float(value)

    def push(self, value: Data) -> None:
        self._stack.append(value)

    def mark(self) -> None:
        self._marks.append(len(self._stack))

    def since_mark(self) -> list[Data]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def last(self, count: int) -> list[Data]:
        if count > len(self._stack):
            raise PackedError("damaged: the stack is empty")
        items = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return items

    def extend(self, items: list[Data]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise PackedError("damaged: items without a list")
        target.extend(items)

    def update(self, items: list[Data]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict):
            raise PackedError("damaged: items without a dict")
        target.update(_pairs(items))

    def remember(self, place: int) -> None:
        self.memo[place] = self._stack[-1]


_Step: TypeAlias = Callable[[_Machine], None]


def _pairs(items: list[Data]) -> dict[Data, Data]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _text(layout: str) -> _Step:
    return lambda m: m.push(m.take(m.number(layout)).decode("utf-8", "surrogatepass"))


def _bytes(layout: str) -> _Step:
    return lambda m: m.push(m.take(m.number(layout)))


def _integer(layout: str) -> _Step:
    return lambda m: m.push(m.number(layout))


def _long(layout: str) -> _Step:
    return lambda m: m.push(int.from_bytes(m.take(m.number(layout)), "little", signed=True))


def _constant(value: Data) -> _Step:
    return lambda m: m.push(value)


def _tuple(count: int) -> _Step:
    return lambda m: m.push(tuple(m.last(count)))


def _put(layout: str) -> _Step:
    return lambda m: m.remember(m.number(layout))


def _get(layout: str) -> _Step:
    return lambda m: m.push(m.memo[m.number(layout)])


def _skip(size: int) -> _Step:
    return lambda m: _nothing(m.take(size))


def _nothing(skipped: bytes) -> None:
    """A header: the protocol's number, a frame's length."""


def _old_integer(m: _Machine) -> None:
    line = m.line()
    m.push(line == b"01" if line in (b"00", b"01") else int(line.rstrip(b"L")))


_STEPS: dict[bytes, _Step] = {
    b"\x80": _skip(1),
    b"\x95": _skip(8),
    b"N": _constant(None),
    b"\x88": _constant(True),
    b"\x89": _constant(False),
    b"J": _integer("<i"),
    b"K": _integer("B"),
    b"M": _integer("<H"),
    b"I": _old_integer,
    b"L": _old_integer,
    b"\x8a": _long("B"),
    b"\x8b": _long("<i"),
    b"G": lambda m: m.push(m.real()),
    b"F": lambda m: m.push(float(m.line())),
    b"X": _text("<I"),
    b"\x8c": _text("B"),
    b"\x8d": _text("<Q"),
    b"V": lambda m: m.push(m.line().decode("raw_unicode_escape")),
    b"B": _bytes("<I"),
    b"C": _bytes("B"),
    b"\x8e": _bytes("<Q"),
    b"]": lambda m: m.push([]),
    b"}": lambda m: m.push({}),
    b")": _constant(()),
    b"\x85": _tuple(1),
    b"\x86": _tuple(2),
    b"\x87": _tuple(3),
    b"(": lambda m: m.mark(),
    b"l": lambda m: m.push(m.since_mark()),
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b"d": lambda m: m.push(_pairs(m.since_mark())),
    b"a": lambda m: m.extend(m.last(1)),
    b"e": lambda m: m.extend(m.since_mark()),
    b"s": lambda m: m.update(m.last(2)),
    b"u": lambda m: m.update(m.since_mark()),
    b"q": _put("B"),
    b"r": _put("<I"),
    b"p": lambda m: m.remember(int(m.line())),
    b"h": _get("B"),
    b"j": _get("<I"),
    b"g": lambda m: m.push(m.memo[int(m.line())]),
    b"\x94": lambda m: m.remember(len(m.memo)),
}
