"""Records on pipes and sockets: a length in four bytes, then that many bytes."""

from __future__ import annotations

import os

__all__ = ["pack", "read_record"]


def pack(body: bytes) -> bytes:
    """A record."""
    return len(body).to_bytes(4, "big") + body


def read_record(descriptor: int) -> bytes | None:
    """The next record; None where the other side has closed."""
    head = _read_exactly(descriptor, 4)
    return None if head is None else _read_exactly(descriptor, int.from_bytes(head, "big"))


def _read_exactly(descriptor: int, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        part = os.read(descriptor, min(count - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)
