"""Printing a summary: the headline table with its intervals, and the arms against each other in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from exprl.cli.options import console

__all__ = ["show_summary"]

STAGES = {"stage1": "Stage I", "stage2": "Stage II"}


def show_summary(summary: Mapping[str, Any], *, as_json: bool) -> None:
    """Print pass@1 and the widest pass@k of every arm, stage and set, then each arm against the control."""
    if as_json:
        print(json.dumps(summary))
        return
    from rich.table import Table

    table = Table(title=f"{summary['name']}: coverage, {summary['level']:.0%} intervals over problems")
    for column in ("arm", "stage", "set", "pass@1", f"pass@{summary['n']}"):
        table.add_column(column)
    for arm, stages in summary["arms"].items():
        for stage, sets in stages.items():
            for name, numbers in sets.items():
                cells = [_cell(numbers.get(key)) for key in ("pass@1", f"pass@{summary['n']}")]
                table.add_row(arm, "before training" if arm == "base" else STAGES[stage], name, *cells)
    console().print(table)
    for line in _compared(summary):
        console().print(line, highlight=False, markup=False)


def _cell(number: Mapping[str, float | None] | None) -> str:
    if number is None or number["value"] is None:
        return "unscored"
    return f"{number['value']:.3f} [{number['low']:.3f}, {number['high']:.3f}]"


def _compared(summary: Mapping[str, Any]) -> Iterator[str]:
    """A line a stage and set: the arms above the control, below it, and those of which neither can be said."""
    control = summary.get("control")
    words: dict[tuple[str, str, int], dict[str, list[str]]] = {}
    for row in summary.get("differences", ()):
        wanted = 1 if row["stage"] == "stage2" else max(r["k"] for r in summary["differences"])
        if control in (row["arm"], row["other"]) and row["k"] == wanted:
            arm = row["other"] if row["arm"] == control else row["arm"]
            word = _word(row["low"], row["high"], turned=row["arm"] == control)
            if arm != "base":
                words.setdefault((row["stage"], row["set"], row["k"]), {}).setdefault(word, []).append(arm)
    for (stage, name, k), found in words.items():
        said = "; ".join(f"{word} {control}: {', '.join(arms)}" for word, arms in found.items())
        yield f"{name}, pass@{k} after {STAGES[stage]}, paired by problem: {said}"
    verdicts = [row["verdict"] for row in summary.get("orderings", ()) if row["paper"] and row["verdict"] != "not run"]
    if verdicts:
        counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))
        yield f"the paper's orderings that this run can test: {counts} (the report says which)"


def _word(low: float, high: float, *, turned: bool) -> str:
    if low <= 0 <= high:
        return "no different from"
    return "above" if (low > 0) != turned else "below"
