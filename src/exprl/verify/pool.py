"""Workers that compare two answers by computer algebra and can be killed.

Computer algebra on text that a policy optimises has no bound of its own: `9^{9^{9^9}}` spends its time inside one C
call, where no alarm reaches. So every comparison runs in a child process that reads JSON lines and writes JSON lines;
at the time limit the child is killed and the next comparison starts another. Plain pipes and no pickle: nothing a
child says can do more than name one of five outcomes. A child gets an empty environment (no API keys), a memory
limit, and ends by itself when this process does.

    compare((gold, answer), ...) -> "equal" | "different" | "gold" | "timeout" | "died"

Starting a child costs a second or two (it imports sympy), so none is started before the first comparison.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import queue
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Literal, cast, get_args

from exprl.errors import VerifierError

__all__ = ["Outcome", "WorkerPool"]

Outcome = Literal["equal", "different", "gold", "timeout", "died"]
"""`gold`: the stored answer cannot be read. `died`: the worker ended by itself (out of memory, say)."""

_START = 120.0


class WorkerPool:
    """Up to `workers` comparing processes, started when needed.

    Args:
        timeout: seconds from sending a pair to killing the worker that has not answered.
        workers: processes at most.
    """

    def __init__(self, timeout: float, workers: int = 1) -> None:
        self._timeout = timeout
        self._workers = [_Worker(timeout) for _ in range(workers)]

    def compare(self, pairs: Sequence[tuple[str, str]]) -> list[Outcome]:
        """Compare (stored, stated) pairs, in order.

        Raises:
            VerifierError: math-verify is missing, or a worker does not start.
        """
        if len(pairs) < 2 or len(self._workers) == 1:
            return [self._workers[0].compare(gold, answer) for gold, answer in pairs]
        free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._workers:
            free.put(worker)

        def one(pair: tuple[str, str]) -> Outcome:
            worker = free.get()
            try:
                return worker.compare(*pair)
            finally:
                free.put(worker)

        with ThreadPoolExecutor(len(self._workers)) as threads:
            return list(threads.map(one, pairs))

    def close(self) -> None:
        """Kill every worker. The pool may be used again."""
        for worker in self._workers:
            worker.stop()


class _Worker:
    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._child: _Child | None = None

    def compare(self, gold: str, answer: str) -> Outcome:
        child = self._child = self._child or _start()
        line = child.ask(json.dumps([gold, answer, self._timeout]), self._timeout)
        if line is None or line == "":
            self.stop()
            return "timeout" if line is None else "died"
        outcome = json.loads(line)
        return cast("Outcome", outcome) if outcome in get_args(Outcome) else "died"

    def stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()


class _Child:
    """One process. A thread reads its lines, so that waiting for one has a time limit on every platform."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        assert process.stdout is not None
        threading.Thread(target=_read_lines, args=(process.stdout, self._lines), daemon=True).start()
        self.kill = weakref.finalize(self, _kill, process)

    def line(self, timeout: float) -> str | None:
        """The next line, '' where the process has ended, None where it took too long."""
        try:
            return self._lines.get(timeout=timeout)
        except queue.Empty:
            return None

    def ask(self, request: str, timeout: float) -> str | None:
        assert self._process.stdin is not None
        deadline = time.monotonic() + timeout
        try:
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        except OSError:
            return ""
        return self.line(max(deadline - time.monotonic(), 0.0))


def _read_lines(stream: IO[str], lines: queue.SimpleQueue[str]) -> None:
    with stream:
        for line in stream:
            lines.put(line.strip())
    lines.put("")


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError):  # a request that it never read
            process.stdin.close()
    # standard output is closed by the thread that reads it, which ends with the process


def _start() -> _Child:
    if importlib.util.find_spec("math_verify") is None:
        raise VerifierError(
            "comparing answers by computer algebra needs math-verify, which is not installed; "
            "run: pip install 'exprl[eval]'"
        )
    environment = {key: os.environ[key] for key in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if key in os.environ}
    environment |= {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONUTF8": "1"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "exprl.verify.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # it may quote a stored answer
        env=environment,
        encoding="utf-8",
    )
    child = _Child(process)
    if child.line(_START) != '"ready"':
        child.kill()
        raise VerifierError(
            f"the worker that compares answers did not start within {_START:.0f} s; "
            f"see why: {sys.executable} -m exprl.verify.worker"
        )
    return child
