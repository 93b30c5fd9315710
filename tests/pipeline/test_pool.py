"""Jobs run in worker processes, in the order of their chains; errors and deaths are told apart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exprl.errors import DataError, RunError
from exprl.pipeline import pool
from exprl.pipeline.jobs import Job
from exprl.pipeline.pool import run_jobs

# Stand-ins for `run_job`. A worker imports them by name, and leaves a line for each start and end in the run's folder.


def note(job: Job, what: str) -> None:
    with (job.run / "notes").open("a") as file:
        file.write(f"{what} {job.arm} {job.stage}\n")


def work(job: Job) -> Job:
    note(job, "start")
    time.sleep(0.1)
    note(job, "end")
    return job


def fail_at_a(job: Job) -> Job:
    note(job, "start")
    if job.arm == "a":
        raise DataError("the data of a are damaged")
    time.sleep(0.5)
    note(job, "end")
    return job


def die(job: Job) -> Job:
    os.kill(os.getpid(), signal.SIGKILL)
    return job


def sleep_long(job: Job) -> Job:
    note(job, "start")
    time.sleep(300)
    return job


@dataclass
class Seen:
    """What the parent is told."""

    started: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    ticks: int = 0

    def run(self, chains: list[list[Job]], parallel: int) -> None:
        def tick() -> None:
            self.ticks += 1

        run_jobs(
            chains,
            parallel,
            on_start=lambda job: self.started.append(f"{job.arm} {job.stage}"),
            on_tick=tick,
            on_done=lambda job: self.done.append(f"{job.arm} {job.stage}"),
        )


def chain(folder: Path, arm: str) -> list[Job]:
    return [Job(folder, "train", arm, 0, "stage1"), Job(folder, "train", arm, 0, "stage2")]


def use(monkeypatch: pytest.MonkeyPatch, stand_in: Callable[[Job], Job]) -> Seen:
    monkeypatch.setattr(pool, "run_job", stand_in)
    return Seen()


def test_chains_run_side_by_side_and_each_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = use(monkeypatch, work)
    seen.run([chain(tmp_path, "a"), [], chain(tmp_path, "b"), chain(tmp_path, "c")], parallel=2)
    assert sorted(seen.done) == sorted(seen.started) == [f"{arm} stage{i}" for arm in "abc" for i in (1, 2)]
    assert seen.ticks >= 1
    notes = (tmp_path / "notes").read_text().splitlines()
    for arm in "abc":
        assert notes.index(f"end {arm} stage1") < notes.index(f"start {arm} stage2")
    # First jobs of all chains come before any second one, and no more than two run at a time.
    assert seen.started.index("c stage1") < min(seen.started.index(f"{arm} stage2") for arm in "abc")
    running = most = 0
    for line in notes:
        running += 1 if line.startswith("start") else -1
        most = max(most, running)
    assert most <= 2


def test_nothing_to_do_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = use(monkeypatch, work)
    seen.run([[], []], parallel=2)
    assert (seen.started, seen.ticks) == ([], 0)


def test_an_error_lets_running_jobs_finish_and_starts_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = use(monkeypatch, fail_at_a)
    with pytest.raises(DataError, match="the data of a are damaged"):
        seen.run([chain(tmp_path, "a"), chain(tmp_path, "b"), chain(tmp_path, "c")], parallel=2)
    assert "end b stage1" in (tmp_path / "notes").read_text()
    assert "b stage1" in seen.done
    assert not any("stage2" in job for job in seen.done)
    assert "a stage2" not in seen.started


def test_a_worker_that_is_killed_ends_the_run_with_a_way_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = use(monkeypatch, die)
    with pytest.raises(RunError, match=r"a worker process was killed .*--resume"):
        seen.run([chain(tmp_path, "a"), chain(tmp_path, "b")], parallel=1)
    assert seen.done == []


def test_an_interrupt_does_not_wait_for_the_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, sleep_long)

    def interrupt() -> None:
        if (tmp_path / "notes").exists():
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_jobs([chain(tmp_path, "a")], 1, on_start=lambda job: None, on_tick=interrupt, on_done=lambda job: None)
    assert time.monotonic() - began < 200


ORPHAN = """
import os, subprocess, sys, time
worker = (
    "import os, time; from exprl.pipeline.parent import watch_parent; watch_parent(os.getppid()); "
    "print('watching', flush=True); time.sleep(300)"
)
child = subprocess.Popen([sys.executable, "-c", worker])
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_worker_ends_when_its_parent_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline()) > 0
        assert parent.stdout.readline() == "watching\n"
        began = time.monotonic()
        parent.kill()
        # The worker holds the other end of the pipe: it closes when the worker ends, long before it would by itself.
        assert parent.stdout.read() == ""
        assert time.monotonic() - began < 200


def test_a_worker_whose_parent_was_gone_before_it_began_to_watch_ends_as_well() -> None:
    """As when a run is killed while its workers are still starting: they have another parent by then."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    code = f"import time; from exprl.pipeline.parent import watch_parent; watch_parent({gone.pid}); time.sleep(300)"
    began = time.monotonic()
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 1
    assert time.monotonic() - began < 200
