"""The server of a jail: a supervisor that reads requests, and a zygote that candidates are forked from.

They are two processes from the start, and the supervisor never forks again. So no candidate can find in its memory
anything of another run, nor its own nonce, nor calls still to come: the zygote never had them. The next candidate
stands ready, jailed and waiting, before the next request arrives.
"""

from __future__ import annotations

import gc
import importlib
import os
import socket
import sys
from typing import NoReturn

from . import landlock, seccomp
from .channel import pack
from .kernel import bound_privileges, die_with_parent
from .namespaces import enter_for_server, library
from .supervisor import supervise
from .zygote import serve_candidates

__all__ = ["main"]

_PREIMPORTED = """
    abc array base64 bisect calendar cmath collections contextlib copy dataclasses datetime decimal difflib enum
    fractions functools hashlib heapq hmac io itertools json math numbers operator queue random re statistics string
    struct textwrap threading time types typing unicodedata zlib
"""


def main(control: int, layers: frozenset[str]) -> None:
    """Serve runs, one after another, until the other end of the socket `control` is closed."""
    for name in _PREIMPORTED.split():
        importlib.import_module(name)
    library()
    os.environ.clear()
    sys.argv[:] = [""]
    _be_killed_first()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    zygote = os.fork()
    if zygote == 0:
        ours.close()
        os.close(control)
        _become_zygote(theirs, layers)
    theirs.close()
    said = ours.recv(1 << 12) or b"it ended"
    os.write(control, pack(said if said == b"ready" else b"no: " + said))
    if said == b"ready":
        supervise(control, ours)
    ours.close()
    os.waitpid(zygote, 0)


def _become_zygote(supervisor: socket.socket, layers: frozenset[str]) -> NoReturn:
    """Enter the namespaces that runs share, then serve."""
    try:
        enter_for_server(layers)
        die_with_parent()  # after the change of user, which would undo it
        _prepare(layers)
        if "pid" in layers:
            _be_first_in_namespace()
        supervisor.send(b"ready")
        for name in [name for name in sys.modules if name.partition(".")[0] == "inside"]:
            del sys.modules[name]  # a clean table for honest code; no secret is in them
        gc.collect()
        gc.freeze()  # a garbage collection in a child then copies no page of these
        serve_candidates(supervisor, layers)
        os._exit(0)
    except OSError as error:
        supervisor.send(f"{error.strerror or error}".encode())
    finally:
        os._exit(1)


def _be_first_in_namespace() -> None:
    """Go on as the first process of the pid namespace that was entered last; who entered it waits outside."""
    if first := os.fork():
        os._exit(os.waitpid(first, 0)[1] != 0)
    die_with_parent()


def _prepare(layers: frozenset[str]) -> None:
    """What every run needs is worked out once."""
    if "privileges" in layers:
        bound_privileges()
    if "landlock" in layers:
        landlock.abi()
    if "seccomp" in layers:
        for fork in (False, True):
            seccomp.filter_here(fork)


def _be_killed_first() -> None:
    """Should the machine run out of memory, then rather a candidate than the training run."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        pass  # no /proc: a courtesy, not a bound
