"""The main job: filter -> Stage I per arm -> Stage II per arm -> evaluation -> report.

Every piece leaves its mark in the run directory, so `--resume` repeats nothing that is finished. The arms run side by side
(`parallel`), each in a process of its own, from the same base policy on the same problems with the same budget of rollouts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from exprl.config import RunConfig
from exprl.data import Tally
from exprl.errors import ConfigError
from exprl.pipeline.context import (
    TRAIN_SET,
    check_inputs,
    kept_sets,
    load_sets,
    open_sampler,
    open_verifier,
    refuse_overlaps,
)
from exprl.pipeline.filtering import filter_problems
from exprl.pipeline.jobs import Job, base_policy
from exprl.pipeline.pool import run_jobs
from exprl.pipeline.progress import RunProgress
from exprl.pipeline.summary import write_summary
from exprl.report import write_report
from exprl.runs import RunDir, is_done, mark_done, write_jsonl
from exprl.trackers import check_tracker
from exprl.types import Problem

__all__ = ["open_run", "prepare", "run_all", "train_jobs"]


def open_run(config: RunConfig, *, resume: bool, arms: Sequence[str] = ()) -> RunDir:
    """Make the run's directory, or open it again with `resume` (which also makes a new one).

    Inputs are checked first, so that a run which cannot start leaves no directory behind that stands in the way; of the
    arms only those named, if any are.

    Raises:
        RunError: it exists and `resume` is not set, or it belongs to another configuration.
        ExprlError: see `check_inputs`.
    """
    check_tracker(config.tracker)
    path = Path(config.output) / config.name
    if resume and (path / "config.json").exists():
        return RunDir.resume(path, config)
    if not (path / "config.json").exists():
        check_inputs(config, arms)
    return RunDir.create(path, config)


def run_all(config: RunConfig, console: Console, *, resume: bool = False, arms: Sequence[str] = ()) -> Path:
    """Run everything that is not done yet, of the named arms or of all, and return the path of the report."""
    run = open_run(config, resume=resume, arms=arms)
    with run.lock():
        sets = prepare(run, console)
        chains = [[Job(run.path, "base")], *train_jobs(run, list(arms) or None)]
        run_chains(run, chains, sets, console)
        write_summary(run)
        return write_report(run.path)


def train_jobs(
    run: RunDir, arms: list[str] | None = None, stages: tuple[str, ...] = ("stage1", "stage2")
) -> list[list[Job]]:
    """A chain of stages for every arm and seed; ExpRL arms first, since they take longest."""
    config = run.config
    names = sorted(arms or config.arms, key=lambda arm: config.arms[arm].type == "sparse")
    chains = []
    for seed in config.seeds:
        for arm in names:
            chain = [Job(run.path, "train", arm, seed, "stage1")] if "stage1" in stages else []
            if config.stage2 is not None and "stage2" in stages:
                chain.append(Job(run.path, "train", arm, seed, "stage2"))
            chains.append(chain)
    return chains


def run_chains(run: RunDir, chains: list[list[Job]], sets: dict[str, list[Problem]], console: Console) -> None:
    """Run what is not done of the chains, showing progress."""
    open_chains = [[job for job in chain if not is_done(_folder(run, job))] for chain in chains]
    with RunProgress(run, console, {name: len(problems) for name, problems in sets.items()}) as progress:
        run_jobs(
            open_chains,
            run.config.parallel,
            on_start=progress.start,
            on_tick=progress.tick,
            on_done=progress.done,
        )


def prepare(run: RunDir, console: Console) -> dict[str, list[Problem]]:
    """Load, check and filter the problems, once; records the kept ones in problems.jsonl.

    Raises:
        ConfigError: the filter kept nothing.
    """
    config = run.config
    sets = loaded = load_sets(config)
    for warning in refuse_overlaps(config, sets):
        console.print(f"warning: {warning}", highlight=False)
    if not is_done(run.problems):
        tallies: dict[str, Tally] = {}
        if config.data.filter is not None:
            sets, tallies = _filter(run, sets, console)
        for name, result in tallies.items():
            console.print(f"filter, {name}: {result}", highlight=False)
        if not sets[TRAIN_SET]:
            raise ConfigError(f"the filter kept no training problem ({tallies.get(TRAIN_SET)}); see {run.filter}")
        write_jsonl(run.problems, [_row(name, problem) for name, problems in sets.items() for problem in problems])
        mark_done(run.problems)
    return kept_sets(run, loaded)


def _filter(
    run: RunDir, sets: dict[str, list[Problem]], console: Console
) -> tuple[dict[str, list[Problem]], dict[str, Tally]]:
    config, settings = run.config, run.config.data.filter
    if settings is None:
        return sets, {}
    names = list(sets) if config.data.filter_evaluate else [TRAIN_SET]
    kept, tallies = dict(sets), {}
    verifier = open_verifier(config, store=run.path)
    try:
        with open_sampler(config, base_policy(config), base=True) as sampler:
            for name in names:
                with console.status(f"filter, {name}: {len(sets[name])} problems x {settings.n} samples"):
                    kept[name], tallies[name] = filter_problems(
                        sampler,
                        verifier,
                        sets[name],
                        run.filter,
                        settings,
                        name=name,
                        batch=config.policy.sample_batch,
                        keep=settings.keep,
                    )
    finally:
        verifier.close()
    return kept, tallies


def _row(name: str, problem: Problem) -> dict[str, object]:
    return {
        "id": problem.id,
        "text": problem.text,
        "domain": problem.domain,
        "set": name,
        "reference_digest": problem.reference.digest,
    }


def _folder(run: RunDir, job: Job) -> Path:
    return run.path / "base" if job.kind == "base" else run.stage(job.arm, job.seed, job.stage).path
