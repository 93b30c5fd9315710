"""Progress for a person: rates and time left on a terminal, one line a finished piece elsewhere.

Workers report nothing; what they have done, and what a judge model has cost so far, is read off the run directory's own
files, so a resumed run shows where it is.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from exprl.config import MilestoneJudgeConfig, RunConfig, SftConfig
from exprl.judge.store.ledger import Ledger, Prices
from exprl.pipeline.context import TRAIN_SET, stage_method
from exprl.pipeline.jobs import Job, evaluation_sets
from exprl.runs import RunDir

__all__ = ["RunProgress"]


class RunProgress:
    """Shows the jobs of a run. Use as a context manager around the work."""

    def __init__(self, run: RunDir, console: Console, set_sizes: dict[str, int]) -> None:
        self._run = run
        self._console = console
        self._sizes = set_sizes
        self._live = console.is_terminal and not console.quiet
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not self._live,
        )
        self._jobs: dict[Job, tuple[TaskID, float, int]] = {}
        # No prices: every charge was written with the price of its judge.
        self._ledger = Ledger.open(run.judge, prices=Prices(), limit=None)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()
        if spent := self._spent():
            self._console.print(f"judge: {spent}", highlight=False)
        self._ledger.close()

    def start(self, job: Job) -> None:
        """A job begins, or goes on."""
        done = self._lines(job)
        task = self._bars.add_task(str(job), total=self._total(job), completed=done, note="")
        self._jobs[job] = (task, time.perf_counter(), done)

    def tick(self) -> None:
        """Look at the files of the running jobs; cheap, and a no-op without a terminal."""
        if not self._live:
            return
        spent = self._spent()
        for job, (task, started, before) in self._jobs.items():
            done = self._lines(job)
            rate = (done - before) / (time.perf_counter() - started)
            left = (self._total(job) - done) / rate if rate > 0 else float("inf")
            ahead = f"{left / 60:.0f} min left" if left < 360_000 else ""
            self._bars.update(task, completed=done, note=f"{self._note(job)} {ahead} {spent}".strip())

    def done(self, job: Job) -> None:
        """A job is done."""
        task, started, _ = self._jobs.pop(job)
        self._bars.remove_task(task)
        self._console.print(
            f"{job}: done in {time.perf_counter() - started:.0f} s{self._closing(job)}", highlight=False
        )

    def _spent(self) -> str:
        """What a judge model has cost; "" where there is none, or nothing was asked yet."""
        if isinstance(self._run.config.judge, MilestoneJudgeConfig) or not self._run.judge.exists():
            return ""
        return str(self._ledger.spent())

    def _folder(self, job: Job) -> Path:
        if job.kind == "base":
            return self._run.path / "base"
        return self._run.stage(job.arm, job.seed, job.stage).path

    def _total(self, job: Job) -> int:
        config: RunConfig = self._run.config
        samples = sum(self._sizes[name] for name in evaluation_sets(config)) * config.evaluate.n
        if job.kind == "base":
            return samples
        settings = stage_method(config, job.arm, job.stage)
        return settings.updates(self._sizes[TRAIN_SET]) if isinstance(settings, SftConfig) else settings.steps

    def _lines(self, job: Job) -> int:
        folder = self._folder(job)
        files = folder.glob("*/samples.jsonl") if job.kind == "base" else [folder / "metrics.jsonl"]
        return sum(path.read_bytes().count(b"\n") for path in files if path.exists())

    def _note(self, job: Job) -> str:
        row = _last_row(self._folder(job) / "metrics.jsonl")
        if not row or row.get("reward") is None:
            return f"loss {row['loss']:.3f}" if row and row.get("loss") is not None else ""
        return f"reward {row['reward']:.3f}, unlocked {row['unlocked']:.0%}"

    def _closing(self, job: Job) -> str:
        note = self._note(job) if job.kind == "train" else ""
        return f"; last step: {note}" if note else ""


def _last_row(path: Path) -> dict[str, float] | None:
    """The last complete row of a metrics file, from its last 8 kB."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8192))
        lines = file.read().splitlines(keepends=True)
    complete = [line for line in lines[-2:] if line.endswith(b"\n")]
    try:
        row: dict[str, float] = json.loads(complete[-1]) if complete else {}
    except ValueError:
        return None
    return row or None
