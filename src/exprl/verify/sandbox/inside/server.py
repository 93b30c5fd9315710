"""The fork server: one process, started once, that forks a supervisor for every run.

It never reads a request: a request's bytes are read by the run's supervisor, and by that only after the candidate's
process exists. So no run can find in its memory anything of another run, nor its own nonce, nor calls still to come.
The next supervisor and candidate stand ready, jailed and waiting, before the next request arrives.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys

from . import landlock, seccomp
from .channel import pack
from .kernel import bound_privileges
from .namespaces import enter_for_server, library
from .supervisor import supervise

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
    try:
        enter_for_server(layers)
        _prepare(layers)
    except OSError as error:
        os.write(control, pack(f"no: {error.strerror or error}".encode()))
        return
    os.write(control, pack(b"ready"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "inside"]:
        del sys.modules[name]  # a clean table for honest code; no secret is in them
    gc.collect()
    gc.freeze()  # a garbage collection in a child then copies no page of these
    while _serve_one(control, layers):
        pass


def _prepare(layers: frozenset[str]) -> None:
    """What every run needs is worked out once."""
    if "privileges" in layers:
        bound_privileges()
    if "landlock" in layers:
        landlock.abi()
    if "seccomp" in layers:
        for fork in (False, True):
            seccomp.filter_here(fork)


def _serve_one(control: int, layers: frozenset[str]) -> bool:
    supervisor = os.fork()
    if supervisor == 0:
        status = 1
        try:
            status = supervise(control, layers)
        finally:
            os._exit(status)
    return os.waitpid(supervisor, 0)[1] == 0


def _be_killed_first() -> None:
    """Should the machine run out of memory, then rather a candidate than the training run."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        pass  # no /proc: a courtesy, not a bound
