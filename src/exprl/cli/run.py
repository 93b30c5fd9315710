"""`exprl run`: the whole experiment."""

from __future__ import annotations

from exprl.cli.options import Arms, AsJson, ConfigPath, DryRun, Overrides, Resume, console, refuse_unknown_arms

__all__ = ["run_"]


def run_(
    config: ConfigPath,
    *overrides: Overrides,
    arms: Arms = (),
    resume: Resume = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Filter, Stage I and Stage II for every arm, evaluation, report."""
    from exprl.cli.settings import load_config

    settings = load_config(config, overrides)
    refuse_unknown_arms(config, settings, arms)
    if dry_run:
        from exprl.cli.plan import show_plan

        show_plan(settings, arms=arms, as_json=as_json)
        return
    from exprl.cli.tables import show_summary
    from exprl.pipeline.run import run_all
    from exprl.runs import read_json

    report = run_all(settings, console(as_json), resume=resume, arms=arms)
    show_summary(read_json(report.with_name("summary.json")), as_json=as_json)
    console(as_json).print(f"report: {report}", highlight=False)
