"""What `exprl prime` and `exprl amplify` share: one stage of the arms, in a run directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from exprl.cli.options import console, refuse_unknown_arms
from exprl.errors import ConfigError, RunError

if TYPE_CHECKING:
    from exprl.config import RunConfig

__all__ = ["run_stage"]


def _show_cluster(
    settings: RunConfig, stage: Literal["stage1", "stage2"], arms: Sequence[str], *, as_json: bool
) -> None:
    """What verl says of its configuration, and what a step would take on the cluster's GPUs."""
    from exprl.cli.cluster import print_cluster
    from exprl.cluster import plan_configured
    from exprl.pipeline.cluster import check_cluster

    for line in check_cluster(settings, stage, arms or list(settings.arms)):
        console(as_json).print(f"verl, {line}", highlight=False)
    if as_json or settings.cluster.rollout == "cpu":
        return
    try:
        print_cluster(plan_configured(settings, arms=arms), as_json=False)
    except ConfigError as error:  # what verl runs may be a model whose shape is not known, or a panel of judges
        console().print(f"no plan of a step: {error}", highlight=False)


def run_stage(
    config: Path,
    overrides: Sequence[str],
    arms: Sequence[str],
    stage: Literal["stage1", "stage2"],
    *,
    resume: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run one stage of the named arms (default: all), with its evaluation, and refresh summary and report."""
    from exprl.cli.settings import load_config

    settings = load_config(config, overrides)
    refuse_unknown_arms(config, settings, arms)
    if stage == "stage2" and settings.stage2 is None:
        raise ConfigError(f"{config} has no Stage II (stage2 = false)")
    if dry_run:
        from exprl.cli.plan import show_plan

        show_plan(settings, arms=arms, stages=(stage,), as_json=as_json)
        if settings.engine == "verl":
            _show_cluster(settings, stage, list(arms), as_json=as_json)
        return
    from exprl.cli.tables import show_summary
    from exprl.pipeline.run import open_run, prepare, run_chains, train_jobs
    from exprl.pipeline.summary import write_summary
    from exprl.report import write_report

    run = open_run(settings, resume=resume, arms=arms)
    with run.lock():
        sets = prepare(run, console(as_json))
        chains = train_jobs(run, list(arms) or None, (stage,))
        if stage == "stage2":
            for chain in chains:
                before = run.stage(chain[0].arm, chain[0].seed, "stage1").final
                if not before.exists():
                    raise RunError(f"{before} is missing: Stage II starts from it; run `exprl prime` first")
        run_chains(run, chains, sets, console(as_json))
        summary = write_summary(run)
        report = write_report(run.path)
    show_summary(summary, as_json=as_json)
    console(as_json).print(f"report: {report}", highlight=False)
