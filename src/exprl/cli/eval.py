"""`exprl eval`: coverage of one policy, on the evaluation sets of a configuration or on benchmarks by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter, validators

from exprl.cli.options import AsJson, DryRun, Overrides, console

__all__ = ["eval_"]

_SETS = Group("A configuration's sets", sort_key=1)
_BENCHMARKS = Group("Benchmarks", sort_key=2)
_Count = Annotated[int | None, Parameter(group=_BENCHMARKS, validator=validators.Number(gte=1))]


def eval_(
    target: Annotated[
        str | None,
        Parameter(help="A TOML configuration or a shipped one's name (demo); with --benchmarks, a model."),
    ] = None,
    *overrides: Overrides,
    policy: Annotated[
        str | None,
        Parameter(group=_SETS, help="A checkpoint, Hub id or world; default: the configuration's policy."),
    ] = None,
    benchmarks: Annotated[
        str | None,
        Parameter(group=_BENCHMARKS, help="Names with commas (aime26,hmmt); the target is then a model."),
    ] = None,
    list_: Annotated[
        bool, Parameter(name="--list", group=_BENCHMARKS, negative="", help="List the benchmarks; do nothing else.")
    ] = False,
    url: Annotated[
        str | None,
        Parameter(
            group=_BENCHMARKS,
            help="OpenAI-compatible server of the model, up to /v1; a key is read from EXPRL_POLICY_API_KEY.",
        ),
    ] = None,
    n: Annotated[_Count, Parameter(help="Samples a problem; default 128.")] = None,
    temperature: Annotated[
        float | None,
        Parameter(group=_BENCHMARKS, validator=validators.Number(gte=0), help="Default 0.8."),
    ] = None,
    max_tokens: Annotated[_Count, Parameter(help="Tokens an answer, at most; default 16384.")] = None,
    limit: Annotated[_Count, Parameter(help="Problems of each; always the same ones, drawn by their ids.")] = None,
    seed: Annotated[int | None, Parameter(group=_BENCHMARKS, help="Of the sampling; default 0.")] = None,
    system: Annotated[
        str | None, Parameter(group=_BENCHMARKS, help="System prompt instead of the benchmarks' own; '' for none.")
    ] = None,
    user: Annotated[
        str | None, Parameter(group=_BENCHMARKS, help="User prompt with {problem} in it, instead of their own.")
    ] = None,
    data: Annotated[
        Path | None,
        Parameter(group=_BENCHMARKS, help="Folder of the problems' files; default EXPRL_DATA, then the Hub."),
    ] = None,
    concurrency: Annotated[_Count, Parameter(help="Requests in flight; default 64.")] = None,
    standard_keys: Annotated[
        bool,
        Parameter(
            group=_BENCHMARKS, negative="", help="Send no top_k and min_p, for a server that refuses to know them."
        ),
    ] = False,
    export: Annotated[
        tuple[Literal["lm-eval", "inspect"], ...],
        Parameter(group=_BENCHMARKS, negative="", help="Write the samples in another harness' form as well."),
    ] = (),
    out: Annotated[Path | None, Parameter(help="Folder of the samples; a second call there goes on.")] = None,
    k: Annotated[
        tuple[int, ...],
        Parameter(
            name=["--k", "-k"],
            negative="",
            validator=validators.Number(gte=1),
            help="pass@k to print, may be repeated; default 1, 2, 4, ... n.",
        ),
    ] = (),
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Sample n answers a problem and print pass@k with intervals."""
    from exprl.cli.benchmarks import asked, eval_benchmarks, list_benchmarks, refuse_mixture

    if list_:
        list_benchmarks(data, as_json=as_json)
        return
    given = asked(
        url=url,
        n=n,
        temperature=temperature,
        max_tokens=max_tokens,
        limit=limit,
        seed=seed,
        system=system,
        user=user,
        data=data,
        concurrency=concurrency,
        standard_keys=standard_keys or None,
    )
    model = refuse_mixture(target, benchmarks, overrides, [*given, *(["export"] if export else [])], policy)
    if benchmarks is not None:
        eval_benchmarks(model, benchmarks, given, ks=k, out=out, export=export, dry_run=dry_run, as_json=as_json)
        return
    _eval_sets(Path(model), overrides, policy, out, k, dry_run, as_json)


def _eval_sets(
    config: Path,
    overrides: tuple[str, ...],
    policy: str | None,
    out: Path | None,
    k: tuple[int, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
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
    ks = next(iter(results.values())).coverage.ks
    for column in ("set", *(f"pass@{k}" for k in ks)):
        table.add_column(column)
    for name, result in results.items():
        cells = (f"{i.value:.3f} [{i.low:.3f}, {i.high:.3f}]" for i in result.coverage.intervals)
        table.add_row(f"{name} ({result.coverage.problems[0]})", *cells)
    console().print(table)
    for name, result in results.items():
        if result.advice is not None:
            console().print(f"{name}: {result.advice.text}", highlight=False, soft_wrap=True)
    console().print(f"samples: {folder}", highlight=False)
