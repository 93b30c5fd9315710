"""`exprl filter`: the hard set alone."""

from __future__ import annotations

import json

from exprl.cli.options import AsJson, ConfigPath, DryRun, Overrides, Resume, console

__all__ = ["filter_"]


def filter_(
    config: ConfigPath, *overrides: Overrides, resume: Resume = False, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Keep the problems that the policy solves in 0 of n samples and whose reference's answer grades as stored."""
    from exprl.cli.settings import load_config

    settings = load_config(config, overrides)
    if dry_run:
        from exprl.cli.plan import show_plan

        show_plan(settings, as_json=as_json)
        return
    from exprl.pipeline.run import open_run, prepare

    run = open_run(settings, resume=resume)
    with run.lock():
        sets = prepare(run, console(as_json))
    if as_json:
        print(json.dumps({name: [problem.id for problem in problems] for name, problems in sets.items()}))
    console(as_json).print(f"kept: {run.problems}; why others were not: {run.filter}", highlight=False)
