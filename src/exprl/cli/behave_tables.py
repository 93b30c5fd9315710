"""Printing what `exprl behave` found: tables that fit 80 columns, then sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from exprl.cli.options import console

if TYPE_CHECKING:
    from rich.table import Table

    from exprl.evaluate.behave import Compared, Report
    from exprl.evaluate.behave.measure import Diversity, Measured
    from exprl.evaluate.intervals import Interval

__all__ = ["show_report"]


def show_report(report: Report) -> None:
    """Print a table a policy, the agreement of two annotators, and what may be said of it."""
    out = console()
    for compared in report.compared:
        if compared.measured is not None:
            out.print(_changes(compared, compared.measured, report.level))
            for line in _approaches(compared.measured):
                out.print(line, highlight=False, markup=False)
            out.print()
    if report.compared:
        out.print(
            "now, base: % of rollouts, averaged over problems; +/-: problems that gained or lost; *: the difference's "
            "interval leaves 0 out",
            highlight=False,
            markup=False,
        )
    if report.agreement:
        out.print(_agreement(report))
    for sentence in report.words:
        out.print(sentence, highlight=False, markup=False)
    if report.cost:
        out.print(f"cost: {report.cost}", highlight=False, markup=False)


def _changes(compared: Compared, measured: Measured, level: float) -> Table:
    from rich.markup import escape

    from exprl.evaluate.behave.result import spoken

    seeds = f", {compared.seeds} seeds" if compared.seeds > 1 else ""
    title = f"{compared.policy} on {compared.set_name} ({compared.problems} problems{seeds}; {compared.annotator})"
    table = _plain_table(escape(title), f"behaviour ({level:.0%})", "base", "now", "difference", "+/-", "net problems")
    for change in measured.changes:
        table.add_row(
            spoken(change.behaviour) + (" *" if change.stands else ""),
            *(f"{100 * side.value:.1f}" for side in (change.base, change.other)),
            _signed(change.difference, 100, 1),
            f"{change.gained}/{change.lost}",
            _signed(change.net, 1, 0),
        )
    return table


def _approaches(measured: Measured) -> list[str]:
    """The variety of approaches, in two lines."""
    if math.isnan(measured.other.entropy.value):
        return ["approaches: none could be told"]
    base, other = measured.base, measured.other
    return [
        f"approaches: {_most(other)}; base: {_most(base)}",
        f"variety: {_within(other.entropy)} bits (base {_within(base.entropy)}); different ones per problem "
        f"{_within(other.used)} (base {_within(base.used)})",
    ]


def _most(diversity: Diversity) -> str:
    """The three commonest, and how many cannot be told."""
    common = sorted(diversity.shares.items(), key=lambda item: -item[1])[:3]
    told = [f"{name.replace('_', ' ')} {share:.0%}" for name, share in common if share > 0]
    return ", ".join([*told, *([f"untold {diversity.none:.0%}"] if diversity.none else [])])


def _agreement(report: Report) -> Table:
    from exprl.evaluate.behave.result import spoken

    title = f"agreement of lexical and LLM annotator on {report.agreement[0].rollouts:,} rollouts"
    table = _plain_table(title, "behaviour", "lexical %", "llm %", "agreed %", f"kappa, {report.level:.0%}")
    for one in report.agreement:
        shares = ("" if math.isnan(share) else f"{100 * share:.1f}" for share in (one.share_one, one.share_other))
        kappa = "not defined" if math.isnan(one.kappa.value) else _within(one.kappa)
        table.add_row(spoken(one.name), *shares, f"{100 * one.agreed:.1f}", kappa)
    return table


def _plain_table(title: str, first: str, *columns: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, padding=(0, 1), collapse_padding=True, pad_edge=False)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _signed(interval: Interval, unit: float, digits: int) -> str:
    value, low, high = (f"{unit * end + 0.0:+.{digits}f}" for end in interval)
    return f"{value} [{low}, {high}]"


def _within(interval: Interval) -> str:
    if math.isnan(interval.low):
        return f"{interval.value:.2f}"
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
