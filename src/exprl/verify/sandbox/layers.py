"""The layers of the jail, and proof that each one holds on this machine.

A layer is proved twice: without it a small program can do the forbidden thing, with it the same program cannot. A
probe that only saw the refusal could be fooled by a thing that never works (no loopback, a file that is not there).

    user        candidates have nobody's uid and no rights outside   pid        no other process can be named
    net         no network, not even loopback                        ipc        no shared memory of others
    uts         not the machine's name                               mount      a root of its own, no /proc
    landlock    reads Python's library, writes its /tmp, no more     seccomp    an allow-list of system calls
    privileges  no capability, none to be gained                     limits     memory, CPU, files, processes
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from exprl.errors import SandboxError
from exprl.verify.sandbox.inside.namespaces import HOST
from exprl.verify.sandbox.jail import Jail
from exprl.verify.sandbox.program import Limits, Program

__all__ = ["LAYERS", "Layer", "probe_layers"]


class Layer(NamedTuple):
    """Whether one layer holds here, how that was seen, and what to do if it does not."""

    name: str
    present: bool
    detail: str
    remedy: str


class _Probe(NamedTuple):
    attempt: str  # source that ends without an error where the forbidden thing works
    base: frozenset[str]  # layers that this one needs, there in the control too
    remedy: str


_USER = frozenset({"user"})
_NAMESPACES = (
    "allow user namespaces: sysctl user.max_user_namespaces must be above 0, kernel.unprivileged_userns_clone 1 and "
    "kernel.apparmor_restrict_unprivileged_userns 0 where they exist; in a container, run it with "
    "--security-opt seccomp=unconfined and --security-opt apparmor=unconfined"
)
_LIMITS = Limits(wall=10.0, cpu=5.0, memory=256 << 20)

_PROBES = {
    "user": _Probe("import os\nassert os.getuid() == <uid>", frozenset(), _NAMESPACES),
    "pid": _Probe(
        "import os\ntry:\n    os.kill(<pid>, 0)\nexcept PermissionError:\n    pass  # it is there",
        _USER,
        _NAMESPACES,
    ),
    "net": _Probe("import socket\nsocket.socket().connect(('127.0.0.1', <port>))", _USER, _NAMESPACES),
    "ipc": _Probe("import ctypes\nassert ctypes.CDLL(None).shmget(<key>, 0, 0) >= 0", _USER, _NAMESPACES),
    "uts": _Probe(f"import os\nassert os.uname().nodename != {HOST!r}", _USER, _NAMESPACES),
    "mount": _Probe("open(<file>).read()", _USER, _NAMESPACES),
    "landlock": _Probe(
        "open(<file>).read()",
        frozenset(),
        "use a kernel of 5.13 or later that is built with CONFIG_SECURITY_LANDLOCK and started with landlock in lsm=",
    ),
    "seccomp": _Probe(
        "import socket\nsocket.socket().close()",
        frozenset(),
        "use a kernel built with CONFIG_SECCOMP_FILTER, on x86_64 or aarch64",
    ),
    "privileges": _Probe("import os\nos.chroot('/')", _USER, _NAMESPACES),
    "limits": _Probe("bytearray(300 << 20)", frozenset(), "raise the hard limits of this process (ulimit -H)"),
}

LAYERS = frozenset(_PROBES)
"""The strict profile."""


@functools.cache
def probe_layers() -> tuple[Layer, ...]:
    """Prove every layer. Takes about a second, once a process."""
    if not sys.platform.startswith("linux"):
        return tuple(Layer(name, False, f"{sys.platform} has none", "run on Linux") for name in _PROBES)
    controls = {base: Jail(base) for base in {probe.base for probe in _PROBES.values()}}
    try:
        with _things() as things, ThreadPoolExecutor(2) as threads:
            return tuple(threads.map(lambda name: _probe(name, controls[_PROBES[name].base], things), _PROBES))
    finally:
        for control in controls.values():
            control.close()


def _probe(name: str, control: Jail, things: dict[str, object]) -> Layer:
    attempt, base, remedy = _PROBES[name]
    program = Program(_fill(attempt, things))
    works, why = _try(program, control)
    if works is None:
        return Layer(name, False, f"cannot be tried: {why}", remedy)
    if not works:
        return Layer(name, False, f"not proved: what it should prevent fails without it ({why})", remedy)
    jail = Jail(base | {name})
    try:
        works, why = _try(program, jail)
    finally:
        jail.close()
    if works is None:
        return Layer(name, False, f"cannot be set up: {why}", remedy)
    return Layer(name, not works, "does not hold" if works else "works without it, refused with it", remedy)


def _fill(attempt: str, things: dict[str, object]) -> str:
    for name, value in things.items():
        attempt = attempt.replace(f"<{name}>", repr(value))
    return attempt


def _try(program: Program, jail: Jail) -> tuple[bool | None, str]:
    """Whether a program ended well, None where it could not be run; and what was seen."""
    try:
        result = jail.run(program, _LIMITS)
    except SandboxError as error:
        return None, str(error)
    return result.status == "ok", result.reason


@contextlib.contextmanager
def _things() -> Iterator[dict[str, object]]:
    """What probes try to reach: a file that all may read, a listening port, shared memory."""
    key = 0x65780000 | (os.getpid() & 0xFFFF)
    shared = ctypes.CDLL(None).shmget(key, 4096, 0o1666)  # created, for all
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        file = Path(folder, "readable")
        os.chmod(folder, 0o755)
        file.write_text("x")
        file.chmod(0o644)
        try:
            yield {
                "uid": os.geteuid(),
                "pid": os.getpid(),
                "port": server.getsockname()[1],
                "key": key,
                "file": str(file),
            }
        finally:
            ctypes.CDLL(None).shmctl(shared, 0, None)  # removed
