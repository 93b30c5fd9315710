"""rlimits of a candidate: the kernel's own bounds, under those that the supervisor watches.

    AS      the memory limit          CPU    its seconds rounded up: the backstop of a finer watch
    NPROC   processes and threads     FSIZE  one file of its /tmp        NOFILE  64      CORE  none
    STACK   64 MiB, so that deep recursion ends in RecursionError rather than in a signal

A limit of the process that holds less than is asked here stays as it is.
"""

from __future__ import annotations

import math
import resource

__all__ = ["FILE_SIZE", "THREADS", "TMP_SIZE", "apply"]

THREADS = 16
FILE_SIZE = 16 << 20
TMP_SIZE = 64 << 20
_STACK = 64 << 20
_OWN = 2  # the zygote and who waits for it, which the kernel counts along


def apply(memory: int, cpu: float, processes: int) -> None:
    """Bind this process and its children."""
    _lower(resource.RLIMIT_AS, memory)
    _lower(resource.RLIMIT_CPU, math.ceil(cpu))
    _lower(resource.RLIMIT_NPROC, processes + THREADS + _OWN)
    _lower(resource.RLIMIT_FSIZE, FILE_SIZE)
    _lower(resource.RLIMIT_NOFILE, 64)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_STACK, _STACK)


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))
