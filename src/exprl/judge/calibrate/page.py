"""A card as one static HTML page: what the judge is worth, in words, tables and three plots. No network, no script.

It looks like a run's report and shares its style sheet and charts. The paper's numbers stand beside the card's own and are
labelled as the paper's: other data, other answers, so they say what to expect of a judge of that size and no more. All text
is escaped, unseen characters are shown by their code point, and the Content-Security-Policy allows the one style sheet.

What it refuses: to be written without jinja2 (`EngineError`, before anything is asked).
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from exprl.errors import EngineError
from exprl.evaluate.intervals import Interval
from exprl.judge.calibrate.card import JudgeCard
from exprl.judge.calibrate.words import percent, plain, with_interval
from exprl.report.charts import Frame, Series, Svg, line_chart, swatch, whisker
from exprl.report.scales import Axis
from exprl.report.visible import visible
from exprl.runs import write_text

if TYPE_CHECKING:
    import jinja2

__all__ = ["PAPER", "load_template", "write_page"]

PAPER = (
    ("4B judge, math", 17.8, 39.2, 50.4),
    ("4B judge, science, multiple choice", 14.0, 37.5, 46.0),
    ("4B judge, science, open", 11.4, 25.2, 36.7),
    ("4B judge, code", 9.7, 8.2, 10.0),
    ("0.6B judge, math", 48.6, 48.5, 47.5),
)
"""Misplacement in per cent with correct, no and wrong reference (arXiv 2606.17024)."""

_NAMES = {"correct": "correct reference", "none": "no reference", "wrong": "wrong reference"}
_RATES = (
    ("misplacement", "misplacement"),
    ("fpr", "wrong taken for correct (FPR)"),
    ("fnr", "correct taken for wrong (FNR)"),
    ("auroc", "AUROC"),
    ("unscored_rate", "unscored"),
)
_COLOURS = {"correct": 2, "none": 0, "wrong": 1}


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    interval: str
    value: float | None
    picture: Svg


def write_page(path: Path, card: JudgeCard) -> None:
    """Write the page; at any moment the file is the old one or the new one.

    Raises:
        EngineError: jinja2 is not installed.
    """
    write_text(path, load_template().render(**_contents(card)))


def load_template() -> jinja2.Template:
    """The page's template.

    Raises:
        EngineError: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError:
        raise EngineError(
            "a card's page needs jinja2, which is not installed; run: pip install 'exprl[eval]'"
        ) from None
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    return environment.from_string(_asset("exprl.judge.calibrate", "card.html.j2"))


def _contents(card: JudgeCard) -> Mapping[str, object]:
    style = _asset("exprl.report", "style.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return {
        "card": card,
        "style": Svg(style),
        "policy": f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        "about": list(_about(card)),
        "columns": [name for _, name in _RATES],
        "conditions": [(_NAMES[name], _COLOURS[name], row) for name, row in _rows(card)],
        "paper": PAPER,
        "differences": [
            (_NAMES[name], _points(result.difference))
            for name, result in card.conditions.items()
            if result.difference is not None
        ],
        "legend": [(_NAMES[name], swatch(_COLOURS[name])) for name in card.conditions],
        "curve": _curve(card),
        "lengths": [
            (_NAMES[name], *(with_interval(rho, signed=True) for rho in (result.lengths.correct, result.lengths.wrong)))
            for name, result in card.conditions.items()
        ],
        "reasons": [(_NAMES[name], result.reasons) for name, result in card.conditions.items() if result.reasons],
        "process": list(_process(card)),
        "profile": _profile(card),
        "attack": list(_attack(card)),
    }


def _points(interval: Interval) -> str:
    """A difference of shares in percentage points with its ends."""
    if math.isnan(interval.value):
        return "n/a"
    return f"{100 * interval.value:+.1f} points [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"


def _asset(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _about(card: JudgeCard) -> Iterator[tuple[str, str]]:
    yield "judge", card.judge
    yield "model", card.model or "none"
    yield "prompts or rules", card.template_hash[:16]
    yield "scope", card.scope
    yield "domains", ", ".join(card.domains)
    yield "data", f"{card.data.file} (SHA-256 {card.data.sha256[:12]})"
    left = f", {card.data.left_out:,} without a reference left out" if card.data.left_out else ""
    yield "answers", f"{card.data.used:,} of {card.data.rows:,}{left}; seed {card.data.seed}"
    yield "problems", f"{card.conditions['correct'].rates.problems:,}"
    yield "date", card.date
    yield "made with", f"exprl {card.exprl}"
    usage = card.usage
    if usage.calls:
        yield "cost", f"{usage.calls:,} calls, {usage.prompt_tokens:,} tokens in, {usage.completion_tokens:,} out"


def _rows(card: JudgeCard) -> Iterator[tuple[str, list[_Cell]]]:
    for name, result in card.conditions.items():
        yield name, [_cell(getattr(result.rates, key), key, _COLOURS[name]) for key, _ in _RATES]


def _cell(interval: Interval, key: str, colour: int) -> _Cell:
    if math.isnan(interval.value):
        return _Cell("n/a", "", None, Svg(""))
    if key == "auroc":
        return _Cell(
            f"{interval.value:.3f}",
            f"{interval.low:.3f} to {interval.high:.3f}",
            interval.value,
            whisker(*interval, colour),
        )
    ends = f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"
    return _Cell(percent(interval.value), ends, interval.value, whisker(*interval, colour))


def _curve(card: JudgeCard) -> Svg | None:
    series = [
        Series(
            name=_NAMES[name],
            colour=_COLOURS[name],
            xs=[point.score for point in result.curve],
            ys=[point.correct.value for point in result.curve],
            lows=[point.correct.low for point in result.curve],
            highs=[point.correct.high for point in result.curve],
            markers=True,
        )
        for name, result in card.conditions.items()
        if result.curve
    ]
    frame = Frame(x=Axis("score", 0, 1), y=Axis("share correct", 0, 1), title="Share of correct answers by score")
    return line_chart(series, frame) if series else None


def _process(card: JudgeCard) -> Iterator[tuple[str, str]]:
    found = card.process.prefixes if card.process is not None else None
    if found is not None:
        yield "traces", f"{found.traces:,}, of which {found.with_error:,} with an error"
        yield "prefixes", f"{found.prefixes:,}, of which {found.unscored:,} unscored"
        yield "change by a step, traces without an error", with_interval(found.change_sound, signed=True)
        yield "change by a step before the first error", with_interval(found.change_before, signed=True)
        yield "change by the first wrong step", with_interval(found.change_at, signed=True)
        yield "change by a step after it", with_interval(found.change_after, signed=True)
        place = f"; {percent(found.place)} if at a random place" if found.place is not None else ""
        yield (
            "best prefix before the error",
            f"{with_interval(found.maximum_before)} of {found.maximum_traces:,} traces ({found.maximum_flat:,} of "
            f"them with one score throughout, which counts){place}",
        )
        yield "AUROC, prefixes with equally many steps", plain(found.auroc_same_step)
        yield "AUROC, all prefixes", plain(found.auroc_prefix)
        yield "AUROC, whole traces", plain(found.auroc_whole)
    sampled = card.process.monte_carlo if card.process is not None else None
    if sampled is not None:
        rho = with_interval(sampled.spearman, signed=True)
        yield "score against success of continuations (Spearman)", f"{rho}, {sampled.prefixes:,} prefixes"


def _profile(card: JudgeCard) -> Svg | None:
    found = card.process.prefixes if card.process is not None else None
    if found is None or not found.profile:
        return None
    points = found.profile
    series = Series(
        name="mean score",
        colour=2,
        xs=[point.step for point in points],
        ys=[point.score.value for point in points],
        lows=[point.score.low for point in points],
        highs=[point.score.high for point in points],
        markers=True,
    )
    axis = Axis("steps after the first wrong one", min(series.xs), max(series.xs))
    return line_chart(
        [series], Frame(x=axis, y=Axis("prefix score", 0, 1), title="Prefix score around the first error")
    )


def _attack(card: JudgeCard) -> Iterator[tuple[str, list[str]]]:
    """One row a class of attack, one cell a condition. What it holds was measured elsewhere: it is read with care."""
    conditions = (card.attack or {}).get("conditions")
    tables = {name: conditions.get(name) for name in _NAMES} if isinstance(conditions, dict) else {}
    classes = dict.fromkeys(str(kind) for table in tables.values() if isinstance(table, dict) for kind in table)
    for kind in classes:
        cells = [table.get(kind) if isinstance(table, dict) else None for table in tables.values()]
        yield kind, [_success(cell) for cell in cells]


def _success(cell: object) -> str:
    if not isinstance(cell, dict):
        return "n/a"
    rate, low, high = (_share(cell.get(key)) for key in ("rate", "low", "high"))
    unscored = cell.get("unscored")
    silent = f", {unscored} unscored" if isinstance(unscored, int) and unscored else ""
    if math.isnan(rate):
        return f"n/a{silent}"
    return f"{with_interval(Interval(rate, low, high))}, {cell.get('successes')} of {cell.get('n')}{silent}"


def _share(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
