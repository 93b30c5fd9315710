"""The supervisor of one run: outside the jail, it asks, bounds, ends, and signs.

It forks the candidate first and reads the request afterwards; sends the source, then one call at a time, each only
when the answer to the one before is there. An answer that comes before its question is a forgery and ends the run.
What it returns is a frame signed with the run's nonce (HMAC-SHA256), which arrived with the request.

It parses nothing that the candidate writes beyond lengths; `plain.decode` does that where the frame is opened.
"""

from __future__ import annotations

import contextlib
import gc
import hmac
import json
import os
import re
import select
import signal
import time
from typing import Any, NoReturn

from .candidate import become_candidate
from .channel import pack, read_record
from .namespaces import enter_for_run

__all__ = ["supervise"]

_CHUNK = 1 << 16
_NAME = re.compile(r'\{"e": "([A-Za-z_]\w{0,63})"\}', re.ASCII)


def supervise(control: int, layers: frozenset[str]) -> int:
    """One run: 0 where a frame was sent, 2 where the other side has gone."""
    gc.disable()  # a collection would copy pages that are shared with the server
    enter_for_run(layers)
    stdin = os.memfd_create("stdin")
    (out, out_end), (ask_end, ask), (answer, answer_end) = os.pipe(), os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        _candidate((stdin, out_end, ask_end, answer_end), layers)
    for end in (out_end, ask_end, answer_end):
        os.close(end)
    body = read_record(control)
    if body is None:
        _kill(child)
        return 2
    request = json.loads(body)
    os.pwrite(stdin, request["stdin"].encode("utf-8", "replace"), 0)  # the offset is the candidate's
    os.close(stdin)
    frame = json.dumps(_Run(child, out, ask, answer, control, request).result()).encode()
    _send(control, pack(hmac.digest(bytes.fromhex(request["nonce"]), frame, "sha256") + frame))
    return 0


def _candidate(ends: tuple[int, int, int, int], layers: frozenset[str]) -> NoReturn:
    try:
        become_candidate(ends, layers)
    finally:
        os._exit(70)


def _send(control: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(control, view) :]


def _kill(child: int) -> tuple[int, float]:
    """End the whole tree: exit status of its first process, seconds of CPU that it used.

    The first process of a pid namespace takes all the others with it; without one, its process group has to do. One
    that is ending already keeps its own exit status.
    """
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    return status, usage.ru_utime + usage.ru_stime


class _Run:
    """The state of a run: what was asked, what has come back."""

    def __init__(self, child: int, out: int, ask: int, answer: int, control: int, request: dict[str, Any]) -> None:
        self._child, self._out, self._ask, self._answer, self._control = child, out, ask, answer, control
        wall, self._cpu, memory, self._output, processes = request["limits"]
        self._deadline = time.monotonic() + wall
        self._calls: list[list[Any]] = request["calls"]
        self._stdout, self._answers, self._received = bytearray(), list[str](), bytearray()
        self._asked, self._to_send = 0, bytearray()
        self._ended: tuple[str, str] | None = None
        os.set_blocking(ask, False)
        limits = [memory, self._cpu, processes, self._output]
        self._put({"limits": limits, "source": request["source"], "calls": len(self._calls)})

    def result(self) -> dict[str, Any]:
        """Watch until both pipes are closed or a limit is reached."""
        poller = select.poll()
        for descriptor in (self._out, self._answer):
            poller.register(descriptor, select.POLLIN)
        poller.register(self._control, 0)  # hang-up only
        open_pipes = {self._out, self._answer}
        while open_pipes and self._ended is None:
            poller.register(self._ask, select.POLLOUT if self._to_send else 0)
            for descriptor, _ in poller.poll(self._patience()):
                if descriptor in open_pipes and not self._read(descriptor):
                    open_pipes.discard(descriptor)
                    poller.unregister(descriptor)
                elif descriptor == self._ask and not self._write():
                    self._to_send.clear()
                elif descriptor == self._control:
                    self._ended = ("killed", "nobody waits for it")
            self._check_time()
        return self._conclude()

    def _patience(self) -> float:
        """Milliseconds until a limit can be reached at the earliest."""
        left: float = min(self._deadline - time.monotonic(), max(self._cpu - self._used(), 0.02))
        return max(left, 0.0) * 1000 + 1

    def _used(self) -> float:
        """Seconds of CPU that the first process has used: its clock is `~pid << 3 | 2`."""
        try:
            return time.clock_gettime((~self._child << 3) | 2)
        except OSError:
            return 0.0

    def _check_time(self) -> None:
        if self._ended is None and (time.monotonic() >= self._deadline or self._used() >= self._cpu):
            self._ended = ("timeout", "out of time")

    def _read(self, descriptor: int) -> bool:
        chunk = os.read(descriptor, _CHUNK)
        if descriptor == self._out:
            self._stdout += chunk
            if len(self._stdout) > self._output:
                self._ended = ("output", "too much output")
        else:
            self._received += chunk
            self._take_answers()
        return bool(chunk)

    def _take_answers(self) -> None:
        while len(self._received) >= 4 and self._ended is None:
            end = 4 + int.from_bytes(self._received[:4], "big")
            if end > self._output + 64 or sum(map(len, self._answers)) > self._output:
                self._ended = ("output", "too much output")
            elif len(self._answers) == self._asked:
                self._forged()
            elif len(self._received) < end:
                return
            else:
                self._answers.append(self._received[4:end].decode("utf-8", "replace"))
                del self._received[:end]
                self._ask_next()

    def _ask_next(self) -> None:
        if self._answers[0] != "null" or len(self._answers) > len(self._calls):
            return
        if self._received or select.select([self._answer], [], [], 0)[0]:  # more is there before it was asked for
            self._forged()
        else:
            self._put(self._calls[len(self._answers) - 1])

    def _forged(self) -> None:
        self._ended = ("killed", "an answer that was not asked for")
        self._answers.clear()

    def _put(self, question: object) -> None:
        self._asked += 1
        self._to_send += pack(json.dumps(question).encode())

    def _write(self) -> bool:
        try:
            del self._to_send[: os.write(self._ask, self._to_send)]
        except BlockingIOError:
            pass
        except OSError:  # the candidate reads no more
            return False
        return True

    def _conclude(self) -> dict[str, Any]:
        status, used = _kill(self._child)
        stdout = self._stdout[: self._output].decode("utf-8", "replace")
        ended = self._ended or self._verdict(status, used)
        return {"status": ended[0], "reason": ended[1], "stdout": stdout, "answers": self._answers}

    def _verdict(self, status: int, used: float) -> tuple[str, str]:
        if self._answers and self._answers[0] != "null":
            found = _NAME.fullmatch(self._answers[0])
            name = found[1] if found else "Exception"
            return ("memory", "out of memory") if name == "MemoryError" else ("error", name)
        if len(self._answers) == len(self._calls) + 1:
            return ("ok", "")
        if used >= self._cpu:
            return ("timeout", "out of time")
        if os.WIFSIGNALED(status):
            return ("killed", f"signal {os.WTERMSIG(status)}")
        return ("error", "ended early")
