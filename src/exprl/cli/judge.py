"""`exprl judge`: verdicts on sampled answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from exprl.cli.options import AsJson, ConfigPath, DryRun, Overrides, console

__all__ = ["judge_"]


def judge_(
    config: ConfigPath,
    *overrides: Overrides,
    samples: Annotated[Path, Parameter(help="A file that `exprl sample` or a run wrote.")],
    out: Annotated[Path, Parameter(help="The verdicts' .jsonl file; a second call goes on. It may quote references.")],
    scope: Annotated[Literal["outcome", "prefix", "segment"], Parameter(help="What is scored.")] = "prefix",
    set_name: Annotated[str, Parameter(name="--set", help="The set that the samples answer.")] = "hard_train",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Score sampled answers against their hidden references with the configuration's judge."""
    import json

    from exprl.cli.settings import load_config
    from exprl.pipeline.judging import judge_samples, waiting_submissions

    settings = load_config(config, overrides)
    if dry_run:
        from exprl.cli.plan import print_plan
        from exprl.pipeline.plan import plan_judging

        waiting = waiting_submissions(settings, samples, out, scope=scope, set_name=set_name)
        print_plan(settings, plan_judging(settings, waiting), as_json=as_json)
        return
    result = judge_samples(settings, samples, out, scope=scope, set_name=set_name)
    if as_json:
        print(json.dumps(result.as_dict()))
    else:
        console().print(f"{result}\nverdicts: {out}", highlight=False)
