"""`exprl run` interrupted at ten random moments, by Ctrl-C or by kill -9, ends as if nothing had happened.

The moments are drawn by a seed: a share of all the rows that an uninterrupted run writes, and a wait on top. Early ones fall
into the filter or into start-up, later ones into sampling, a training step, a checkpoint, Stage II or an evaluation. Ctrl-C
reaches the whole process group, as a terminal sends it; kill -9 the command alone, whose workers must notice.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_run import (
    children_of,
    command,
    exprl,
    files_of,
    rows_of,
    summary_of,
    wait_until_gone,
    write_config,
    write_problems,
)

MOMENTS = 10


def rows_in(run: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in run.rglob("*.jsonl")) if run.exists() else 0


def interrupt(config: Path, how: signal.Signals, when: Callable[[], bool], wait: float) -> None:
    """Start or go on with a run, and end it."""
    with subprocess.Popen(
        command("run", config, "--resume"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as run:
        end = time.monotonic() + 300
        while not when():
            assert run.poll() is None, f"it ended before it was interrupted: {run.stdout and run.stdout.read()!r}"
            assert time.monotonic() < end
            time.sleep(0.02)
        time.sleep(wait)
        workers = children_of(run.pid)
        if how is signal.SIGKILL:
            run.send_signal(how)
        else:
            os.killpg(run.pid, how)
    assert run.returncode != 0
    wait_until_gone(workers)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for workers in /proc")
def test_a_run_interrupted_at_ten_random_moments_ends_with_the_summary_of_an_uninterrupted_one(
    tmp_path: Path, policy: Path
) -> None:
    configs = []
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
        problems = write_problems(tmp_path / "problems.jsonl")
        configs.append(write_config(tmp_path / name / "run.toml", policy, problems, parallel=2))
    whole, broken = configs
    done = exprl("run", whole)
    assert done.returncode == 0, done.stderr
    runs = [config.parent / "runs" / "tiny" for config in configs]
    total = rows_in(runs[0])

    draw = random.Random(7)
    shares = sorted(draw.uniform(0.0, 0.85) for _ in range(MOMENTS))
    ways = [signal.SIGINT, signal.SIGKILL] * (MOMENTS // 2)
    draw.shuffle(ways)
    reached = []
    for share, how in zip(shares, ways, strict=True):
        interrupt(broken, how, lambda share=share: rows_in(runs[1]) >= share * total, draw.uniform(0.0, 0.3))  # type: ignore[misc]
        reached.append(rows_in(runs[1]))
    print(f"rows at the interrupts, of {total}: {reached}")

    done = exprl("run", broken, "--resume")
    assert done.returncode == 0, done.stderr
    assert summary_of(broken) == summary_of(whole)
    assert rows_of(runs[1]) == rows_of(runs[0])
    for path in files_of(runs[0]):
        if path.name == "model.safetensors" and "final" in path.parts:
            assert (runs[1] / path.relative_to(runs[0])).read_bytes() == path.read_bytes()
