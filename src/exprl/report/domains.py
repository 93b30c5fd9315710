"""Sets of several domains, a domain at a time: the numbers of `summary.json`'s "domains".

>>> by_domain(record)[0].domains                                                               # doctest: +SKIP
('code (48)', 'math (48)')
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exprl.report.curves import colours
from exprl.report.findings import interval, share
from exprl.report.read import STAGES, Estimate, Record
from exprl.report.rows import Row, child, number

__all__ = ["DomainCell", "DomainLine", "DomainTable", "by_domain"]


@dataclass(frozen=True, slots=True)
class DomainCell:
    """pass@k of one arm on one domain's problems."""

    text: str
    interval: str


@dataclass(frozen=True, slots=True)
class DomainLine:
    """One arm after one stage: a cell for each domain and k."""

    arm: str
    colour: int
    stage: str
    cells: tuple[DomainCell, ...]


@dataclass(frozen=True, slots=True)
class DomainTable:
    """One mixed set: domains in columns, each with the same k's."""

    set: str
    domains: tuple[str, ...]
    ks: tuple[int, ...]
    rows: tuple[DomainLine, ...]


def by_domain(record: Record) -> list[DomainTable]:
    """A table for every set of more than one domain; none where the summary has no split."""
    split = child(record.summary or {}, "domains")
    return [table for set_ in record.sets if (table := _table(record, split, set_)) is not None]


def _table(record: Record, split: Row, set_: str) -> DomainTable | None:
    base = {domain: _numbers(split, domain, "base", "stage1", set_) for domain in sorted(split)}
    base = {domain: numbers for domain, numbers in base.items() if numbers}
    if not base:
        return None
    ks = sorted(int(key[5:]) for key in next(iter(base.values())) if key.startswith("pass@"))
    shown = tuple(dict.fromkeys((ks[0], ks[-1])))
    names = tuple(f"{domain} ({number(numbers, 'problems') or 0:.0f})" for domain, numbers in base.items())
    return DomainTable(set_, names, shown, tuple(_lines(record, split, set_, tuple(base), shown)))


def _lines(
    record: Record, split: Row, set_: str, domains: tuple[str, ...], ks: tuple[int, ...]
) -> Iterator[DomainLine]:
    for arm in ("base", *record.arms):
        for stage, title in STAGES.items():
            found = [_numbers(split, domain, arm, stage, set_) for domain in domains]
            if any(found):
                cells = tuple(_cell(child(numbers, f"pass@{k}")) for numbers in found for k in ks)
                yield DomainLine(arm, colours(record)[arm], "before training" if arm == "base" else title, cells)


def _numbers(split: Row, domain: str, arm: str, stage: str, set_: str) -> Row:
    return child(child(child(child(split, domain), arm), stage), set_)


def _cell(row: Row) -> DomainCell:
    estimate = Estimate(number(row, "value"), number(row, "low"), number(row, "high"))
    return DomainCell(share(estimate.value), interval(estimate))
