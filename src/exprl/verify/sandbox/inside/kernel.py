"""System calls that Python does not wrap, by ctypes: namespaces, mounts, capabilities, prctl.

Nothing but numbers from the kernel's headers and calls that raise OSError.
"""

from __future__ import annotations

import ctypes
import os

__all__ = [
    "MACHINE",
    "NEWIPC",
    "NEWNET",
    "NEWNS",
    "NEWPID",
    "NEWUSER",
    "NEWUTS",
    "bound_privileges",
    "die_with_parent",
    "drop_privileges",
    "enter",
    "forbid_new_privileges",
    "make_read_only",
    "mount",
    "pivot_root",
    "system_call",
    "umount",
    "unshare",
]

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
MACHINE = os.uname().machine
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_CAPSET = {"x86_64": 126, "aarch64": 91}
_MOUNT_SETATTR = 442
_READ_ONLY, _NO_DEVICES = 0x1 | 0x2, 0x4  # the first with no set-uid
_SET_PDEATHSIG, _CAPBSET_DROP, _SET_NO_NEW_PRIVS, _CAP_AMBIENT = 1, 24, 38, 47

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def system_call(number: int, *arguments: object) -> int:
    """The call's result.

    Raises:
        OSError: it failed.
    """
    plain = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *plain))


def unshare(flags: int) -> None:
    """New namespaces of the kinds in `flags`, for this process or (NEWPID) for its children."""
    _checked(_libc.unshare(ctypes.c_int(flags)))


def enter(process: int, flags: int) -> None:
    """The namespaces of the kinds in `flags` that the process behind a pidfd is in."""
    _checked(_libc.setns(ctypes.c_int(process), ctypes.c_int(flags)))


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    _checked(
        _libc.mount(
            source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), options.encode() or None
        )
    )


def umount(target: str) -> None:
    """Detach a mount and what is below it."""
    _checked(_libc.umount2(target.encode(), 2))


def make_read_only(target: str, *, devices: bool = False) -> None:
    """What is mounted at `target`: read-only, no set-uid, and no devices unless asked for."""
    attributes = (ctypes.c_uint64 * 4)(_READ_ONLY if devices else _READ_ONLY | _NO_DEVICES, 0, 0, 0)
    system_call(_MOUNT_SETATTR, -100, target.encode(), 0, ctypes.byref(attributes), 32)


def pivot_root(new: str) -> None:
    """Make `new` the root and let go of the old one."""
    os.chdir(new)
    system_call(_PIVOT_ROOT[MACHINE], b".", b".")
    umount(".")
    os.chdir("/")


def die_with_parent() -> None:
    """SIGKILL when the parent ends."""
    _prctl(_SET_PDEATHSIG, 9)


def forbid_new_privileges() -> None:
    """No later exec can gain any: seccomp and Landlock ask for it."""
    _prctl(_SET_NO_NEW_PRIVS, 1)


def bound_privileges() -> None:
    """Empty the bounding set: no capability that is given up can come back, here or in a child."""
    for capability in range(64):
        try:
            _prctl(_CAPBSET_DROP, capability)
        except OSError:  # beyond the last that this kernel has, or not privileged and so without any to lose
            break


def drop_privileges() -> None:
    """Give up every capability that is held."""
    _prctl(_CAP_AMBIENT, 4)  # clear all
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    system_call(_CAPSET[MACHINE], ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def _prctl(option: int, value: int) -> None:
    _checked(_libc.prctl(ctypes.c_int(option), *(ctypes.c_ulong(part) for part in (value, 0, 0, 0))))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
