"""The zygote: the process that candidates are forked from, and the only one that can end and reap them.

It is told nothing but when to end a run. For each run it makes the pipes, forks, hands the supervisor its ends, and waits;
then it kills the whole tree and says how the first process ended and what CPU it used.

    to the supervisor     a byte, with (pidfd, stdin, stdout, questions, answers) as descriptors
    from the supervisor   a byte: end it
    to the supervisor     exit status and seconds of CPU (`ENDED`)
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import struct
from typing import NoReturn

from .candidate import become_candidate
from .namespaces import ChildNamespace

__all__ = ["ENDED", "HANDED", "serve_candidates"]

ENDED = struct.Struct("=id")
HANDED = 5
"""Descriptors that a candidate's announcement carries."""


def serve_candidates(supervisor: socket.socket, layers: frozenset[str]) -> None:
    """A candidate at a time, each ready before it is needed, until the supervisor has gone."""
    gc.disable()  # a collection would touch pages that are shared with candidates
    pids = ChildNamespace() if "pid" in layers else contextlib.nullcontext()
    while True:
        child, descriptors = _make(supervisor, layers, pids)
        try:
            socket.send_fds(supervisor, [b"c"], descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            told = supervisor.recv(1)
        except OSError:
            told = b""
        ended = _end(child)
        if not told:
            return
        supervisor.send(ENDED.pack(*ended))


def _make(
    supervisor: socket.socket, layers: frozenset[str], pids: contextlib.AbstractContextManager[None]
) -> tuple[int, list[int]]:
    """A candidate that waits for its program: its pid here, and what the supervisor needs to speak with it."""
    stdin = os.memfd_create("stdin")
    (out, out_end), (ask_end, ask), (answer, answer_end) = os.pipe(), os.pipe(), os.pipe()
    with pids:
        child = os.fork()
        if child == 0:
            _candidate((stdin, out_end, ask_end, answer_end), layers)
    for end in (out_end, ask_end, answer_end):
        os.close(end)
    return child, [os.pidfd_open(child), stdin, out, ask, answer]


def _candidate(ends: tuple[int, int, int, int], layers: frozenset[str]) -> NoReturn:
    try:
        become_candidate(ends, layers)
    finally:
        os._exit(70)


def _end(child: int) -> tuple[int, float]:
    """End the whole tree: exit status of its first process, seconds of CPU that it used.

    The first process of a pid namespace takes all the others with it; without one, its process group has to do. One
    that is ending already keeps its own exit status.
    """
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    return status, usage.ru_utime + usage.ru_stime
