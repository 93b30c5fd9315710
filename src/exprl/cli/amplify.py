"""`exprl amplify`: one stage of the pipeline."""

from __future__ import annotations

from exprl.cli.options import Arms, AsJson, ConfigPath, DryRun, Overrides, Resume

__all__ = ["amplify_"]


def amplify_(
    config: ConfigPath,
    *overrides: Overrides,
    arms: Arms = (),
    resume: Resume = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Stage II: sparse RL on right final answers, from the Stage-I checkpoints."""
    from exprl.cli.stages import run_stage

    run_stage(config, overrides, arms, "stage2", resume=resume, dry_run=dry_run, as_json=as_json)
