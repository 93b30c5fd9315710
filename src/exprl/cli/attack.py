"""`exprl attack`: what fools a judge, and how often."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators

from exprl.cli.options import AsJson, ConfigPath, DryRun, Overrides, console

if TYPE_CHECKING:
    from exprl.config import RunConfig
    from exprl.judge import Judge
    from exprl.judge.attacks import AttackResult, Condition

__all__ = ["attack_"]

VERDICTS = "verdicts.jsonl"
_COUNT = validators.Number(gte=1)


def attack_(
    config: ConfigPath,
    *overrides: Overrides,
    data: Annotated[
        Path | None, Parameter(help="Problems with references, or labelled answers; default: a set of CONFIG.")
    ] = None,
    set_name: Annotated[str, Parameter(name="--set", help="The set of CONFIG to attack on.")] = "hard_train",
    problems: Annotated[int, Parameter(validator=_COUNT, help="Problems drawn from it at most.")] = 20,
    per_class: Annotated[
        int, Parameter(validator=_COUNT, help="Cases of a class at most, every idea once before any twice.")
    ] = 50,
    seed: Annotated[int, Parameter(help="Of problems, wrong answers and wrong references.")] = 0,
    scope: Annotated[
        Literal["outcome", "prefix"], Parameter(help="How the judge is asked; attacks on growth need prefix.")
    ] = "prefix",
    conditions: Annotated[str, Parameter(help="Which references the judge is shown.")] = "correct,none,wrong",
    out: Annotated[
        Path | None, Parameter(help="Folder of cases, verdicts and result; a second call there goes on.")
    ] = None,
    card: Annotated[Path | None, Parameter(help="A judge-card.json of this judge to add the result to.")] = None,
    fail_over: Annotated[
        float | None,
        Parameter(
            validator=validators.Number(gte=0, lte=1),
            help="End with exit code 1 if any class succeeds more often than this with the correct reference.",
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Try to fool the configuration's judge: empty answers, forged verdicts, padding, orders to the grader and more."""
    import asyncio
    import dataclasses
    import json

    from exprl.cli.settings import load_config
    from exprl.judge.attacks import attack, build_suite, chosen, problems_of, waiting
    from exprl.judge.calibrate import update_card
    from exprl.judge.calibrate.conditions import parse_conditions
    from exprl.runs import write_json, write_jsonl

    settings = load_config(config, overrides)
    asked = parse_conditions(conditions)
    folder = out or Path(settings.output) / f"{settings.name}-attack"
    drawn = chosen(problems_of(settings, data, set_name), problems, seed)
    suite = build_suite(drawn, seed=seed, per_class=per_class, growth=scope == "prefix")
    judges = _judges(settings, asked, folder)
    if dry_run:
        from exprl.cli.plan import print_plan
        from exprl.pipeline.plan import plan_judging

        missing = waiting(suite, judges, out=folder / VERDICTS, scope=scope)
        print_plan(settings, plan_judging(settings, missing), as_json=as_json)
        return
    write_jsonl(folder / "cases.jsonl", [dataclasses.asdict(case) for case in suite.cases])
    result = asyncio.run(attack(suite, judges, out=folder / VERDICTS, scope=scope))
    shown = {**result.as_dict(), "seed": seed, "words": result.words}
    write_json(folder / "attack.json", {**shown, "fooled": result.fooled})
    if card is not None and (judge := judges["correct"]) is not None:
        update_card(card, "attack", shown, judge=judge.name, template_hash=judge.template_hash)
    if as_json:
        print(json.dumps(shown))
    else:
        _show(result)
        console().print(f"cases, verdicts and result: {folder}", highlight=False)
    if fail_over is not None and (over := result.over(fail_over)):
        print(
            f"over {fail_over:.0%}, or without a score, with the correct reference: {', '.join(over)}", file=sys.stderr
        )
        sys.exit(1)


def _judges(settings: RunConfig, conditions: tuple[Condition, ...], folder: Path) -> dict[Condition, Judge | None]:
    """Who judges under each condition; the judge with a reference is one for both."""
    from exprl.judge import build_judge
    from exprl.judge.calibrate.conditions import needs_reference, without_reference

    store = folder / "judge"
    shown = build_judge(settings.judge, store=store)
    blind = None
    if "none" in conditions and not needs_reference(settings.judge):
        blind = build_judge(without_reference(settings.judge), store=store)
    return {condition: blind if condition == "none" else shown for condition in conditions}


def _show(result: AttackResult) -> None:
    from rich.table import Table

    from exprl.judge.attacks import GROWTH

    table = Table(title=f"{result.cases} attacks on {result.problems} problems: how often the judge was fooled")
    table.add_column("class")
    for condition in result.rates:
        table.add_column(f"{condition} reference" if condition != "none" else "no reference")
    for kind in next(iter(result.rates.values())):
        table.add_row(kind, *(result.cell(condition, kind) for condition in result.rates))
    out = console()
    out.print(table)
    out.print(
        f"fooled: a score of 0.75 or more; {GROWTH}: the score rises by 0.25 or more. 95% intervals.", highlight=False
    )
    out.print(result.words, highlight=False)
