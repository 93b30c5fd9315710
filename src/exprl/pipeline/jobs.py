"""Units of work that a process can do by itself, from the run directory alone.

    base      the base policy on every evaluation set
    train     one stage of one arm and seed, then its evaluation

A job reads what it needs from the run's directory and leaves a mark when it is done, so a killed job starts again where
its files end. Jobs of different arms run side by side in worker processes; each holds its own model, judge and verifier.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from exprl.baselines import SftStage, open_self_distillation, train_sft
from exprl.config import (
    OutcomeConfig,
    ProcessConfig,
    RunConfig,
    SelfDistillConfig,
    SftConfig,
)
from exprl.engines.trl.train import Stage, train_stage
from exprl.evaluate.sample import count_correct, derive_seed
from exprl.judge import build_judge
from exprl.methods import Method, build_method, needs_judge
from exprl.pipeline.context import TRAIN_SET, kept_sets, open_sampler, open_verifier, policy_path, stage_method
from exprl.runs import RunDir, StageDir, is_done, mark_done
from exprl.trackers import Mirror, open_mirror
from exprl.types import Problem
from exprl.verify import Verifier

__all__ = ["Job", "base_policy", "evaluation_sets", "run_job"]


@dataclass(frozen=True, slots=True)
class Job:
    """One unit of work in the run directory `run`; a `base` job has no arm."""

    run: Path
    kind: Literal["base", "train"]
    arm: str = "base"
    seed: int = 0
    stage: Literal["stage1", "stage2"] = "stage1"

    def __str__(self) -> str:
        if self.kind == "base":
            return "base, evaluation"
        return f"{self.arm}, seed {self.seed}, {'Stage I' if self.stage == 'stage1' else 'Stage II'}"


def run_job(job: Job) -> Job:
    """Do one unit of work to its end; returns the job, for the pool."""
    run = RunDir.open(job.run)
    sets = kept_sets(run)
    verifier = open_verifier(run.config, store=run.path, dense=_wants_shares(run.config, job))
    try:
        if job.kind == "base":
            base = base_policy(run.config)
            _evaluate(run, run.path / "base", base, sets, verifier, seed=run.config.seeds[0], base=True)
            mark_done(run.path / "base")
        else:
            _train(run, job, sets, verifier)
    finally:
        verifier.close()
    return job


def base_policy(config: RunConfig) -> str:
    """The path or Hub id of the policy before training."""
    return policy_path(config.policy.model)


def evaluation_sets(config: RunConfig) -> list[str]:
    """Names of the sets that policies are evaluated on, in the report's order."""
    return [*([TRAIN_SET] if config.evaluate.train_problems else []), *config.data.evaluate]


def _wants_shares(config: RunConfig, job: Job) -> bool:
    """Whether a job's rewards are shares of tests passed, so that none may be left out once one has failed."""
    method = stage_method(config, job.arm, job.stage) if job.kind == "train" else None
    return isinstance(method, OutcomeConfig | ProcessConfig) and method.execution == "share"


def _train(run: RunDir, job: Job, sets: dict[str, list[Problem]], verifier: Verifier) -> None:
    folder = run.stage(job.arm, job.seed, job.stage)
    started = time.perf_counter()
    mirror = open_mirror(run.config.tracker, run.config.name, f"{job.arm}/seed-{job.seed}/{job.stage}", folder.path)
    try:
        final = _trained(run, job, folder, sets[TRAIN_SET], verifier, mirror)
    finally:
        mirror.close()
    _evaluate(run, folder.path / "eval", str(final), sets, verifier, seed=job.seed, base=False)
    mark_done(folder.path, seconds=round(time.perf_counter() - started, 1))


def _trained(
    run: RunDir, job: Job, folder: StageDir, problems: list[Problem], verifier: Verifier, mirror: Mirror
) -> Path:
    """The final checkpoint of a job's stage: made, gone on with, or there already."""
    config, settings = run.config, stage_method(run.config, job.arm, job.stage)
    start = base_policy(config) if job.stage == "stage1" else str(run.stage(job.arm, job.seed, "stage1").final)
    if isinstance(settings, SftConfig):
        stage = SftStage(start, settings, problems, folder.path, job.seed)
        return train_sft(stage, config.policy, config.prompt, on_step=mirror)
    if config.engine == "verl":
        from exprl.pipeline.cluster import train_on_cluster

        place = (job.arm, job.seed, job.stage)
        return train_on_cluster(run, place, settings, start, folder, problems, on_step=mirror)
    judge = build_judge(config.judge, store=run.path) if needs_judge(settings) else None
    method: Method = (
        open_self_distillation(settings, start, problems, config.policy, config.prompt)
        if isinstance(settings, SelfDistillConfig)
        else build_method(settings, judge, config.segments)
    )
    return train_stage(
        Stage(
            start,
            settings,
            problems,
            folder.path,
            job.seed,
            config.unscored_limit,
            monitor=config.monitor,
            marker=config.segments.marker,
        ),
        method,
        verifier,
        config.policy,
        config.prompt,
        on_step=mirror,
        on_end=None if judge is None else judge.aclose,
    )


def _evaluate(
    run: RunDir,
    folder: Path,
    policy: str,
    sets: dict[str, list[Problem]],
    verifier: Verifier,
    *,
    seed: int,
    base: bool,
) -> None:
    settings = run.config.evaluate
    names: Sequence[str] = [name for name in evaluation_sets(run.config) if not is_done(folder / name)]
    if not names:
        return
    with open_sampler(run.config, policy, base=base) as sampler:
        for name in names:
            count_correct(
                folder / name / "samples.jsonl",
                sets[name],
                sampler,
                verifier,
                n=settings.n,
                temperature=settings.temperature,
                max_tokens=settings.max_tokens,
                seed=derive_seed(seed, ["evaluate"]),
                batch=run.config.policy.sample_batch,
            )
            mark_done(folder / name)
