"""Printing a plan: what `--dry-run` shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from exprl.cli.options import console
from exprl.config import LLMJudgeConfig, MilestoneJudgeConfig, RunConfig

if TYPE_CHECKING:
    from exprl.pipeline.plan import Plan

__all__ = ["print_plan", "show_plan"]


def show_plan(
    config: RunConfig, *, arms: Sequence[str] = (), stages: Sequence[str] = ("stage1", "stage2"), as_json: bool
) -> None:
    """Print the resolved configuration's work in numbers of rollouts, judge calls and tokens; of the named arms, or all.

    World sets are generated and files are read, since their sizes are the plan; no model is loaded and nothing is fetched.
    """
    from exprl.pipeline.context import TRAIN_SET
    from exprl.pipeline.plan import plan
    from exprl.pipeline.sizes import planned_sizes

    sizes = planned_sizes(config)
    evaluated = {name: size for name, size in sizes.sets.items() if name != TRAIN_SET}
    result = plan(
        config,
        sizes.sets[TRAIN_SET],
        evaluated,
        problem_tokens=sizes.problem_tokens,
        judged=sum(sizes.judged.values()),
        arms=arms,
        stages=stages,
    )
    print_plan(config, result, list(sizes.warnings), as_json=as_json)
    if not as_json:
        sizes_text = ", ".join(
            f"{name} {size:,}{' (assumed)' if name in sizes.assumed else ''}" for name, size in sizes.sets.items()
        )
        console().print(f"problems before the filter: {sizes_text}; seeds {list(config.seeds)}", highlight=False)


def print_plan(
    config: RunConfig, result: Plan, warnings: list[str] | None = None, *, as_json: bool, policy: str | None = None
) -> None:
    """Print the numbers of a plan, whatever it is of; `policy` is one other than the configuration's."""
    from rich.table import Table

    if as_json:
        shown = {"config": config.model_dump(mode="json"), "plan": result.as_dict(), "warnings": warnings or []}
        print(json.dumps(shown))
        return
    table = Table(title=f"plan of {config.name!r} (upper bounds)")
    for column in ("work", "rollouts", "tokens, at most", "judge calls, at most", "updates"):
        table.add_column(column, justify="left" if column == "work" else "right")
    for row in (*result.rows, result.total):
        table.add_row(row.what, *(f"{value:,}" for value in (row.rollouts, row.tokens, row.judge_calls, row.updates)))
    out = console()
    out.print(table)
    out.print(f"policy {policy or config.policy.model}; judge {_judging(config, result)}", highlight=False)
    for note in result.notes:
        out.print(note, highlight=False)
    for warning in warnings or []:
        out.print(f"warning: {warning}", highlight=False)


def _judging(config: RunConfig, result: Plan) -> str:
    """Who judges, and the ceiling of what that takes."""
    if isinstance(config.judge, MilestoneJudgeConfig):
        return "milestone (no model)"
    name = (
        config.judge.model
        if isinstance(config.judge, LLMJudgeConfig)
        else f"panel of {', '.join(config.judge.members)}"
    )
    cost = result.judge.cost
    price = "; no prices stated" if cost is None else f"; costs at most {cost:,.2f}"
    if isinstance(config.judge, LLMJudgeConfig) and config.judge.cost_limit is not None:
        price += f", stops at {config.judge.cost_limit:,.2f}"
    return (
        f"{name} reads at most {result.judge.prompt_tokens:,} tokens, writes at most "
        f"{result.judge.completion_tokens:,}{price}"
    )
