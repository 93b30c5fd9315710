"""`exprl sample`: answers of a policy to problems, graded where they have an answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from exprl.cli.options import AsJson, ConfigPath, DryRun, Overrides, console

__all__ = ["sample_"]


def sample_(
    config: ConfigPath,
    *overrides: Overrides,
    out: Annotated[Path, Parameter(help="The .jsonl file to write; a second call goes on.")],
    policy: Annotated[
        str | None, Parameter(help="A checkpoint, Hub id or world; default: the configuration's policy.")
    ] = None,
    set_name: Annotated[str, Parameter(name="--set", help="hard_train, or an evaluation set's name.")] = "hard_train",
    n: Annotated[int, Parameter(validator=validators.Number(gte=1), help="Samples a problem.")] = 1,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Sample n answers a problem into a JSONL file."""
    from exprl.cli.settings import load_config
    from exprl.pipeline.policy import sample_set

    settings = load_config(config, overrides)
    if dry_run:
        from exprl.cli.plan import print_plan
        from exprl.pipeline.context import named_set
        from exprl.pipeline.plan import plan_samples

        sizes = {set_name: len(named_set(settings, set_name))}
        print_plan(settings, plan_samples(settings, sizes, n), as_json=as_json, policy=policy)
        return
    counts = sample_set(settings, policy, set_name, out, n)
    drawn, right, unscored = (int(part.sum()) for part in (counts.n_SP, counts.correct_SP, counts.unscored_SP))
    if as_json:
        print(json.dumps({"samples": drawn, "correct": right, "unscored": unscored, "path": str(out)}))
    else:
        console().print(f"{drawn} samples, {right} right, {unscored} unscored: {out}", highlight=False)
