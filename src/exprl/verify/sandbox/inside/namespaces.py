"""Namespaces: whom and what a candidate can name at all.

Once a server: user (nobody's uid, no rights outside), net (no interface), uts, and mount with a root of its own that
holds the Python library read-only (without site-packages), /dev/null and an empty /tmp; no /proc, no /sys, no home.
Once a run: pid (its first process dies, all die), ipc, and mount again, with a fresh /tmp.

The zygote is itself the first process of a pid namespace. Only there may it do what makes a namespace for each of its
children: ask for a new one (which the next child is born into), fork, and turn back to its own.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import sys

from .kernel import NEWIPC, NEWNET, NEWNS, NEWPID, NEWUSER, NEWUTS, enter, make_read_only, mount, pivot_root, unshare
from .limits import TMP_SIZE

__all__ = ["HOST", "INSIDE", "ChildNamespace", "enter_for_run", "enter_for_server", "library"]

INSIDE = 4242
"""The uid and gid that a candidate sees as its own."""

HOST = "exprl-jail"

_NOBODY = 65534
_BIND, _REC, _PRIVATE, _NOSUID, _NODEV, _NOEXEC = 0x1000, 0x4000, 0x40000, 2, 4, 8
_FLAGS = _NOSUID | _NODEV | _NOEXEC


@functools.cache
def library() -> list[str]:
    """The folders of Python's own modules."""
    platform = f"{sys.base_exec_prefix}/{sys.platlibdir}/{os.path.basename(os.path.dirname(os.__file__))}"
    found = {os.path.realpath(path) for path in (os.path.dirname(os.__file__), platform) if os.path.isdir(path)}
    return sorted(found)


def enter_for_server(layers: frozenset[str]) -> None:
    """Namespaces that runs share: nothing can be left in them for the next run."""
    if "user" in layers:
        _enter_user()
    for name, flag in (("net", NEWNET), ("uts", NEWUTS), ("mount", NEWNS)):
        if name in layers:
            unshare(flag)
    if "uts" in layers:
        socket.sethostname(HOST)
    if "mount" in layers:
        _build_root()
    elif "user" in layers:
        _become_nobody()
    if "pid" in layers:  # the next fork is its first process
        unshare(NEWPID)


class ChildNamespace:
    """While it is held, the next child is born as the first process of a new pid namespace."""

    def __init__(self) -> None:
        self._own = os.pidfd_open(os.getpid())

    def __enter__(self) -> None:
        unshare(NEWPID)

    def __exit__(self, *_: object) -> None:
        enter(self._own, NEWPID)


def enter_for_run(layers: frozenset[str]) -> None:
    """Namespaces of one run, but for the one it is born into."""
    if "mount" in layers:
        unshare(NEWNS)
        mount("tmpfs", "/tmp", "tmpfs", _FLAGS, f"size={TMP_SIZE},nr_inodes=1024,mode=700")
        os.chdir("/tmp")
    if "ipc" in layers:
        unshare(NEWIPC)


def _enter_user() -> None:
    """Root becomes nobody; another user stays who it is. Either is `INSIDE` seen from within."""
    uid, gid = os.geteuid(), os.getegid()
    ready, go = os.pipe()
    helper = os.fork()
    if helper == 0:  # still outside: only from there can root map somebody else
        os.close(go)
        os.read(ready, 1)
        os._exit(_write_maps(os.getppid(), _NOBODY, _NOBODY) if uid == 0 else 1)
    if uid == 0:
        with contextlib.suppress(OSError):
            os.setgroups([])
    try:
        unshare(NEWUSER)
    finally:
        os.close(go)
        os.close(ready)
        refused = os.waitpid(helper, 0)[1]
    if refused:
        _write("/proc/self/setgroups", "deny")
        if _write_maps(os.getpid(), uid, gid):
            raise PermissionError("the user namespace cannot be mapped")


def _write_maps(pid: int, uid: int, gid: int) -> int:
    try:
        _write(f"/proc/{pid}/gid_map", f"{INSIDE} {gid} 1")
        _write(f"/proc/{pid}/uid_map", f"{INSIDE} {uid} 1")
    except OSError:
        return 1
    return 0


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _become_nobody() -> None:
    """Capabilities in the namespace stay: there is no uid 0 in it to lose them by."""
    os.setresgid(INSIDE, INSIDE, INSIDE)
    os.setresuid(INSIDE, INSIDE, INSIDE)


def _build_root() -> None:
    mount("none", "/", "", _REC | _PRIVATE)
    # Opened as who we are: a library below a private home cannot be reached by nobody's path, only by descriptor.
    places = {path: os.open(path, os.O_PATH) for path in library()}
    places["/dev/null"] = os.open("/dev/null", os.O_PATH)
    if os.geteuid() != INSIDE:
        _become_nobody()
    paths = [os.path.realpath(path) for path in sys.path if path]
    # Any folder serves to build the new root on: what it covers here is let go of with the old root.
    new = "/tmp"
    mount("tmpfs", new, "tmpfs", _FLAGS, "size=1m,mode=755")
    for path, place in places.items():
        _bind(f"/proc/self/fd/{place}", new + path, folder=path != "/dev/null")
        os.close(place)
    for path in library():
        _hide(f"{new}{path}/site-packages")
    os.mkdir(f"{new}/tmp")
    pivot_root(new)
    for path in ["/", *library()]:
        make_read_only(path)
    make_read_only("/dev/null", devices=True)
    sys.path[:] = [path for path in paths if os.path.exists(path)]


def _bind(source: str, target: str, *, folder: bool) -> None:
    if folder:
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        _write(target, "")
    mount(source, target, "", _BIND | _REC)


def _hide(path: str) -> None:
    if os.path.isdir(path):
        mount("tmpfs", path, "tmpfs", _FLAGS, "size=4k,mode=555")
