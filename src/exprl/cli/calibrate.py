"""`exprl calibrate`: what a judge is worth, measured on labelled answers, as a card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from exprl.cli.options import AsJson, ConfigPath, DryRun, Overrides, console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from exprl.judge.calibrate import JudgeCard

__all__ = ["calibrate_"]

_COUNT = validators.Number(gte=1)


def calibrate_(
    config: ConfigPath,
    *overrides: Overrides,
    data: Annotated[
        Path, Parameter(help="Labelled answers, .jsonl or .parquet: id, problem, reference, candidate, correct.")
    ],
    process: Annotated[
        tuple[Path, ...],
        Parameter(negative="", help="Step-labelled traces: id, problem, steps, label. May be repeated."),
    ] = (),
    references: Annotated[
        tuple[Path, ...],
        Parameter(negative="", help="Problems with solutions, for traces that bring no reference. May be repeated."),
    ] = (),
    continuations: Annotated[
        Path | None, Parameter(help="Prefixes with the success rate of their continuations: problem, prefix, rate.")
    ] = None,
    conditions: Annotated[str, Parameter(help="Which references the judge is shown.")] = "correct,none,wrong",
    limit: Annotated[
        int | None, Parameter(validator=_COUNT, help="Rows of each file at most, with their mix of labels.")
    ] = None,
    repeat: Annotated[
        int, Parameter(validator=validators.Number(gte=0), help="Answers judged a second time, past the cache.")
    ] = 100,
    seed: Annotated[int, Parameter(help="Of the sample and of the wrong references.")] = 0,
    out: Annotated[
        Path | None, Parameter(help="Folder of verdicts, card and page; a second call there goes on.")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Measure the configuration's judge on labelled answers; write judge-card.json and judge-card.html."""
    from exprl.cli.settings import load_config
    from exprl.judge.calibrate import CARD_NAME, Calibration, calibrate, planned
    from exprl.judge.calibrate.conditions import parse_conditions

    settings = load_config(config, overrides)
    plan = Calibration(
        data=data,
        out=out or Path(settings.output) / f"{settings.name}-calibration",
        process=process,
        references=references,
        continuations=continuations,
        conditions=parse_conditions(conditions),
        limit=limit,
        repeat=repeat,
        seed=seed,
    )
    if dry_run:
        from exprl.cli.plan import print_plan
        from exprl.pipeline.plan import plan_judging

        missing = [submission for waiting in planned(settings, plan).values() for submission in waiting]
        print_plan(settings, plan_judging(settings, missing), as_json=as_json)
        return
    bars = _bars(as_json)
    with bars:
        card = calibrate(settings, plan, _Bars(bars).show)
    if as_json:
        print(card.model_dump_json())
        return
    _print(card)
    console().print(f"card: {plan.out / CARD_NAME}", highlight=False, markup=False)


class _Bars:
    """One bar a piece of work."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def show(self, what: str, done: int, total: int) -> None:
        """Bring a bar to where the work is; what was there before it began counts for no rate."""
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total, completed=done, rate="", before=done)
            return
        task = self._bars.tasks[list(self._tasks).index(what)]
        rate = (done - task.fields["before"]) / max(task.elapsed or 0.0, 1e-9)
        self._bars.update(self._tasks[what], completed=done, rate=f"{rate:.1f}/s")


def _bars(as_json: bool) -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    out = console(as_json)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=out,
        disable=not out.is_terminal,
    )


def _print(card: JudgeCard) -> None:
    from rich.table import Table

    from exprl.judge.calibrate.words import plain, with_interval

    table = Table(title=f"{card.judge} on {card.data.file}: {card.data.used:,} answers, {card.level:.0%} intervals")
    for column in ("reference", "misplacement", "FPR", "FNR", "AUROC", "unscored"):
        table.add_column(column)
    for name, result in card.conditions.items():
        rates = result.rates
        shares = [with_interval(share) for share in (rates.misplacement, rates.fpr, rates.fnr)]
        table.add_row(name, *shares, plain(rates.auroc), with_interval(rates.unscored_rate))
    out = console()
    out.print(table)
    for used in (card.data, *(card.process.data if card.process else ())):
        if used.left_out:
            out.print(
                f"{used.file}: {used.left_out:,} of {used.rows:,} rows have no reference and are left out", markup=False
            )
    out.print(" ".join(card.words), highlight=False, markup=False)
