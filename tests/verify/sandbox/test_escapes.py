"""Nothing that candidates try gets out of the jail, and each thing they try works without it."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sandbox_attacks import SYSTEM, Attack

from exprl.verify.sandbox import Limits, Program, Result, Sandbox
from exprl.verify.sandbox.jail import Jail

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
X86 = platform.machine() == "x86_64"


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """What attacks try to reach: files, listening sockets, a descriptor, this process."""
    folder = tmp_path_factory.mktemp("outside")
    (secret := folder / "secret").write_text("secret")
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
        for address, kind in (
            (unix := f"/tmp/exprl-test-{os.getpid()}", socket.SOCK_STREAM),
            (abstract := f"\0exprl-test-{os.getpid()}", socket.SOCK_STREAM),
            (abstract + "d", socket.SOCK_DGRAM),
        ):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            listener.bind(address)
            if kind == socket.SOCK_STREAM:
                listener.listen(8)
        stack.callback(os.unlink, unix)
        descriptor = os.open(secret, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        yield {
            "pid": os.getpid(),
            "port": port,
            "unix": unix,
            "abstract": abstract,
            "folder": str(folder),
            "secret": str(secret),
            "descriptor": descriptor,
            "site": sysconfig.get_path("purelib"),
        }


@pytest.fixture(scope="module")
def escapes(jail: Sandbox, targets: dict[str, object]) -> dict[str, Result]:
    results = {}
    for limits in {attack.limits for attack in SYSTEM.values()}:
        batch = {name: attack for name, attack in SYSTEM.items() if attack.limits == limits}
        programs = [Program(attack.source.format(**targets)) for attack in batch.values()]
        results |= dict(zip(batch, jail.run_many(programs, limits), strict=True))
    return results


@pytest.fixture(scope="module")
def open_air() -> Iterator[Sandbox]:
    """The same servers without any layer."""
    sandbox = Jail(frozenset())
    yield sandbox
    sandbox.close()


@pytest.mark.parametrize("name", SYSTEM)
def test_an_attack_fails_in_the_jail(name: str, escapes: dict[str, Result], targets: dict[str, object]) -> None:
    assert escapes[name].status != "ok"
    assert sorted(path.name for path in Path(str(targets["folder"])).iterdir()) == ["secret"]


@pytest.mark.parametrize("name", SYSTEM)
def test_the_same_attack_works_without_the_jail(
    name: str, jail: Sandbox, open_air: Sandbox, targets: dict[str, object]
) -> None:
    attack = SYSTEM[name]
    if (attack.root and not ROOT) or (attack.x86 and not X86):
        pytest.skip("the control needs root" if attack.root and not ROOT else "raw numbers of x86_64")
    assert _works(attack, open_air, targets)
    for name in ("written", "link"):
        Path(str(targets["folder"]), name).unlink(missing_ok=True)


def _works(attack: Attack, open_air: Sandbox, targets: dict[str, object]) -> bool:
    source = attack.source.format(**targets)
    if not attack.bare:
        return open_air.run(Program(source), attack.without).status == "ok"
    passed = [int(str(targets["descriptor"]))]
    return subprocess.run([sys.executable, "-c", source], pass_fds=passed, check=False).returncode == 0


_DAEMON = """
import contextlib, os, time
if os.fork() == 0:
    with contextlib.suppress(PermissionError):
        os.setsid()
    if os.fork() == 0:
        os.close(1), os.close(4)
        while True:
            time.sleep(0.01)
            with open({path!r}, 'a') as file:
                file.write('x')
    os._exit(0)
time.sleep(0.1)
"""


def test_no_daemon_outlives_its_run(jail: Sandbox) -> None:
    """Seen from outside: the memory limit of this run, a number that no other process has, in /proc/PID/limits."""
    limits = Limits(memory=(400 << 20) + 4096 * (os.getpid() % 4096 + 1), processes=8)
    source = _DAEMON.format(path="/tmp/ticks") + "time.sleep(0.4)\nprint(os.stat('/tmp/ticks').st_size > 0)"
    with ThreadPoolExecutor(1) as thread:
        run = thread.submit(jail.run, Program(source), limits)
        most = 0
        while not run.done():
            most = max(most, _processes(limits.memory))
            time.sleep(0.02)
    assert run.result().stdout == "True\n"
    assert most >= 2  # the candidate and its daemon, so that they would have been seen
    assert _processes(limits.memory) == 0


def _processes(memory: int) -> int:
    found = 0
    for limits in Path("/proc").glob("[0-9]*/limits"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found += f" {memory} " in limits.read_text()
    return found


def test_a_daemon_outlives_a_plain_process(tmp_path: Path) -> None:
    ticks = tmp_path / "ticks"
    source = _DAEMON.format(path=str(ticks)).replace("while True", "for _ in range(60)")
    subprocess.run([sys.executable, "-c", source.replace(", os.close(4)", "")], check=True)
    size = ticks.stat().st_size
    time.sleep(0.2)
    assert ticks.stat().st_size > size


def test_nothing_stays_behind_for_the_next_run(jail: Sandbox) -> None:
    leave = Program("open('/tmp/left', 'w').write('x')\nimport builtins\nbuiltins.left = 1")
    look = Program("import os, builtins\nprint(os.listdir('/tmp'), hasattr(builtins, 'left'))")
    assert [result.status for result in jail.run_many([leave] * 4)] == ["ok"] * 4
    assert {result.stdout for result in jail.run_many([look] * 4)} == {"[] False\n"}


CRASHES = {
    "segmentation fault": ("import ctypes\nctypes.string_at(0)", "killed"),
    "abort": ("import os\nos.abort()", "killed"),
    "kill itself": ("import os\nos.kill(0, 9)\nos.kill(1, 9)\nimport ctypes\nctypes.string_at(0)", "killed"),
    "recursion": ("def f():\n    f()\nf()", "error"),
    "recursion in C": ("import sys\nsys.setrecursionlimit(10**9)\nf = lambda: f()\nf()", "killed error memory timeout"),
    "nested source": ("(" * 5000 + ")" * 5000, "error memory"),
    "closed descriptors": ("import os\nos.closerange(0, 64)\nwhile True: pass", "killed error timeout"),
    "nothing but sleep": ("import time\ntime.sleep(99)", "timeout"),
    "a thread that stays": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()",
        "timeout",
    ),
    "ignored signals": (
        "import signal\nfor n in range(1, 32):\n    if n not in (9, 19):\n        signal.signal(n, signal.SIG_IGN)\n"
        "while True: pass",
        "timeout",
    ),
    "an x32 call": ("import ctypes\nctypes.CDLL(None).syscall(0x40000000 + 39)", "killed"),
}


@pytest.mark.parametrize("name", CRASHES)
def test_a_crash_is_a_result_and_the_next_run_is_well(name: str, jail: Sandbox) -> None:
    source, statuses = CRASHES[name]
    if "x32" in name and not X86:
        pytest.skip("x32 belongs to x86_64")
    start = time.monotonic()
    assert jail.run(Program(source), Limits(wall=0.6, cpu=0.4)).status in statuses.split()
    assert time.monotonic() - start < 30
    assert jail.run(Program("print(1)")).stdout == "1\n"
