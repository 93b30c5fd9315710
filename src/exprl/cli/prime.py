"""`exprl prime`: one stage of the pipeline."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from exprl.cli.options import AsJson, ConfigPath, DryRun, Overrides, Resume

__all__ = ["prime_"]


def prime_(
    config: ConfigPath,
    *overrides: Overrides,
    arm: Annotated[tuple[str, ...], Parameter(negative="", help="Only this arm; may be repeated.")] = (),
    resume: Resume = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Stage I: dense judge rewards build coverage on problems that the policy cannot solve."""
    from exprl.cli.stages import run_stage

    run_stage(config, overrides, arm, "stage1", resume=resume, dry_run=dry_run, as_json=as_json)
