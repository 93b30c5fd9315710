"""The tables of pass@k: the headline, and every k.

Every number keeps its exact value beside its rounded text (`<data value>`), so that a program can read the page. A cell
without a number says so in a word; nothing is shown as 0 that was not counted as 0.

    >>> headline(record)[0].rows[0].arm                                                            # doctest: +SKIP
    'base'
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exprl.report.charts import Svg, whisker
from exprl.report.curves import colours
from exprl.report.findings import against, baseline, interval, share
from exprl.report.read import STAGES, Estimate, Record
from exprl.report.tally import Tally

__all__ = ["Cell", "Line", "SetTable", "full", "headline"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A number with its interval: for people and, in `value`, exact. `value` is None where there is none."""

    k: int
    text: str
    interval: str
    value: float | None
    low: float | None
    high: float | None
    picture: Svg


@dataclass(frozen=True, slots=True)
class Line:
    """One arm after one stage on one set; `gain` is that of pass@1 over Stage I, paired by problem."""

    arm: str
    stage: str
    colour: int
    cells: tuple[Cell, ...]
    against: str
    gain: Estimate
    gain_interval: str
    graded: str
    missing: str = ""


@dataclass(frozen=True, slots=True)
class SetTable:
    """All arms on one set."""

    set: str
    ks: tuple[int, ...]
    problems: int
    against: str
    rows: tuple[Line, ...]


def headline(record: Record) -> list[SetTable]:
    """Arms by stage with pass@1, pass@8 and the largest k, a table a set."""
    return [_set_table(record, set_, (1, 8)) for set_ in record.sets]


def full(record: Record) -> list[SetTable]:
    """The same with every k."""
    return [_set_table(record, set_, None) for set_ in record.sets]


def _set_table(record: Record, set_: str, wanted: tuple[int, ...] | None) -> SetTable:
    places = [("base", "stage1"), *((arm, stage) for arm in record.arms for stage in _stages(record))]
    known = sorted({k for arm, stage in places for k in record.coverage(arm, stage, set_)})
    ks = tuple(k for k in known if wanted is None or k in wanted or k == known[-1])
    rows = tuple(_line(record, arm, stage, set_, ks) for arm, stage in places)
    problems = max((len(t.graded) for a, s in places for t in record.tallies(a, s, set_).values()), default=0)
    return SetTable(set_, ks, problems, baseline(record), rows)


def _stages(record: Record) -> list[str]:
    ran = {run.stage for run in record.stages}
    return [stage for stage in STAGES if stage in ran or stage == "stage1" or record.config.get("stage2") is not None]


def _line(record: Record, arm: str, stage: str, set_: str, ks: Sequence[int]) -> Line:
    estimates, colour = record.coverage(arm, stage, set_), colours(record)[arm]
    title = "before training" if arm == "base" else STAGES[stage]
    missing = "" if estimates else "not evaluated" if record.of(arm, stage) else "has not run"
    cells = tuple(_cell(k, estimates[k], colour) if k in estimates else _empty(k) for k in ks)
    graded = _graded(list(record.tallies(arm, stage, set_).values()))
    gain = record.gain(arm, set_) if stage == "stage2" else Estimate(None, None, None)
    against = _against(record, arm, stage, set_, ks)
    return Line(arm, title, colour, cells, against, gain, interval(gain), graded, missing)


def _cell(k: int, estimate: Estimate, colour: int) -> Cell:
    value, low, high = estimate.value, estimate.low, estimate.high
    drawn = value is not None and low is not None and high is not None
    picture = whisker(value or 0.0, low or 0.0, high or 0.0, colour) if drawn else Svg("")
    return Cell(k, share(value), interval(estimate), value, low, high, picture)


def _empty(k: int) -> Cell:
    return Cell(k, "none", "", None, None, None, Svg(""))


def _against(record: Record, arm: str, stage: str, set_: str, ks: Sequence[int]) -> str:
    other = baseline(record)
    if arm in ("base", other) or not record.coverage(arm, stage, set_):
        return ""
    results = {k: against(record, stage, set_, k, arm, other) for k in (ks[0], ks[-1])} if ks else {}
    if len(set(results.values())) == 1:
        return next(iter(results.values()))
    return ", ".join(f"pass@{k} {result}" for k, result in results.items())


def _graded(tallies: Sequence[Tally]) -> str:
    if not tallies:
        return "none"
    samples, unscored = sum(t.samples for t in tallies), sum(t.unscored for t in tallies)
    truncated = sum(t.truncated for t in tallies)
    return f"{samples:,} samples, {unscored:,} unscored, {truncated:,} truncated"
