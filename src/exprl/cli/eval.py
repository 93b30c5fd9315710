"""`exprl eval`: coverage of one policy on the evaluation sets of a configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from exprl.cli.options import AsJson, ConfigPath, DryRun, Overrides, console

__all__ = ["eval_"]


def eval_(
    config: ConfigPath,
    *overrides: Overrides,
    policy: Annotated[
        str | None, Parameter(help="A checkpoint, Hub id or world; default: the configuration's policy.")
    ] = None,
    out: Annotated[Path | None, Parameter(help="Folder of the samples; a second call there goes on.")] = None,
    k: Annotated[
        tuple[int, ...],
        Parameter(
            negative="",
            validator=validators.Number(gte=1),
            help="pass@k to print, may be repeated; default 1, 2, 4, ... n.",
        ),
    ] = (),
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Sample n answers a problem and print pass@k with intervals."""
    from rich.table import Table

    from exprl.cli.settings import load_config
    from exprl.pipeline.policy import check_ks, evaluate_policy

    settings = load_config(config, overrides)
    if dry_run:
        from exprl.cli.plan import print_plan
        from exprl.pipeline.context import load_sets
        from exprl.pipeline.jobs import evaluation_sets
        from exprl.pipeline.plan import plan_samples

        check_ks(settings, k)
        sets = load_sets(settings)
        sizes = {name: len(sets[name]) for name in evaluation_sets(settings)}
        print_plan(settings, plan_samples(settings, sizes, settings.evaluate.n), as_json=as_json, policy=policy)
        return
    folder = out or Path(settings.output) / f"{settings.name}-eval"
    results = evaluate_policy(settings, policy, folder, ks=list(k) or None)
    if as_json:
        print(json.dumps({name: result.summary() for name, result in results.items()}))
        return
    table = Table(title=f"{policy or settings.policy.model}: coverage, {settings.evaluate.level:.0%} intervals")
    ks = next(iter(results.values())).ks
    for column in ("set", *(f"pass@{k}" for k in ks)):
        table.add_column(column)
    for name, result in results.items():
        cells = (f"{i.value:.3f} [{i.low:.3f}, {i.high:.3f}]" for i in result.intervals)
        table.add_row(f"{name} ({result.problems[0]})", *cells)
    console().print(table)
    console().print(f"samples: {folder}", highlight=False)
