"""Printing a plan: what `--dry-run` shows."""

from __future__ import annotations

import json

from exprl.cli.options import console
from exprl.config import RunConfig

__all__ = ["show_plan"]


def show_plan(config: RunConfig, *, as_json: bool) -> None:
    """Print the resolved configuration's work in numbers of rollouts, judge calls and tokens.

    World sets are generated and files are read, since their sizes are the plan; no model is loaded.
    """
    from rich.table import Table

    from exprl.pipeline.context import TRAIN_SET, load_sets, refuse_overlaps
    from exprl.pipeline.plan import plan

    sets = load_sets(config)
    warnings = refuse_overlaps(config, sets)
    sizes = {name: len(problems) for name, problems in sets.items() if name != TRAIN_SET}
    result = plan(config, len(sets[TRAIN_SET]), sizes)
    if as_json:
        print(json.dumps({"config": config.model_dump(mode="json"), "plan": result.as_dict(), "warnings": warnings}))
        return
    table = Table(title=f"plan of {config.name!r} (upper bounds)")
    for column in ("work", "rollouts", "tokens, at most", "judge calls, at most", "updates"):
        table.add_column(column, justify="left" if column == "work" else "right")
    for row in (*result.rows, result.total):
        table.add_row(row.what, *(f"{value:,}" for value in (row.rollouts, row.tokens, row.judge_calls, row.updates)))
    out = console()
    out.print(table)
    judge = getattr(config.judge, "model", "milestone (no model)")
    out.print(
        f"policy {config.policy.model}; judge {judge}, writes at most {result.judge_tokens:,} tokens", highlight=False
    )
    sizes_text = ", ".join(f"{name} {size}" for name, size in {TRAIN_SET: len(sets[TRAIN_SET]), **sizes}.items())
    out.print(f"problems before the filter: {sizes_text}; seeds {list(config.seeds)}", highlight=False)
    for warning in warnings:
        out.print(f"warning: {warning}", highlight=False)
