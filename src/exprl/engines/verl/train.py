"""One stage of one arm on a cluster: verl started, watched and recorded, from a policy's path to a final checkpoint.

    verl-dataset.jsonl          what verl reads
    verl-<attempt>.log, .jsonl  its own words and numbers
    parts/                      what the workers wrote of each rollout     (evaluator's side; gone when the stage is done)
    verl/global_step_100/       its checkpoints, which it resumes from
    metrics, rollouts, verdicts, alarms  .jsonl, and final/: as the engine on one machine leaves them

verl runs in a process of its own, which ends with this one. When it has logged a step, that step's parts become rows of the
run directory. A stage that was killed goes on from verl's newest checkpoint; rows after it are dropped, as they are made anew.
The last checkpoint holds the policy in safetensors as well (verl's `hf_model`), and that becomes `final/`.

Unlike on one machine, an alarm of the monitor that stops a run stops it after the update of its step, since verl's numbers come
after it; the limit of unscored rollouts is the estimator's and stops before.

What it refuses: what `exprl.engines.verl.compose` does, and to call a stage finished whose policy was not written.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from exprl.config import ClusterConfig, RunConfig
from exprl.engines.trl.checkpoint import check_policy_path, load_tokenizer
from exprl.engines.trl.ledger import Ledger, Row
from exprl.engines.trl.saving import place_checkpoint
from exprl.engines.verl.compose import Paths, Value, overrides
from exprl.engines.verl.credit import Sampling
from exprl.engines.verl.dataset import write_dataset
from exprl.engines.verl.record import Attempt, read_step, step_of
from exprl.engines.verl.registration import CPU
from exprl.errors import EngineError, MonitorStopError
from exprl.monitor import watch
from exprl.runs import read_jsonl
from exprl.types import Problem

__all__ = ["ClusterStage", "check_command", "environment", "train_cluster_stage", "verl_log"]

_EVERY = 2.0
_ERROR = re.compile(r"\b[A-Za-z.]*Error\b|^error:")


@dataclass(frozen=True, slots=True)
class ClusterStage:
    """What to train: the run's settings, a policy, by what method, on which problems, into which folder."""

    config: RunConfig
    policy: str
    method: Sampling
    problems: Sequence[Problem]
    folder: Path
    seed: int
    place: Mapping[str, Value]


def train_cluster_stage(stage: ClusterStage, *, on_step: Callable[[Row], None] = lambda row: None) -> Path:
    """Train one stage under verl, or go on with it, and return the folder of the final checkpoint.

    Raises:
        EngineError: verl is not installed, or ended in an error (names its log).
        MonitorStopError: an alarm of the monitor stops the stage, which can be resumed.
        ConfigError, DataError, CheckpointError: see `compose`, `dataset` and `check_policy_path`.
    """
    final = stage.folder / "final"
    if final.exists():
        return final
    check_policy_path(stage.policy)
    _written(stage)
    _run(stage, on_step)
    _take_policy(stage, final)
    shutil.rmtree(stage.folder / "parts", ignore_errors=True)
    return final


def check_command(said: Sequence[str]) -> list[str]:
    """The command by which verl composes and validates a configuration, without a GPU."""
    return [sys.executable, "-m", "exprl.engines.verl.main", "--check", *said]


def environment(cluster: ClusterConfig) -> dict[str, str]:
    """Variables that verl's process needs beside those of this one."""
    return {"VERL_PLATFORM": CPU} if cluster.rollout == "cpu" else {}


def _written(stage: ClusterStage) -> None:
    stage.folder.mkdir(parents=True, exist_ok=True)
    write_dataset(
        stage.folder / "verl-dataset.jsonl",
        stage.problems,
        stage.method,
        stage.config.prompt,
        load_tokenizer(stage.policy),
        chat=stage.config.policy.chat,
        seed=stage.seed,
    )


def _run(stage: ClusterStage, on_step: Callable[[Row], None]) -> None:
    attempt = Attempt(uuid4().hex[:8], (stage.folder / "parts").resolve())
    log = stage.folder / f"verl-{attempt.name}.log"
    watcher = _Watcher(stage, attempt, on_step)
    watcher.catch_up()
    command = [sys.executable, "-m", "exprl.engines.verl.main", "--parent", str(os.getpid()), *_said(stage, attempt)]
    surroundings = {**os.environ, **environment(stage.config.cluster)}
    with (
        log.open("wb") as out,
        subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=surroundings) as process,
    ):
        try:
            while process.poll() is None:
                watcher.look()
                time.sleep(_EVERY)
            watcher.look()
        finally:
            if process.poll() is None:
                process.terminate()
    if process.returncode:
        raise EngineError(f"verl ended with code {process.returncode}: {_last_error(log)} (all of it: {log})")


def _said(stage: ClusterStage, attempt: Attempt) -> list[str]:
    folder = stage.folder.resolve()
    paths = Paths(
        str(Path(stage.policy).resolve()) if Path(stage.policy).exists() else stage.policy,
        folder / "verl-dataset.jsonl",
        folder / "verl",
        verl_log(folder, attempt),
    )
    place = {**stage.place, "attempt": attempt.name, "policy": paths.policy}
    return overrides(stage.config, stage.method, paths, place, seed=stage.seed, steps=stage.method.steps)


def verl_log(folder: Path, attempt: Attempt) -> Path:
    """verl's own numbers of an attempt, one line a step."""
    return folder / f"verl-{attempt.name}.jsonl"


def _saved_step(folder: Path) -> int:
    file = folder / "verl" / "latest_checkpointed_iteration.txt"
    return int(file.read_text("utf-8")) if file.is_file() else 0


def _last_error(log: Path) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if _ERROR.search(line)]
    return lines[-1][-400:] if lines else "no error in its log"


def _take_policy(stage: ClusterStage, final: Path) -> None:
    written = stage.folder / "verl" / f"global_step_{stage.method.steps}" / "actor" / "huggingface"
    if not sorted(written.glob("*.safetensors")):
        raise EngineError(
            f"{written} holds no *.safetensors: verl ended without the policy of step {stage.method.steps}"
        )
    aside = final.with_name(".final")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(written, aside)
    check_policy_path(str(aside))
    place_checkpoint(aside, final)


class _Watcher:
    """Turns what verl logs, and what the workers wrote, into the run directory's rows."""

    def __init__(self, stage: ClusterStage, attempt: Attempt, on_step: Callable[[Row], None]) -> None:
        self._stage, self._attempt, self._on_step = stage, attempt, on_step
        self._problems = {problem.id: problem for problem in stage.problems}
        self._ledger = Ledger(stage.folder, len(self._problems))
        self._done = _saved_step(stage.folder)
        self._ledger.rewind(self._done, _unlocked(stage.folder, self._done))

    def catch_up(self) -> None:
        """Write the steps that an earlier attempt saved and was killed before they were written here."""
        file = self._stage.folder / "metrics.jsonl"
        written = {int(str(row["step"])) for row in read_jsonl(file)}
        for step in sorted(set(range(1, self._done + 1)) - written):
            logs = sorted(self._stage.folder.resolve().glob("verl-*.log"), key=lambda log: log.stat().st_mtime)
            names = [log.stem.removeprefix("verl-") for log in reversed(logs)]
            attempts = [Attempt(name, self._attempt.parts) for name in names]
            for attempt in attempts:
                if read_step(attempt, step):
                    self._write(step, self._logged(attempt).get(step, {}), attempt)
                    break

    def look(self) -> None:
        """Write the steps that verl has finished since the last look."""
        for step, numbers in sorted(self._logged(self._attempt).items()):
            if step > self._done:
                self._write(step, numbers, self._attempt)
                self._done = step

    def _logged(self, attempt: Attempt) -> dict[int, dict[str, object]]:
        file = verl_log(self._stage.folder.resolve(), attempt)
        lines = read_jsonl(file) if file.exists() else []
        return {int(str(line["step"])): line["data"] for line in lines if isinstance(line["data"], dict)}

    def _write(self, step: int, numbers: Mapping[str, object], attempt: Attempt) -> None:
        config, ledger = self._stage.config, self._ledger
        batch, credits = step_of(step, read_step(attempt, step), self._problems, self._stage.method)
        watched = watch(ledger.history, step, batch, credits, config.monitor, marker=config.segments.marker)
        ledger.record(step, batch, credits, watched)
        self._on_step(ledger.commit(step, _numbers(numbers), _number(numbers, "timing_s/step") or 0.0))
        for alarm in watched.alarms:
            if alarm.level == "stop":
                raise MonitorStopError(
                    f"step {step}: alarm {alarm.name}: {alarm.words}: {alarm.value:.3g} (stop at {alarm.threshold:g}). "
                    "verl is stopped; look at the rollouts and at the judge, then run the same command with --resume"
                )


def _unlocked(folder: Path, step: int) -> list[str]:
    file = folder / "rollouts.jsonl"
    rows = read_jsonl(file) if file.exists() else []
    return sorted({str(r["question_id"]) for r in rows if r["correct"] == 1.0 and int(str(r["step"])) <= step})


def _numbers(said: Mapping[str, object]) -> dict[str, float]:
    """verl's names for what the ledger writes; the loss is that of the policy without KL and entropy."""
    names = {
        "loss": "actor/pg_loss",
        "entropy": "actor/entropy",
        "kl": "actor/kl_loss",
        "grad_norm": "actor/grad_norm",
        "clip_ratio/region_mean": "actor/pg_clipfrac",
    }
    found = {ours: _number(said, theirs) for ours, theirs in names.items()}
    return {name: value for name, value in found.items() if value is not None}


def _number(said: Mapping[str, object], name: str) -> float | None:
    value = said.get(name)
    return float(value) if isinstance(value, int | float) else None
