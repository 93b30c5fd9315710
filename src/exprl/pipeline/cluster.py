"""A run on a cluster: what a worker of verl opens of its run directory, and the stage that is trained there.

A worker is told where it is (`Place`), not what it needs: it opens the run's own configuration and the problems' source, so
that nothing privileged is sent to it. Its verdicts are kept in a store of its own, since SQLite does not stand two machines
on one file, and it takes its share of the judge's concurrency and cost limit.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from exprl.baselines.served_teacher import ServedTeacher
from exprl.baselines.targets import LocalTeacher, TeacherTargets
from exprl.baselines.teacher import Teacher, teacher_prompts
from exprl.config import (
    JudgeConfig,
    LLMJudgeConfig,
    MethodConfig,
    OutcomeConfig,
    PanelJudgeConfig,
    ProcessConfig,
    RunConfig,
    SelfDistillConfig,
    SftConfig,
)
from exprl.engines.trl.checkpoint import load_tokenizer
from exprl.engines.trl.ledger import Row
from exprl.engines.verl.compose import Paths, Value, overrides
from exprl.engines.verl.credit import Sampling
from exprl.engines.verl.record import Attempt, PartWriter
from exprl.engines.verl.room import Room, end_ids
from exprl.engines.verl.train import ClusterStage, check_command, environment, train_cluster_stage
from exprl.errors import ConfigError, EngineError
from exprl.judge import build_judge
from exprl.methods import Method, build_method, needs_judge
from exprl.pipeline.context import TRAIN_SET, kept_sets, load_sets, open_verifier, stage_method
from exprl.runs import RunDir, StageDir
from exprl.types import Problem

__all__ = ["Place", "check_cluster", "open_room", "refuse_unrunnable", "sampling", "train_on_cluster"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker is: the run's folder, and the stage of which arm and seed, in which attempt, from which policy."""

    run: str
    arm: str
    seed: int
    stage: Literal["stage1", "stage2"]
    attempt: str
    policy: str


@lru_cache(maxsize=1)
def open_room(place: Place) -> Room:
    """The room of this process.

    Raises:
        EngineError: the run's folder is not there: the nodes share no file system.
        ExprlError: whatever of the run's configuration cannot be opened here.
    """
    from exprl.tokens import TokenMap

    if not Path(place.run).is_dir():
        raise EngineError(
            f"{place.run} is not there on {socket.gethostname()}; the run's output folder must be one that all nodes share"
        )
    run = RunDir.open(place.run)
    config, folder = run.config, run.stage(place.arm, place.seed, place.stage)
    settings = sampling(stage_method(config, place.arm, place.stage))
    store = folder.path / "judging" / f"{socket.gethostname()}-{os.getpid()}"
    store.mkdir(parents=True, exist_ok=True)
    tokenizer = load_tokenizer(place.policy)
    problems = kept_sets(run, load_sets(config, leave_out=config.data.evaluate))[TRAIN_SET]
    method, close = _method(config, settings, place, problems, tokenizer, store)
    attempt = Attempt(place.attempt, folder.path / "parts")
    dense = isinstance(settings, OutcomeConfig | ProcessConfig) and settings.execution == "share"
    return Room(
        problems,
        settings,
        method,
        open_verifier(config, store=store, dense=dense),
        tokenizer,
        TokenMap.from_tokenizer(tokenizer),
        config.prompt,
        config.policy,
        attempt=attempt,
        ends=end_ids(place.policy, tokenizer.eos_token_id),
        write=PartWriter(attempt),
        on_close=close,
    )


def sampling(settings: MethodConfig) -> Sampling:
    """Settings of a method that verl runs.

    Raises:
        ConfigError: SFT, which samples nothing.
    """
    if isinstance(settings, SftConfig):
        raise ConfigError(
            "the method 'sft' samples nothing and is trained on one machine: run this arm with engine = 'trl'"
        )
    return settings


def _method(
    config: RunConfig, settings: Sampling, place: Place, problems: Sequence[Problem], tokenizer: Any, store: Path
) -> tuple[Method, Callable[[], Coroutine[Any, Any, None]] | None]:
    """What gives credit in this process, and how to let go of it."""
    if isinstance(settings, SelfDistillConfig):
        teacher = _teacher(config, settings, place.policy, problems, tokenizer)
        return TeacherTargets(teacher), teacher.aclose
    judge = build_judge(_share(config.judge, config.cluster.workers), store=store) if needs_judge(settings) else None
    return build_method(settings, judge, config.segments), None if judge is None else judge.aclose


def _teacher(
    config: RunConfig, settings: SelfDistillConfig, start: str, problems: Sequence[Problem], tokenizer: Any
) -> ServedTeacher | LocalTeacher:
    """`start` are the initial weights: a stage's policy before its first update."""
    server = config.cluster.teacher
    if server is None:
        return LocalTeacher(Teacher(start, problems, settings, config.policy, config.prompt, tokenizer))
    prompts = teacher_prompts(start, problems, settings, config.policy, config.prompt, tokenizer)
    return ServedTeacher(server, prompts, settings.temperature, config.policy.model)


def train_on_cluster(
    run: RunDir,
    place: tuple[str, int, Literal["stage1", "stage2"]],
    settings: MethodConfig,
    start: str,
    folder: StageDir,
    problems: Sequence[Problem],
    on_step: Callable[[Row], None],
) -> Path:
    """The final checkpoint of a stage: made under verl, gone on with, or there already.

    Raises:
        ConfigError: a method that verl does not run.
        DataError: a problem whose teacher's prompt cannot be made.
        EngineError: see `train_cluster_stage`.
    """
    _refuse_missing()
    if isinstance(settings, SelfDistillConfig):  # here, before Ray is started, as well as in every worker
        teacher_prompts(start, problems, settings, run.config.policy, run.config.prompt, load_tokenizer(start))
    arm, seed, stage = place
    said: dict[str, Value] = {"run": str(run.path.resolve()), "arm": arm, "seed": seed, "stage": stage}
    return train_cluster_stage(
        ClusterStage(run.config, start, sampling(settings), problems, folder.path, seed, said), on_step=on_step
    )


def refuse_unrunnable(config: RunConfig, arms: Sequence[str] = ()) -> None:
    """Refuse, before anything is spent, arms that verl cannot run as configured; SFT is trained on one machine anyway.

    Raises:
        EngineError: verl is not installed.
        ConfigError: a method that verl does not run, or GPUs that do not divide an update.
    """
    _refuse_missing()
    chosen = {arm: config.arms[arm] for arm in arms or config.arms}
    stages = {**chosen, **({"stage2": config.stage2} if config.stage2 is not None else {})}
    for name, settings in stages.items():
        if not isinstance(settings, SftConfig):
            _composed(config, name, settings, "stage1")


def check_cluster(config: RunConfig, stage: Literal["stage1", "stage2"], arms: Sequence[str]) -> list[str]:
    """Compose a stage of these arms for verl and have verl validate it; a line for each that says what was done.

    Raises:
        ConfigError: the GPUs do not divide an update.
        EngineError: verl refuses it.
    """
    lines = []
    for arm in arms:
        settings = config.arms[arm] if stage == "stage1" else config.stage2
        if settings is not None and not isinstance(settings, SftConfig):
            said = _composed(config, arm, settings, stage)
            done = _validated(arm, said, environment(config.cluster))
            lines.append(f"{arm}: {len(said)} overrides composed; {done}")
        else:
            lines.append(f"{arm}: not for verl; train it with engine = 'trl'")
    return lines


def _composed(config: RunConfig, arm: str, method: Sampling, stage: str) -> list[str]:
    folder = Path(config.output).resolve() / config.name
    paths = Paths(config.policy.model, folder / "dataset", folder / "verl", folder / "log")
    place: dict[str, Value] = {"run": str(folder), "arm": arm, "seed": 0, "stage": stage}
    place |= {"attempt": "check", "policy": paths.policy}
    return overrides(config, method, paths, place, seed=0, steps=method.steps)


def _validated(arm: str, said: Sequence[str], variables: dict[str, str]) -> str:
    if find_spec("verl") is None:
        return "not validated: verl is not installed here (pip install 'exprl[verl]')"
    done = subprocess.run(check_command(said), capture_output=True, text=True, env={**os.environ, **variables})
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise EngineError(f"{arm}: {lines[-1].removeprefix('error: ') if lines else 'verl gave no reason'}")
    return "validated by verl, plug-in registered"


def _refuse_missing() -> None:
    if find_spec("verl") is None:
        raise EngineError("engine = 'verl' needs the verl extra: pip install 'exprl[verl]'")


def _share(judge: JudgeConfig, workers: int) -> JudgeConfig:
    """One worker's part of what the judge may be asked at once, and of what it may cost."""
    if isinstance(judge, PanelJudgeConfig):
        members = {
            name: member.model_copy(update={"judge": _share(member.judge, workers)})
            for name, member in judge.members.items()
        }
        return judge.model_copy(update={"members": members})
    if not isinstance(judge, LLMJudgeConfig):
        return judge
    limit = None if judge.cost_limit is None else judge.cost_limit / workers
    return judge.model_copy(update={"concurrency": max(1, judge.concurrency // workers), "cost_limit": limit})
