"""Running small untrusted programs: the strict sandbox against a process a sample, with and without isolation.

The canonical programs of HumanEval with their tests (EXPRL_DATA/HumanEval.jsonl.gz; generated programs of like size
without it), 2 workers everywhere. The sandbox runs them in its strictest profile. The peers start a Python for each
program: as it is (what most runners do), with nothing but the standard library (as quick as that can be), and within
bubblewrap where it is installed. The peers take turns with the sandbox, so that a busy machine slows all alike.

    python benchmarks/sandbox.py [--full]
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from exprl.verify.sandbox import Program, open_sandbox

WORKERS, ROUNDS = 2, 4
RATE_GOAL, RATIO_GOAL, P95_GOAL = 100.0, 2.0, 0.060
NAME = "sandbox, strict"
PEER = "a process a sample"

Runner = Callable[[str], bool]


def read_programs() -> tuple[list[str], str]:
    """Sources that end without an error, and where they are from."""
    folder = os.environ.get("EXPRL_DATA", str(Path(__file__).resolve().parents[1].parent / "shared" / "data"))
    path = Path(folder) / "HumanEval.jsonl.gz"
    if not path.is_file():
        return [_generated(n) for n in range(164)], "generated"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    sources = [
        f"{row['prompt']}{row['canonical_solution']}\n{row['test']}\ncheck({row['entry_point']})\n" for row in rows
    ]
    return sources, "HumanEval"


def _generated(n: int) -> str:
    body = "".join(f"    total += sorted(values)[{k} % len(values)] * {n + k}\n" for k in range(12))
    tests = "".join(f"assert isinstance(f([{k}, {n}, 3]), int)\n" for k in range(8))
    return (
        f"from typing import List\n\ndef f(values: List[int]) -> int:\n    total = 0\n{body}    return total\n\n{tests}"
    )


def by_process(*command: str) -> Runner:
    """A Python a program."""

    def run(source: str) -> bool:
        return subprocess.run([*command, "-c", source], capture_output=True, check=False, timeout=20).returncode == 0

    return run


def make_runners(sandbox: Runner) -> dict[str, Runner]:
    runners = {
        NAME: sandbox,
        PEER: by_process(sys.executable),
        "the same, python -I -S": by_process(sys.executable, "-I", "-S"),
    }
    if (bubblewrap := shutil.which("bwrap")) is not None:
        jailed = (bubblewrap, "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--proc", "/proc")
        runners["bubblewrap a sample"] = by_process(*jailed, "--dev", "/dev", "--tmpfs", "/tmp", sys.executable)
    return runners


def timed(run: Runner, sources: list[str]) -> tuple[float, list[float], int]:
    """Seconds for all, seconds of each, how many passed."""

    def one(source: str) -> tuple[float, bool]:
        start = time.perf_counter()
        good = run(source)
        return time.perf_counter() - start, good

    start = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as threads:
        found = list(threads.map(one, sources))
    return time.perf_counter() - start, [seconds for seconds, _ in found], sum(good for _, good in found)


def measure(runners: dict[str, Runner], sources: list[str], rounds: int) -> dict[str, tuple[float, float, int]]:
    """Executions a second, 95th percentile and passes of each runner; each takes a part of the programs in turn."""
    total, each, passed = (
        dict.fromkeys(runners, 0.0),
        {name: list[float]() for name in runners},
        dict.fromkeys(runners, 0),
    )
    for turn in range(rounds):
        for name, run in runners.items():
            part = sources[turn % ROUNDS :: ROUNDS]
            seconds, spread, good = timed(run, part)
            total[name] += seconds
            each[name] += spread
            passed[name] += good
    return {
        name: (len(each[name]) / total[name], float(np.percentile(each[name], 95)), passed[name]) for name in runners
    }


def main() -> int:
    """Print the table; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="every program five times")
    rounds = ROUNDS * (5 if parser.parse_args().full else 1)
    sources, origin = read_programs()
    start = time.perf_counter()
    sandbox = open_sandbox(workers=WORKERS)
    opened = time.perf_counter() - start
    runners = make_runners(lambda source: sandbox.run(Program(source)).status == "ok")
    sandbox.run_many([Program("")] * 2 * WORKERS)  # servers start
    found = measure(runners, sources, rounds)
    sandbox.close()

    print(
        f"{len(sources)} programs ({origin}), {WORKERS} workers; proving the layers took {opened:.1f} s, once a process"
    )
    print(f"{'way':<26}{'runs/s':>8}{'p95 ms':>8}{'passed':>11}")
    count = sum(len(sources[turn % ROUNDS :: ROUNDS]) for turn in range(rounds))
    for name, (rate, p95, passed) in found.items():
        print(f"{name:<26}{rate:>8.0f}{1000 * p95:>8.0f}{passed:>7}/{count}")
    if "bubblewrap a sample" not in found:
        print(f"{'bubblewrap a sample':<26}  not measured: bwrap is not installed")
    rate, p95, passed = found[NAME]
    ratio = rate / found[PEER][0]
    good = rate >= RATE_GOAL and ratio >= RATIO_GOAL and p95 <= P95_GOAL and passed == count
    print(
        f"{'ok' if good else 'MISSED'}: {rate:.0f} runs/s (goal >= {RATE_GOAL:.0f}), {ratio:.1f} times a process a sample "
        f"(goal >= {RATIO_GOAL:.0f}), p95 {1000 * p95:.0f} ms (goal <= {1000 * P95_GOAL:.0f})"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
