"""A real llama.cpp server in a process of its own, with one thread; needs xllamacpp in the interpreter that is given.

with llama_server("python", Path("model.gguf"), slots=2) as server:
    server.url, server.kill()
"""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from replica import Server

SERVE = """
import sys, time, xllamacpp
path, port, slots = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
wanted = xllamacpp.CommonParams()
wanted.model.path, wanted.model_alias = path, {"simulated"}
wanted.port = port
wanted.n_ctx, wanted.n_parallel, wanted.n_gpu_layers = 2048 * slots, slots, 0
wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(wanted)
while True:
    time.sleep(10)
"""


@contextmanager
def llama_server(python: str, model: Path, slots: int) -> Iterator[Server]:
    """A llama.cpp server with one thread."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [python, "-c", SERVE, str(model), str(port), str(slots)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True) as process:
        server = Server(f"http://127.0.0.1:{port}/v1", process)
        try:
            _wait_for(server)
            yield server
        finally:
            process.kill()


def _wait_for(server: Server) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(server.url + "/models", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if server.process.poll() is not None:
                raise SystemExit("the server ended; is xllamacpp installed for --python?") from None
            time.sleep(0.2)
    raise SystemExit("the server did not come up within a minute")
