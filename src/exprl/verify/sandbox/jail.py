"""The jail on this machine: fork servers, requests, and frames that are believed only when signed.

A server is a process of its own with an environment of two words and no descriptor but a socket. A frame is opened
only with the nonce of the run it answers; answers are decoded here, as plain data, call by call. A server that goes
away or says what cannot be read is replaced and the run repeated once; if that fails too, it is SandboxError.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import queue
import secrets
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from exprl.errors import SandboxError
from exprl.verify.sandbox.inside import plain
from exprl.verify.sandbox.inside.channel import pack
from exprl.verify.sandbox.program import Limits, Program, Result, Returned, Status

__all__ = ["Jail"]

_START = 60.0
_GRACE = 10.0  # after a run's wall limit, for the supervisor to say so
_DEFAULT = Limits()
_CODE = """
import sys
sys.path.insert(0, sys.argv[1])
from inside.server import main
sys.path.pop(0)
main(int(sys.argv[2]), frozenset(sys.argv[3:]))
"""


class Jail:
    """A `Sandbox` of forked and confined processes.

    Args:
        layers: names of `layers.LAYERS` that must hold.
        workers: runs at the same time at most.
    """

    def __init__(self, layers: frozenset[str], workers: int = 1) -> None:
        self._servers: queue.SimpleQueue[_Server] = queue.SimpleQueue()
        self._workers = workers
        for _ in range(workers):
            self._servers.put(_Server(layers))

    def run(self, program: Program, limits: Limits = _DEFAULT) -> Result:
        """Run one program; waits for a free worker."""
        server = self._servers.get()
        try:
            return server.run(program, limits)
        finally:
            self._servers.put(server)

    def run_many(self, programs: Sequence[Program], limits: Limits = _DEFAULT) -> list[Result]:
        """Run a batch on all workers; results in order."""
        if self._workers == 1 or len(programs) < 2:
            return [self.run(program, limits) for program in programs]
        with ThreadPoolExecutor(self._workers) as threads:
            return list(threads.map(lambda program: self.run(program, limits), programs))

    def close(self) -> None:
        """Stop every server. The jail may be used again."""
        for _ in range(self._workers):
            server = self._servers.get()
            server.stop()
            self._servers.put(server)


class _LostError(Exception):
    """The server has gone, does not answer, or answers what was not signed."""


class _Server:
    def __init__(self, layers: frozenset[str]) -> None:
        self._layers = layers
        self._child: _Child | None = None

    def run(self, program: Program, limits: Limits) -> Result:
        for _ in range(2):
            self._child = self._child or _Child(self._layers)
            try:
                return _run(self._child, program, limits)
            except _LostError:
                self.stop()
        raise SandboxError(
            "the sandbox's server ended twice during one run, which no program should be able to cause; "
            "is the machine out of memory or process ids? Lower the number of workers or the memory limit"
        )

    def stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()


def _run(child: _Child, program: Program, limits: Limits) -> Result:
    nonce = secrets.token_bytes(32)
    request = {
        "nonce": nonce.hex(),
        "source": program.source,
        "stdin": program.stdin,
        "limits": list(limits),
        "calls": [[call.function, plain.encode(call.arguments)] for call in program.calls],
    }
    child.send(json.dumps(request).encode(), limits.wall + _GRACE)
    body = child.receive(limits.wall + _GRACE)
    signature, frame = body[:32], body[32:]
    if not hmac.compare_digest(signature, hmac.digest(nonce, frame, "sha256")):
        raise _LostError
    return _open(json.loads(frame), len(program.calls))


def _open(frame: dict[str, Any], calls: int) -> Result:
    status = cast("Status", frame["status"])
    answers = [_read_answer(text) for text in frame["answers"][1:]]
    missing = Returned(error="not answered" if status == "ok" else status)
    returned = (*answers, *[missing] * (calls - len(answers)))
    return Result(status, frame["stdout"], returned, frame["reason"])


def _read_answer(text: str) -> Returned:
    try:
        if text.startswith('{"e": "') and text.endswith('"}'):
            name = json.loads(text)["e"]
            return Returned(error=name if name.isidentifier() and len(name) <= 64 else "Exception")
        return Returned(plain.decode(text))
    except (ValueError, KeyError, AttributeError):
        return Returned(error="NotPlain")


class _Child:
    """One server process and the socket to it."""

    def __init__(self, layers: frozenset[str]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = _start(theirs.fileno(), layers)
        self._socket = ours
        self.kill = weakref.finalize(self, _kill, self._process, ours)
        self._expect_ready()

    def _expect_ready(self) -> None:
        try:
            said = self.receive(_START).decode("utf-8", "replace")
        except _LostError:
            said = "no: it ended or did not answer"
        if said != "ready":
            self.kill()
            raise SandboxError(f"the sandbox's server did not start ({said.removeprefix('no: ')}); run: exprl doctor")

    def send(self, body: bytes, timeout: float) -> None:
        self._socket.settimeout(timeout)
        try:
            self._socket.sendall(pack(body))
        except OSError as error:
            raise _LostError from error

    def receive(self, timeout: float) -> bytes:
        deadline = time.monotonic() + timeout
        return self._receive(int.from_bytes(self._receive(4, deadline), "big"), deadline)

    def _receive(self, count: int, deadline: float) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                part = self._socket.recv(min(count - len(parts), 1 << 20))
            except OSError as error:
                raise _LostError from error
            if not part:
                raise _LostError
            parts += part
        return bytes(parts)


def _start(control: int, layers: frozenset[str]) -> subprocess.Popen[bytes]:
    folder = str(Path(__file__).resolve().parent)
    environment = {key: os.environ[key] for key in ("LD_LIBRARY_PATH",) if key in os.environ}
    return subprocess.Popen(
        [sys.executable, "-P", "-s", "-S", "-B", "-X", "utf8", "-c", _CODE, folder, str(control), *sorted(layers)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # it may quote a candidate
        env=environment | {"PYTHONHASHSEED": "0"},  # the same order of sets in every run
        pass_fds=[control],
        cwd="/",
        start_new_session=True,
    )


def _kill(process: subprocess.Popen[bytes], ours: socket.socket) -> None:
    ours.close()  # a supervisor sees the hang-up and ends its candidate, the server ends after it
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, 9)
    process.wait()
