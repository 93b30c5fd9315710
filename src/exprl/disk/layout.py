"""The files inside a run directory: one stage of an arm, one set of evaluation samples, marks of finished work.

    <stage>/ metrics.jsonl rollouts.jsonl verdicts.jsonl alarms.jsonl checkpoints/step-000100/ final/
             eval/<set>/samples.jsonl

Finished work carries a mark, `DONE.json` (for a file, `filter.DONE.json`), written last and whole; what has none is
done again or continued.

    >>> StageDir(Path("stage1")).evaluation("held_out").samples
    PosixPath('stage1/eval/held_out/samples.jsonl')
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from exprl.disk.files import write_json
from exprl.errors import RunError

__all__ = ["SampleDir", "Stage", "StageDir", "folder_name", "is_done", "mark_done"]

Stage = Literal["stage1", "stage2"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class SampleDir:
    """Evaluation samples of one policy on one set."""

    path: Path

    @property
    def samples(self) -> Path:
        """One row a sample."""
        return self.path / "samples.jsonl"


@dataclass(frozen=True, slots=True)
class StageDir:
    """One stage of one arm and seed."""

    path: Path

    @property
    def metrics(self) -> Path:
        """One row a training step."""
        return self.path / "metrics.jsonl"

    @property
    def rollouts(self) -> Path:
        """One row a training rollout."""
        return self.path / "rollouts.jsonl"

    @property
    def verdicts(self) -> Path:
        """One row a judge's verdict: the evaluator's side, may quote references."""
        return self.path / "verdicts.jsonl"

    @property
    def alarms(self) -> Path:
        """One row an alarm and step; none where there was no alarm."""
        return self.path / "alarms.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def final(self) -> Path:
        """The policy at the end of the stage, in a checkpoint's form."""
        return self.path / "final"

    def evaluation(self, name: str) -> SampleDir:
        """The stage's policy on an evaluation set (or `hard_train`)."""
        return SampleDir(self.path / "eval" / folder_name(name))


def is_done(path: Path) -> bool:
    """Whether a folder, or a `.jsonl` file at the top (`filter.jsonl`), carries the mark of finished work."""
    return _mark(path).exists()


def mark_done(path: Path, **facts: str | int | float | None) -> None:
    """Mark a folder or `.jsonl` file as finished, with a few facts for people; written last and atomically."""
    write_json(_mark(path), facts)


def _mark(path: Path) -> Path:
    return path.with_suffix(".DONE.json") if path.suffix == ".jsonl" else path / "DONE.json"


def folder_name(name: str) -> str:
    """A name from a configuration that is safe as one folder's; anything else is a `RunError`."""
    if not _NAME.fullmatch(name):
        raise RunError(f"{name!r} cannot be a folder's name; use letters, digits, '.', '_' and '-'")
    return name
