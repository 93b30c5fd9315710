"""How various the samples are: `summary.json`'s measures of diversity, an arm and stage a row.

>>> various(record)[0].rows[0].cells[0].text                                                   # doctest: +SKIP
'13.60'
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exprl.report.curves import colours
from exprl.report.read import STAGES, Record
from exprl.report.rows import child, number

__all__ = ["COLUMNS", "VariousCell", "VariousLine", "VariousTable", "various"]

COLUMNS = {
    "distinct_answers": "different answers a problem",
    "answer_entropy": "entropy of answers, bits",
    "distinct_wrong": "different wrong answers",
    "approaches": "two right ones calculate differently",
    "wording": "their wordings differ by",
}


@dataclass(frozen=True, slots=True)
class VariousCell:
    """One measure with its interval, and the number of problems where that is not all of them."""

    text: str
    interval: str
    problems: str = ""


@dataclass(frozen=True, slots=True)
class VariousLine:
    """One arm after one stage."""

    arm: str
    colour: int
    stage: str
    cells: tuple[VariousCell, ...]


@dataclass(frozen=True, slots=True)
class VariousTable:
    """All arms on one set."""

    set: str
    rows: tuple[VariousLine, ...]


def various(record: Record) -> list[VariousTable]:
    """A table a set; none where the summary has no diversity."""
    tables = (VariousTable(set_, tuple(_lines(record, set_))) for set_ in record.sets)
    return [table for table in tables if table.rows]


def _lines(record: Record, set_: str) -> Iterator[VariousLine]:
    for arm in ("base", *record.arms):
        for stage, title in STAGES.items():
            measures = child(child(child(child(record.summary or {}, "diversity"), arm), stage), set_)
            if measures:
                total = number(child(record.summary or {}, "problems"), set_)
                cells = tuple(_cell(child(measures, key), key, total) for key in COLUMNS)
                shown = "before training" if arm == "base" else title
                yield VariousLine(arm, colours(record)[arm], shown, cells)


def _cell(measure: dict[str, object], key: str, total: float | None) -> VariousCell:
    value, low, high = (number(measure, name) for name in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return VariousCell("none" if key in ("approaches", "wording") else "no answers", "")
    problems = number(measure, "problems")
    fewer = f"{problems:.0f} problems" if problems is not None and problems != total else ""
    return VariousCell(f"{value:.2f}", f"{low:.2f} to {high:.2f}", fewer)
