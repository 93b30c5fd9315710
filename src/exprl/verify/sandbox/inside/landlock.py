"""Landlock: what of the file system, and of the rest of the machine, a process may still reach.

A ruleset names the rights that it handles; everything handled is refused except below the paths that a rule names. So
rights are handled as far as the kernel's version of the interface knows them, and granted three times: read the Python
installation, write the run's own /tmp, use /dev/null. TCP, abstract sockets and signals to the outside are handled and
never granted. Nothing is executable.

https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
from collections.abc import Iterable

from .kernel import system_call

__all__ = ["abi", "restrict"]

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same on every machine
_WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
_MAKE_DEVICE = (1 << 6) | (1 << 9) | (1 << 11)  # character device, socket, block device
_ALL = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}  # from 5 on: also ioctl of devices
_ALL_TCP, _ALL_SCOPES = 3, 3


@functools.cache
def abi() -> int:
    """The kernel's version of the interface.

    Raises:
        OSError: the kernel has none, or it is switched off.
    """
    return system_call(_CREATE, None, 0, 1)


def restrict(readable: Iterable[str], writable: Iterable[str], usable: Iterable[str]) -> None:
    """Bind this process and its children: files may be read, written in full, or read and written but not made."""
    version = abi()
    handled = _ALL.get(version, (1 << 16) - 1)
    attributes = struct.pack("=QQQ", handled, _ALL_TCP if version >= 4 else 0, _ALL_SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = system_call(_CREATE, attributes, size, 0)
    for paths, rights in (
        (readable, _READ_FILE | _READ_DIR),
        (writable, handled & ~_MAKE_DEVICE & ~1),  # 1: execute
        (usable, handled & (_READ_FILE | _WRITE_FILE | _TRUNCATE)),
    ):
        for path in paths:
            _allow(ruleset, path, rights)
    system_call(_RESTRICT, ruleset, 0)
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # out of reach anyway
        return
    rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, place), 12)
    system_call(_ADD_RULE, ruleset, 1, rule, 0)
    os.close(place)
