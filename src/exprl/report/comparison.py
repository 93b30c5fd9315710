"""Arms against each other: the stage tables in the paper's layout, paired differences, and the paper's orderings.

All numbers are those of `summary.json`; nothing is resampled here. A difference is called one only if its interval, paired by
problem, leaves out 0. The paper's own numbers stand beside ours where its model and a whole benchmark of its were used, under
a label that says whose they are (`exprl.evaluate.paper`); otherwise nothing of it is shown.

    >>> compared(record).best                                                                      # doctest: +SKIP
    ['After Stage II, outcome has the highest pass@1 on held_out (0.792): no different from combined; above delta and end.']
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exprl.evaluate.orderings import role
from exprl.evaluate.paper import LABEL, benchmark, paper_value
from exprl.report.curves import colours
from exprl.report.findings import interval, join, share, word
from exprl.report.read import STAGES, Estimate, Record
from exprl.report.rows import Row, child, number, string

__all__ = ["Compared", "Ordering", "Pair", "PairTable", "StageCell", "StageLine", "StageTable", "compared"]

_COVERAGE = 16
_NAMES = {
    "base": "the base policy",
    "sft": "SFT",
    "sparse": "sparse RL",
    "outcome": "Outcome",
    "combined": "Process + outcome credit",
}


@dataclass(frozen=True, slots=True)
class StageCell:
    """pass@k of one arm on one set; `paper` is the paper's number where it may stand beside."""

    text: str
    interval: str
    value: float | None
    paper: str = ""


@dataclass(frozen=True, slots=True)
class StageLine:
    """One arm: a cell for each set and k."""

    arm: str
    colour: int
    method: str
    cells: tuple[StageCell, ...]


@dataclass(frozen=True, slots=True)
class StageTable:
    """Arms in rows, sets in columns, two k's a set."""

    stage: str
    sets: tuple[str, ...]
    ks: tuple[int, ...]
    rows: tuple[StageLine, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """`arm` minus `other`, in words and numbers."""

    stage: str
    set: str
    k: int
    arm: str
    other: str
    text: str
    interval: str
    word: str


@dataclass(frozen=True, slots=True)
class PairTable:
    """After one stage: each arm minus the control, a column for each set and k; None where there is no such pair."""

    stage: str
    columns: tuple[tuple[str, int], ...]
    rows: tuple[tuple[str, int, tuple[Pair | None, ...]], ...]


@dataclass(frozen=True, slots=True)
class Ordering:
    """One claim on one set."""

    claim: str
    paper: bool
    measured: str
    arms: str
    text: str
    interval: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Compared:
    """The section. `against` holds the pairs with the control, `others` the remaining ones, `untested` claims."""

    tables: list[StageTable]
    control: str
    best: list[str]
    against: list[PairTable]
    others: list[Pair]
    claims: str
    orderings: list[Ordering]
    untested: list[str]
    paper: str
    budgets: str


def compared(record: Record) -> Compared:
    """Everything of the section; parts that `summary.json` lacks are empty."""
    control = string(record.summary or {}, "control")
    pairs = [_pair(row) for row in record.differences]
    tables = [table for stage in STAGES if (table := _table(record, stage)) is not None]
    shown = any(cell.paper for table in tables for row in table.rows for cell in row.cells)
    orderings = list(_orderings(record))
    return Compared(
        tables=tables,
        control=control,
        best=list(_best(record)),
        against=list(_against(record, control)),
        others=[pair for pair in pairs if control not in (pair.arm, pair.other)],
        claims=_claims(orderings),
        orderings=[row for row in orderings if row.verdict != "not run"],
        untested=[f"{row.claim} ({row.measured})" for row in orderings if row.verdict == "not run"],
        paper=LABEL if shown else "",
        budgets=_budgets(record),
    )


def _table(record: Record, stage: str) -> StageTable | None:
    arms = [arm for arm in record.arms if any(record.coverage(arm, stage, set_) for set_ in record.sets)]
    sets = tuple(set_ for set_ in record.sets if any(record.coverage(arm, stage, set_) for arm in arms))
    if not arms:
        return None
    known = sorted({k for arm in arms for set_ in sets for k in record.coverage(arm, stage, set_)})
    ks = tuple(dict.fromkeys([known[0], _COVERAGE if _COVERAGE in known else known[-1]]))
    rows = tuple(_line(record, arm, stage, sets, ks) for arm in ("base", *arms))
    return StageTable(STAGES[stage], sets, ks, rows)


def _line(record: Record, arm: str, stage: str, sets: Sequence[str], ks: Sequence[int]) -> StageLine:
    settings = child(child(record.config, "arms"), arm)
    method = "base" if arm == "base" else role(settings)
    cells = tuple(_cell(record, arm, stage, set_, k, method) for set_ in sets for k in ks)
    return StageLine(arm, colours(record)[arm], "before training" if arm == "base" else _called(method), cells)


def _cell(record: Record, arm: str, stage: str, set_: str, k: int, method: str) -> StageCell:
    estimate = record.coverage(arm, "stage1" if arm == "base" else stage, set_).get(k)
    if estimate is None:
        return StageCell("not evaluated", "", None)
    theirs = _paper(record, set_, method, stage, k)
    paper = "" if theirs is None else f"{theirs:.3f}"
    return StageCell(share(estimate.value), interval(estimate), estimate.value, paper)


def _paper(record: Record, set_: str, method: str, stage: str, k: int) -> float | None:
    source = child(child(child(record.config, "data"), "evaluate"), set_)
    problems = number(child(record.summary or {}, "problems"), set_)
    known = benchmark(set_, string(source, "path"), int(problems or 0))
    return paper_value(string(child(record.config, "policy"), "model"), known, method, stage, k)


def _pair(row: Row) -> Pair:
    found = Estimate(number(row, "value"), number(row, "low"), number(row, "high"))
    place = (string(row, "stage"), string(row, "set"), int(number(row, "k") or 0))
    return _shown(place, string(row, "arm"), string(row, "other"), found)


def _shown(place: tuple[str, str, int], arm: str, other: str, found: Estimate) -> Pair:
    stage, set_, k = place
    return Pair(STAGES.get(stage, stage), set_, k, arm, other, _signed(found), interval(found), word(found))


def _against(record: Record, control: str) -> Iterator[PairTable]:
    for stage, title in STAGES.items():
        columns = tuple(
            dict.fromkeys(
                (string(row, "set"), int(number(row, "k") or 0))
                for row in record.differences
                if row.get("stage") == stage
            )
        )
        columns = tuple(sorted(columns, key=lambda column: (record.sets.index(column[0]), column[1])))
        rows = tuple(
            (
                arm,
                colours(record)[arm],
                tuple(_cell_of_pair(record, stage, *column, arm, control) for column in columns),
            )
            for arm in ("base", *record.arms)
            if arm != control
        )
        if columns and control:
            yield PairTable(title, columns, tuple(row for row in rows if any(row[2])))


def _cell_of_pair(record: Record, stage: str, set_: str, k: int, arm: str, other: str) -> Pair | None:
    found = record.difference(stage, set_, k, arm, other)
    return None if found is None else _shown((stage, set_, k), arm, other, found)


def _best(record: Record) -> Iterator[str]:
    """On every held-out set, the arm with the highest number, and what can be said of the others."""
    sets = [set_ for set_ in record.sets if set_ != "hard_train"] or list(record.sets)
    for set_ in sets:
        for stage in STAGES:
            found = {arm: coverage for arm in record.arms if (coverage := record.coverage(arm, stage, set_))}
            ks = sorted({k for coverage in found.values() for k in coverage})
            if len(found) > 1:
                k = 1 if stage == "stage2" else _COVERAGE if _COVERAGE in ks else ks[-1]
                yield _best_of(record, set_, stage, k, {arm: c[k].value or 0.0 for arm, c in found.items() if k in c})


def _best_of(record: Record, set_: str, stage: str, k: int, values: dict[str, float]) -> str:
    best = max(values, key=lambda arm: values[arm])
    words: dict[str, list[str]] = {}
    for arm in values:
        if arm != best:
            words.setdefault(word(record.difference(stage, set_, k, best, arm)), []).append(arm)
    said = {"no difference": "no different from", "not comparable": "not comparable with", "below": "below"}
    others = "; ".join(f"{said.get(result, result)} {join(arms)}" for result, arms in words.items())
    return f"After {STAGES[stage]}, {best} has the highest pass@{k} on {set_} ({values[best]:.3f}): {others}."


def _orderings(record: Record) -> Iterator[Ordering]:
    listed = (record.summary or {}).get("orderings")
    for row in listed if isinstance(listed, list) else []:
        found = child(row, "difference")
        difference = Estimate(number(found, "value"), number(found, "low"), number(found, "high"))
        arm, other = string(row, "arm"), string(row, "other")
        stage, k = STAGES.get(string(row, "stage"), ""), int(number(row, "k") or 0)
        yield Ordering(
            claim=f"{_called(string(row, 'upper'))} above {_called(string(row, 'lower'))}",
            paper=row.get("paper") is True,
            measured=f"pass@{k} after {stage}" + (f", {string(row, 'set')}" if arm else ""),
            arms=f"{arm} minus {other}" if arm else "",
            text=_signed(difference) if found else "",
            interval=interval(difference) if found else "",
            verdict=string(row, "verdict"),
        )


def _claims(orderings: Sequence[Ordering]) -> str:
    ours = [row.verdict for row in orderings if row.paper]
    said = {
        "holds": ("holds here", "hold here"),
        "does not hold": ("is the other way round here", "are the other way round here"),
        "cannot be told": ("cannot be told (the interval includes 0)",) * 2,
        "not run": ("was not tested", "were not tested"),
    }
    parts = [f"{count} {words[count > 1]}" for verdict, words in said.items() if (count := ours.count(verdict))]
    return f"Of {len(ours)} checks of the paper's orderings, {join(parts)}." if ours else ""


def _budgets(record: Record) -> str:
    """Whether arms were given the same number of rollouts in Stage I."""
    spent: dict[str, list[str]] = {}
    for arm in record.arms:
        settings = child(child(record.config, "arms"), arm)
        parts = [number(settings, key) for key in ("steps", "prompts_per_step", "rollouts_per_prompt")]
        steps, prompts, each = parts
        sampled = steps and prompts and each and string(settings, "type") != "sft"
        total = f"{steps * prompts * each:,.0f}" if sampled and steps and prompts and each else "no"
        spent.setdefault(total, []).append(arm)
    if len(spent) < 2:
        return f"All arms were given the same budget: {next(iter(spent))} Stage-I rollouts a seed." if spent else ""
    parts_ = [f"{join(arms)} {total}" for total, arms in spent.items()]
    return f"Budgets differ (Stage-I rollouts a seed): {'; '.join(parts_)}."


def _called(method: str) -> str:
    if method.startswith("process, "):
        return f"Process ({method.removeprefix('process, ')})"
    return _NAMES.get(method, method)


def _signed(estimate: Estimate) -> str:
    return "" if estimate.value is None else f"{round(estimate.value, 3) + 0.0:+.3f}"
