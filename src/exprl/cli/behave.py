"""`exprl behave`: what changed in how a policy reasons, against the base policy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators

from exprl.cli.options import AsJson, DryRun, Overrides, console

if TYPE_CHECKING:
    from rich.progress import TaskID

    from exprl.config import RunConfig
    from exprl.evaluate.behave import Annotator, Found, Plan

__all__ = ["behave_"]

_COUNT = validators.Number(gte=1)
_ABSENT = {"name": "behave", "data": {"train": {"path": "unused"}}}
"""What a configuration with a [judge] and nothing else leaves out, and annotating does not need."""


def behave_(
    run: Annotated[
        Path | None,
        Parameter(allow_leading_hyphen=True, help="A run directory: its base against each arm and stage."),
    ] = None,
    *overrides: Overrides,
    base: Annotated[Path | None, Parameter(help="Without RUN: samples to compare with, a samples.jsonl.")] = None,
    other: Annotated[
        tuple[Path, ...], Parameter(negative="", help="Samples of the same problems. May be repeated.")
    ] = (),
    problems: Annotated[
        Path | None, Parameter(help="Texts of the problems of plain files, for an LLM annotator: id, text.")
    ] = None,
    arm: Annotated[tuple[str, ...], Parameter(negative="", help="Only this arm. May be repeated.")] = (),
    stage: Annotated[tuple[str, ...], Parameter(negative="", help="Only stage1 or stage2. May be repeated.")] = (),
    set_name: Annotated[
        tuple[str, ...], Parameter(name="--set", negative="", help="Only this evaluation set. May be repeated.")
    ] = (),
    annotator: Annotated[
        Literal["lexical", "llm", "both"] | None,
        Parameter(help="Default: llm if [judge] of the configuration is of type llm, else lexical."),
    ] = None,
    config: Annotated[
        Path | None, Parameter(help="A TOML with the annotator's [judge]; default: the run's own configuration.")
    ] = None,
    limit: Annotated[int | None, Parameter(validator=_COUNT, help="Problems of each set at most.")] = None,
    samples: Annotated[int | None, Parameter(validator=_COUNT, help="Rollouts of each problem at most.")] = None,
    seed: Annotated[int, Parameter(help="Of the problems that --limit draws.")] = 0,
    out: Annotated[
        Path | None, Parameter(help="Folder of annotations and result; a second call there goes on.")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Annotate rollouts with nine behaviours and twelve archetypes; print what the policy gained and lost."""
    from exprl.cli.behave_tables import show_report
    from exprl.cli.settings import load_config
    from exprl.evaluate.behave import Choice, behave, of_files, of_run, work
    from exprl.runs import RunDir

    if run is not None and str(run).startswith("--"):  # there is no RUN, and this is a key of the configuration
        run, overrides = None, (str(run), *overrides)
    _check_usage(run, base, other)
    own = None if run is None else RunDir.open(run).path / "config.json"
    settings = load_config(config or own, overrides, absent=_ABSENT)
    choice = Choice(limit, samples, seed)
    if run is not None:
        found = of_run(run, choice, arms=arm, stages=stage, sets=set_name)
    else:
        assert base is not None
        found = of_files(base, other, problems, choice)
    plan = _plan(settings, annotator, out or (run / "behave" if run is not None else Path(settings.output) / "behave"))
    if dry_run:
        _show_plan(found, plan, as_json=as_json)
        return
    todo = work(found, plan)
    with _progress(todo.waiting, as_json) as on_done:
        report = behave(found, plan, on_done)
    if as_json:
        print(json.dumps(report.as_dict()))
        return
    show_report(report)
    console().print(f"annotations and result: {plan.out}", highlight=False, markup=False)


def _check_usage(run: Path | None, base: Path | None, other: tuple[Path, ...]) -> None:
    from exprl.errors import ConfigError

    if run is None and (base is None or not other):
        raise ConfigError("nothing to compare: give a run directory, or --base and --other with a samples.jsonl each")
    if run is not None and (base is not None or other):
        raise ConfigError("give a run directory, or --base and --other, not both")


def _plan(settings: RunConfig, asked: str | None, out: Path) -> Plan:
    from exprl.config import LLMJudgeConfig
    from exprl.errors import ConfigError
    from exprl.evaluate.behave import Plan

    judge = settings.judge if isinstance(settings.judge, LLMJudgeConfig) else None
    asked = asked or ("lexical" if judge is None else "llm")
    if asked != "lexical" and judge is None:
        raise ConfigError(
            f"--annotator {asked} needs a model: [judge] is of type {settings.judge.type!r}; give --config with a [judge] of "
            "type 'llm', or --judge.type llm --judge.model NAME --judge.url URL"
        )
    names: tuple[Annotator, ...] = (
        ("lexical", "llm") if asked == "both" else ("llm",) if asked == "llm" else ("lexical",)
    )
    limits = settings.evaluate
    return Plan(out, names, judge, settings.unscored_limit, limits.bootstrap, limits.level)


def _show_plan(found: Found, plan: Plan, *, as_json: bool) -> None:
    from exprl.evaluate.behave import work
    from exprl.judge.store.ledger import Prices
    from exprl.types import Usage

    todo = work(found, plan)
    calls = todo.waiting.get("llm", 0)
    cost = None
    if plan.llm is not None and calls:
        # Two characters a token is on the safe side; 1,500 tokens of instructions, and as much again of the problem.
        read = calls * (3000 + min(todo.longest, plan.llm.trace_limit) // 2)
        cost = Prices.of(plan.llm).cost(Usage(calls, read, calls * plan.llm.max_tokens))
    if as_json:
        shown = {"rollouts": todo.rollouts, "waiting": dict(todo.waiting), "calls": calls, "cost": cost}
        print(json.dumps(shown | {"out": str(plan.out)}))
        return
    out = console()
    out.print(str(todo), highlight=False)
    for pair in found.pairs:
        policies = ", ".join(group.name for group in pair.others)
        out.print(f"{pair.set_name}: {len(pair.ids)} problems, base against {policies}", highlight=False, markup=False)
    if plan.llm is not None and "llm" in plan.annotators:
        price = "no prices stated" if cost is None else f"costs at most about {cost:,.2f}"
        out.print(f"{plan.llm.model}: {calls:,} calls; {price}", highlight=False, markup=False)


@contextmanager
def _progress(waiting: Mapping[Annotator, int], as_json: bool) -> Iterator[Callable[[str, int], None]]:
    """A bar an annotator; quiet where nobody looks."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    out = console(as_json)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, disable=not out.is_terminal) as bars:
        tasks: dict[str, TaskID] = {name: bars.add_task(name, total=count) for name, count in waiting.items() if count}
        yield lambda name, count: bars.advance(tasks[name], count)
