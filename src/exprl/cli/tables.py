"""Printing a summary: the headline table with its intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from exprl.cli.options import console

__all__ = ["show_summary"]

STAGES = {"stage1": "Stage I", "stage2": "Stage II"}


def show_summary(summary: Mapping[str, Any], *, as_json: bool) -> None:
    """Print pass@1 and the widest pass@k of every arm, stage and set."""
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


def _cell(number: Mapping[str, float | None] | None) -> str:
    if number is None or number["value"] is None:
        return "unscored"
    return f"{number['value']:.3f} [{number['low']:.3f}, {number['high']:.3f}]"
