"""`exprl cluster`: where GPUs go, what a step costs, and what it waits for. Reads the configuration alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from exprl.cli.options import Arms, AsJson, ConfigPath, Overrides, console

if TYPE_CHECKING:
    from exprl.cluster import ClusterPlan, StagePlan

__all__ = ["cluster_", "print_cluster"]


def cluster_(
    config: ConfigPath,
    *overrides: Overrides,
    nodes: Annotated[int, Parameter(help="Machines.")] = 1,
    gpus: Annotated[int, Parameter(help="GPUs a machine.")] = 8,
    judge_gpus: Annotated[
        int | None, Parameter(help="GPUs for the judge; default: as many as make a step shortest.")
    ] = None,
    arms: Arms = (),
    assume: Annotated[
        tuple[str, ...], Parameter(negative="", help="NAME=VALUE in place of a default; may be repeated.")
    ] = (),
    as_json: AsJson = False,
) -> None:
    """Plan a run on many GPUs: placement, tokens, memory and time of a step, and the bottleneck. Starts nothing.

    All numbers follow from assumptions, which are listed with their names. Measure a step, and give what it took:
    --assume policy_tokens_per_s=9000.
    """
    from exprl.cli.settings import load_config
    from exprl.cluster import assume as assumed
    from exprl.cluster import plan_cluster
    from exprl.errors import ConfigError

    for name, value in (("nodes", nodes), ("gpus", gpus)):
        if value < 1:
            raise ConfigError(f"--{name} {value}: at least 1")
    plan = plan_cluster(
        load_config(config, overrides),
        nodes=nodes,
        gpus=gpus,
        judge_gpus=judge_gpus,
        arms=arms,
        assumed=assumed(assume),
    )
    print_cluster(plan, as_json=as_json)


def print_cluster(plan: ClusterPlan, *, as_json: bool) -> None:
    """Print a plan: one column a stage, what the numbers mean, and what was assumed."""
    if as_json:
        print(json.dumps(plan.as_dict()))
        return
    from rich.table import Table

    table = Table(title=f"a step on {plan.gpus} x {plan.assumed.gpu}")
    table.add_column("")
    for stage in plan.stages:
        table.add_column(stage.work.name, justify="right")
    for row in zip(*(_column(stage) for stage in plan.stages), strict=True):
        table.add_row(row[0][0], *(value for _, value in row))
    out = console()
    out.print(table)
    for note in plan.notes:
        out.print(note, highlight=False)
    assumed = Table(title="assumed; change with --assume NAME=VALUE")
    for column in ("name", "value", "meaning"):
        assumed.add_column(column, justify="right" if column == "value" else "left")
    for name, value, meaning in plan.assumed.rows():
        assumed.add_row(name, value if isinstance(value, str) else f"{value:,g}", meaning)
    out.print(assumed)


def _column(stage: StagePlan) -> list[tuple[str, str]]:
    work, time, memory = stage.work, stage.time, stage.memory
    judged = work.judging is not None
    return [
        ("GPUs for the policy", str(stage.policy_gpus)),
        ("GPUs for the judge", str(stage.judge_gpus)),
        ("rollouts", f"{work.rollouts:,}"),
        ("tokens sampled", f"{work.sampled:,.0f}"),
        ("tokens trained", f"{work.trained:,.0f}"),
        ("tokens sent to the judge", f"{stage.judge_tokens:,.0f}"),
        ("GB a GPU in training", f"{memory.train / 1e9:.1f}"),
        ("GB of the policy's weights a GPU", f"{memory.weights / 1e9:.1f}"),
        ("tokens in a copy's KV cache", f"{memory.cache_tokens:,.0f}"),
        ("tokens in a judge's KV cache", f"{memory.judge_cache_tokens:,.0f}" if judged else "-"),
        ("s sampling", f"{time.sample:.0f}"),
        ("s the longest rollout alone", f"{time.longest:.0f}"),
        ("s judging, beside it", f"{time.judge:.0f}" if judged else "-"),
        ("s the last rollout's judging", f"{time.tail:.1f}" if judged else "-"),
        ("s update", f"{time.update:.0f}"),
        ("s weights", f"{time.sync:.1f}"),
        ("s a step", f"{time.total:.0f}"),
        ("hours of all steps", f"{stage.hours:.1f}"),
        ("bottleneck", time.bottleneck),
    ]
