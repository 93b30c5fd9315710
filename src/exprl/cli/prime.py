"""`exprl prime`: one stage of the pipeline."""

from __future__ import annotations

from exprl.cli.options import Arms, AsJson, ConfigPath, DryRun, Overrides, Resume

__all__ = ["prime_"]


def prime_(
    config: ConfigPath,
    *overrides: Overrides,
    arms: Arms = (),
    resume: Resume = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Stage I: dense judge rewards build coverage on problems that the policy cannot solve."""
    from exprl.cli.stages import run_stage

    run_stage(config, overrides, arms, "stage1", resume=resume, dry_run=dry_run, as_json=as_json)
