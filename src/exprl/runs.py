"""A run directory, and the configuration that it belongs to.

    runs/<name>/ config.json environment.json problems.jsonl filter.jsonl summary.json report.html lock
        judge.sqlite            what was asked of a judge model, and what it cost: the evaluator's side
        base/<set>/samples.jsonl
        arms/<arm>/seed-<s>/<stage>/ metrics.jsonl rollouts.jsonl verdicts.jsonl checkpoints/step-000100/ final/
                                     eval/<set>/samples.jsonl

A run directory belongs to one configuration. `RunDir.create` makes a new one, `RunDir.resume` continues one, and both
refuse a configuration that would compute something else, with the keys that differ; keys that only say how the work is
carried out (where the judge is served, how many workers) may change between the two.

    >>> run = RunDir.create("runs/demo", config)  # doctest: +SKIP
    >>> run.stage("process", 0, "stage1").metrics  # doctest: +SKIP
    PosixPath('runs/demo/arms/process/seed-0/stage1/metrics.jsonl')
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from exprl.config import JUDGE_EXECUTION, RunConfig
from exprl.disk.environment import environment
from exprl.disk.files import (
    JsonRow,
    append_jsonl,
    disk_room,
    iter_jsonl,
    read_json,
    read_jsonl,
    repair_jsonl,
    write_json,
    write_jsonl,
    write_text,
)
from exprl.disk.layout import SampleDir, Stage, StageDir, folder_name, is_done, mark_done
from exprl.disk.lock import RunLock
from exprl.errors import RunError

__all__ = [
    "RunDir",
    "RunLock",
    "SampleDir",
    "Stage",
    "StageDir",
    "append_jsonl",
    "disk_room",
    "environment",
    "is_done",
    "iter_jsonl",
    "mark_done",
    "read_json",
    "read_jsonl",
    "repair_jsonl",
    "write_json",
    "write_jsonl",
    "write_text",
]

# How the work is carried out, not what is computed: these may differ between the parts of one run.
_EXECUTION_KEYS = frozenset(
    {"output", "parallel", "unscored_limit", "tracker", "policy.threads", "policy.url", "verifier.workers"}
)
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class RunDir:
    """A run directory and the configuration that it belongs to. Use `create`, `open` or `resume`."""

    path: Path
    config: RunConfig

    @classmethod
    def create(cls, path: str | Path, config: RunConfig) -> Self:
        """Make a new run directory with config.json and environment.json.

        Raises:
            RunError: there is a run already (says which keys differ, or to use --resume), or files that are no run's.
        """
        path = Path(path)
        if (path / "config.json").exists():
            raise RunError(f"{path} exists already, {_comparison(cls.open(path).config, config)}")
        if path.exists() and not _as_good_as_empty(path):
            raise RunError(f"{path} exists and is no run directory; give the run another name or output")
        with disk_room(path):
            path.mkdir(parents=True, exist_ok=True)
            # The configuration comes last: without it the directory is as good as not made.
            write_json(path / "environment.json", environment())
            write_json(path / "config.json", config.model_dump(mode="json"))
        return cls(path, config)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a run directory, to read it or to go on with the configuration that it holds.

        Raises:
            RunError: no run directory, or a config.json that is damaged or of another version.
        """
        path = Path(path)
        if not (path / "config.json").is_file():
            raise RunError(f"{path} is not a run directory: it has no config.json; `exprl run CONFIG` makes one")
        stored = read_json(path / "config.json")
        try:
            return cls(path, RunConfig.model_validate(stored))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise RunError(
                f"{path / 'config.json'} is not a configuration of this version: {key}: {first['msg']}"
            ) from error

    @classmethod
    def resume(cls, path: str | Path, config: RunConfig) -> Self:
        """Go on with a run directory under a configuration that computes the same.

        Keys that only say how the work is carried out may have changed; config.json then follows them.

        Raises:
            RunError: no run directory, or a configuration that computes something else, with the keys that differ.
        """
        stored = cls.open(path).config
        differing = _differences(stored, config)
        if not all(map(_is_execution, differing)):
            raise RunError(f"{path} cannot be resumed: it exists {_comparison(stored, config)}")
        if differing:
            write_json(Path(path) / "config.json", config.model_dump(mode="json"))
        return cls(Path(path), config)

    def lock(self) -> RunLock:
        """Hold the directory while working in it: `with run.lock(): ...`."""
        return RunLock(self.path)

    @property
    def problems(self) -> Path:
        """The policy's side of all problems."""
        return self.path / "problems.jsonl"

    @property
    def filter(self) -> Path:
        """One row a candidate problem."""
        return self.path / "filter.jsonl"

    @property
    def judge(self) -> Path:
        """What was asked of a judge model, and what it cost: the evaluator's side. Made with the first call."""
        return self.path / "judge.sqlite"

    @property
    def summary(self) -> Path:
        """The numbers of the report."""
        return self.path / "summary.json"

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report.html"

    def base(self, name: str) -> SampleDir:
        """The base policy on an evaluation set (or `hard_train`)."""
        return SampleDir(self.path / "base" / folder_name(name))

    def stage(self, arm: str, seed: int, stage: Stage) -> StageDir:
        """One stage of one arm and seed."""
        return StageDir(self.path / "arms" / folder_name(arm) / f"seed-{seed}" / stage)


def _as_good_as_empty(path: Path) -> bool:
    """Nothing there but what `create` leaves when it is killed on its way."""
    return path.is_dir() and all(
        entry.name in {"lock", "environment.json"} or entry.suffix == ".tmp" for entry in path.iterdir()
    )


def _comparison(stored: RunConfig, asked: RunConfig) -> str:
    differing = _differences(stored, asked)
    if not differing:
        return "with the same configuration; add --resume to continue it, or give the run another name"
    shown = "; ".join(f"{key}: {old} there, {new} now" for key, (old, new) in list(differing.items())[:8])
    more = f"; and {len(differing) - 8} more" if len(differing) > 8 else ""
    return f"with another configuration ({shown}{more}); give the run another name, or --resume with the one it has"


def _differences(stored: RunConfig, asked: RunConfig) -> dict[str, tuple[str, str]]:
    """Dotted key -> (stored value, asked value), as short text."""
    return _tree_differences(stored.model_dump(mode="json"), asked.model_dump(mode="json"), "")


def _tree_differences(old: JsonRow, new: JsonRow, prefix: str) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for key in {**old, **new}:
        one, other = old.get(key, _ABSENT), new.get(key, _ABSENT)
        # Two tables are compared key by key, unless they are of two kinds: then that is the difference.
        if isinstance(one, dict) and isinstance(other, dict) and one.get("type") == other.get("type"):
            found |= _tree_differences(one, other, f"{prefix}{key}.")
        elif one != other:
            found[prefix + key] = (_short(one), _short(other))
    return found


def _short(value: object) -> str:
    if isinstance(value, dict):
        return f"a table of type {value['type']}" if "type" in value else "a table"
    text = "nothing" if value is _ABSENT else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _is_execution(key: str) -> bool:
    """Whether a key says how work is done and not what is computed: also `monitor`, `cluster`, and a judge's calls."""
    part, _, leaf = key.rpartition(".")
    judge = part.split(".")[0] == "judge" and leaf in JUDGE_EXECUTION
    return key in _EXECUTION_KEYS or key.startswith(("monitor.", "cluster.")) or judge
