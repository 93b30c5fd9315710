"""The page itself: everything gathered, put into the template, and written in one go.

One file, no network: the style sheet stands in the page, there is no script, and the Content-Security-Policy allows
nothing but that one style sheet, by its hash. Every text goes through jinja2's escaping after unseen characters were
made visible; only charts, which are made of numbers and escaped labels, go in as markup. A page that comes out too
large is made again with fewer and shorter rollouts until it stays under `MAX_BYTES`.

What it refuses: to be written without jinja2 (`EngineError` that says what to install), and to replace a report by
half of one (the file is renamed into place).

    >>> write_report(Path("runs/demo"))                                                            # doctest: +SKIP
    PosixPath('runs/demo/report.html')
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from exprl.data.hardness import Why
from exprl.errors import EngineError
from exprl.report.alarms import alarms
from exprl.report.cautions import cautions, missing_parts
from exprl.report.charts import Svg, swatch
from exprl.report.comparison import compared
from exprl.report.costs import costs
from exprl.report.curves import colours, coverage, training
from exprl.report.domains import by_domain
from exprl.report.evaluator import evaluator_side
from exprl.report.findings import findings
from exprl.report.read import Record, read_run
from exprl.report.rooms import rooms
from exprl.report.rows import Row, child, number, string
from exprl.report.tables import full, headline
from exprl.report.unlocked import unlocked
from exprl.report.various import COLUMNS, various
from exprl.report.visible import visible
from exprl.runs import write_text

if TYPE_CHECKING:
    import jinja2

__all__ = ["MAX_BYTES", "write_page", "write_report"]

MAX_BYTES = 3_000_000
# (rollouts on show over all rooms, characters of text a rollout), tried in turn.
_BUDGETS = ((48, 6000), (32, 3000), (16, 1000), (0, 200))


@dataclass(frozen=True, slots=True)
class _Fact:
    name: str
    value: str


def write_report(run_dir: Path) -> Path:
    """Write `report.html` of a run, finished or not, from the files of its directory alone.

    Returns:
        The path of the page: one file of at most 3 MB that needs no network.

    Raises:
        EngineError: jinja2 is not installed.
        RunError: `run_dir` is not a run directory, one of its files is damaged, or the disk is full.
    """
    _template()
    return write_page(read_run(run_dir), run_dir / "report.html")


def write_page(record: Record, path: Path, *, command: str = "") -> Path:
    """Write the page of what was read, of one run or of several; `command` makes it again, or runs it again."""
    template = _template()
    page = ""
    for limit, budget in _BUDGETS:
        page = template.render(**_contents(record, limit, budget, command or _command(record)))
        if len(page.encode()) < MAX_BYTES:
            break
    write_text(path, page)
    return path


def _template() -> jinja2.Template:
    try:
        import jinja2
    except ImportError:
        raise EngineError("the report needs jinja2, which is not installed; run: pip install 'exprl[eval]'") from None
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_finalize
    )
    environment.filters["whole"] = _whole
    environment.filters["duration"] = _duration
    return environment.from_string(_asset("template.html.j2"))


def _finalize(value: object) -> object:
    return visible(value) if type(value) is str else value


def _asset(name: str) -> str:
    return resources.files("exprl.report").joinpath(name).read_text(encoding="utf-8")


def _contents(record: Record, limit: int, budget: int, command: str) -> Mapping[str, object]:
    style = _asset("style.css")
    shown = rooms(record, limit=limit, budget=budget) if limit else []
    return {
        "name": record.name,
        "style": Svg(style),
        "policy": f"default-src 'none'; style-src 'sha256-{_sha256(style)}'; base-uri 'none'; form-action 'none'",
        "legend": [(arm, swatch(colour)) for arm, colour in colours(record).items()],
        "about": list(_about(record)),
        "findings": findings(record),
        "missing": missing_parts(record),
        "cautions": cautions(record),
        "compared": compared(record),
        "paired": bool(record.differences),
        "various": various(record),
        "various_columns": list(COLUMNS.values()),
        "headline": headline(record),
        "by_domain": by_domain(record),
        "full": full(record),
        "coverage": [(set_, coverage(record, set_)) for set_ in record.sets],
        "training": training(record),
        "alarms": alarms(record),
        "seeds": record.seeds,
        "unlocked": unlocked(record),
        "rooms": shown,
        "evaluator": evaluator_side(record, shown),
        "costs": costs(record),
        "filter": list(_filter_facts(record)),
        "versions": list(_facts(record.environment)) or list(_facts(child(record.summary or {}, "versions"))),
        "config": _without_passwords(json.dumps(record.config, indent=2)),
        "command": command,
        "level": number(child(record.config, "evaluate"), "level") or 0.95,
    }


def _command(record: Record) -> str:
    # A finished run is never written over, so a repetition needs another name.
    return f"exprl run {string(record.config, 'output') or 'runs'}/{record.name}/config.json --name {record.name}-again"


def _about(record: Record) -> Iterator[_Fact]:
    yield _Fact("policy", string(child(record.config, "policy"), "model") or "unknown")
    judge = child(record.config, "judge")
    yield _Fact("judge", string(judge, "model") or string(judge, "type") or "unknown")
    for arm in record.arms:
        settings = child(child(record.config, "arms"), arm)
        yield _Fact(arm, _method(settings) if settings else "not in config.json")
    if child(record.config, "stage2"):
        yield _Fact("Stage II", _method(child(record.config, "stage2")))
    yield _Fact("seeds", ", ".join(str(seed) for seed in record.seeds) or "unknown")


def _method(settings: Row) -> str:
    said = [string(settings, "type")]
    if settings.get("credit"):
        weight = number(settings, "outcome_weight") or 0.0
        credit = f"credit {string(settings, 'credit')} of {string(settings, 'scope') or 'prefix'} scores"
        said.append(credit + (f" + {weight:g} x outcome credit" if weight else ""))
    steps, prompts, each = (number(settings, key) for key in ("steps", "prompts_per_step", "rollouts_per_prompt"))
    if steps and prompts and each:
        said.append(f"{steps:.0f} steps of {prompts:.0f} x {each:.0f} rollouts")
    epochs, batch = number(settings, "epochs"), number(settings, "batch")
    if epochs and batch:
        said.append(f"{epochs:.0f} epochs of the reference solutions, {batch:.0f} an update, no rollouts")
    rate = number(settings, "learning_rate")
    return ", ".join([*said, f"learning rate {rate:g}"] if rate else said)


def _filter_facts(record: Record) -> Iterator[_Fact]:
    if record.filtered:
        kept = sum(row.get("kept") is True for row in record.filtered)
        yield _Fact("candidate problems tried", f"{len(record.filtered):,}")
        yield _Fact("kept as hard", f"{kept:,}")
        # Only reasons of the filter's own fixed list are shown: other text might quote a reference.
        whys = [string(row, "why") for row in record.filtered if row.get("kept") is not True]
        for why in get_args(Why):
            if why in whys:
                yield _Fact(f"left out: {why}", f"{whys.count(why):,}")
        if other := sum(why not in get_args(Why) for why in whys):
            yield _Fact("left out for another reason", f"{other:,}")


def _facts(row: Row, prefix: str = "") -> Iterator[_Fact]:
    for key, value in row.items():
        if isinstance(value, dict) and not prefix:
            yield from _facts(value, f"{key}.")
        elif isinstance(value, str | int | float):
            yield _Fact(prefix + key, str(value)[:300])


def _without_passwords(text: str) -> str:
    return re.sub(r"(://)[^/\s\"]*@", r"\1", text)


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _whole(value: float | None) -> str:
    return "not recorded" if value is None else f"{value:,.0f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "not recorded"
    hours, rest = divmod(round(seconds), 3600)
    return (
        f"{hours} h {rest // 60} min"
        if hours
        else f"{rest // 60} min {rest % 60} s"
        if rest >= 60
        else f"{seconds:.0f} s"
    )
