"""The supervisor: outside the jail, it asks, bounds, ends, and signs, one run after another.

It is handed a candidate that exists already, reads the request, sends the source, then one call at a time, each only
when the answer to the one before is there. An answer that comes before its question is a forgery and ends the run.
What it returns is a frame signed with the run's nonce (HMAC-SHA256), which arrived with the request.

It parses nothing that the candidate writes beyond lengths; `plain.decode` does that where the frame is opened.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import select
import socket
import time
from typing import Any

from .channel import pack, read_record
from .zygote import ENDED, HANDED

__all__ = ["supervise"]

_CHUNK = 1 << 16
_NAME = re.compile(r'\{"e": "([A-Za-z_]\w{0,63})"\}', re.ASCII)
_PID = re.compile(r"^Pid:\s*(\d+)$", re.MULTILINE)


def supervise(control: int, zygote: socket.socket) -> None:
    """Serve runs until one of the two sides has gone."""
    while (descriptors := socket.recv_fds(zygote, 1, HANDED)[1]) and (body := read_record(control)) is not None:
        handle, stdin, *pipes = descriptors
        request = json.loads(body)
        os.pwrite(stdin, request["stdin"].encode("utf-8", "replace"), 0)  # the offset is the candidate's
        frame = json.dumps(_Run(_pid(handle), pipes, control, zygote, request).result()).encode()
        _send(control, pack(hmac.digest(bytes.fromhex(request["nonce"]), frame, "sha256") + frame))
        for descriptor in descriptors:
            os.close(descriptor)


def _pid(handle: int) -> int:
    """What a process is called here; the zygote knows it by another number."""
    with open(f"/proc/self/fdinfo/{handle}", encoding="ascii") as file:
        found = _PID.search(file.read())
    return int(found[1]) if found else 0


def _send(control: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(control, view) :]


class _Run:
    """The state of a run: what was asked, what has come back."""

    def __init__(
        self, child: int, pipes: list[int], control: int, zygote: socket.socket, request: dict[str, Any]
    ) -> None:
        self._child, self._control, self._zygote = child, control, zygote
        self._out, self._ask, self._answer = pipes
        wall, self._cpu, memory, self._output, processes = request["limits"]
        self._deadline = time.monotonic() + wall
        self._calls: list[list[Any]] = request["calls"]
        self._stdout, self._answers, self._received = bytearray(), list[str](), bytearray()
        self._asked, self._to_send = 0, bytearray()
        self._ended: tuple[str, str] | None = None
        os.set_blocking(self._ask, False)
        limits = [memory, self._cpu, processes, self._output]
        self._put({"limits": limits, "source": request["source"], "calls": len(self._calls)})

    def result(self) -> dict[str, Any]:
        """Watch until both pipes are closed or a limit is reached."""
        poller = select.poll()
        for descriptor in (self._out, self._answer):
            poller.register(descriptor, select.POLLIN)
        poller.register(self._control, 0)  # hang-up only
        open_pipes, waiting = {self._out, self._answer}, False
        while open_pipes and self._ended is None:
            if waiting != bool(self._to_send):  # a pipe whose reader has gone is always ready: asked only when needed
                waiting = not waiting
                poller.register(self._ask, select.POLLOUT) if waiting else poller.unregister(self._ask)
            for descriptor, _ in poller.poll(self._patience()):
                if descriptor in open_pipes and not self._read(descriptor):
                    open_pipes.discard(descriptor)
                    poller.unregister(descriptor)
                elif descriptor == self._ask:
                    self._write()
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
        self._write()

    def _write(self) -> None:
        try:
            del self._to_send[: os.write(self._ask, self._to_send)]
        except BlockingIOError:
            pass
        except OSError:  # the candidate reads no more
            self._to_send.clear()

    def _conclude(self) -> dict[str, Any]:
        self._zygote.send(b"e")
        status, used = ENDED.unpack(self._zygote.recv(ENDED.size))
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
