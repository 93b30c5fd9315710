"""What the monitor warned of, and what it watched: the section that says whether the rewards can be trusted.

One row an alarm, arm, stage and seed: the steps at which it stood, its furthest value, and the threshold. Below them,
for every stage, where each watched number stood at the last step, since "no alarm" means little without what was looked
at. A stage that no monitor watched (a run of an earlier version) is named, and never taken for a quiet one.

    >>> [(row.name, row.steps, row.value) for row in alarms(record).rows]                          # doctest: +SKIP
    [('high_but_wrong', '41 to 60 (20 of them)', '0.55')]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from exprl.config import Floor, MonitorConfig
from exprl.errors import RunError
from exprl.measures import read_measures
from exprl.monitor import Standing, standings
from exprl.report.read import STAGES, Record, Stage
from exprl.report.rows import Row, child, number, read_rows, string

__all__ = ["AlarmRow", "Alarms", "WatchedRow", "alarms"]


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """One alarm of one stage, over the steps at which it stood."""

    arm: str
    stage: str
    seed: int
    name: str
    level: str
    steps: str
    value: str
    threshold: str
    words: str


@dataclass(frozen=True, slots=True)
class WatchedRow:
    """Where a watched number stood at the last step of a stage."""

    arm: str
    stage: str
    seed: int
    name: str
    value: str
    rollouts: int
    warn: str
    stop: str


@dataclass(frozen=True, slots=True)
class Alarms:
    """The section: `unwatched` names the stages that no monitor looked at."""

    rows: list[AlarmRow]
    watched: list[WatchedRow]
    watching: list[str]
    unwatched: list[str]


def alarms(record: Record) -> Alarms:
    """The alarms of a run and what was watched.

    Raises:
        RunError: `monitor` in config.json cannot be read, or a damaged alarms.jsonl.
    """
    config = _config(record)
    runs = [run for arm in record.arms for stage in STAGES for run in record.of(arm, stage) if run.metrics]
    seen = {run.folder: any(read_measures(row.get("monitor")) for row in run.metrics) for run in runs}
    return Alarms(
        rows=[row for run in record.stages for row in _alarm_rows(run)],
        watched=[_watched_row(run, at) for run in runs for at in _standings(run, config)],
        watching=[_title(run, record) for run in runs if seen[run.folder]],
        unwatched=[_title(run, record) for run in runs if not seen[run.folder]],
    )


def _config(record: Record) -> MonitorConfig:
    try:
        return MonitorConfig.model_validate(child(record.config, "monitor"))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise RunError(f"{record.folder / 'config.json'}: monitor.{where} cannot be read; restore the file") from None


def _standings(run: Stage, config: MonitorConfig) -> list[Standing]:
    history = [(int(number(row, "step") or 0), read_measures(row.get("monitor"))) for row in run.metrics]
    return standings(history, config)


def _alarm_rows(run: Stage) -> Iterator[AlarmRow]:
    by_kind: dict[tuple[str, str], list[Row]] = {}
    for _, row in read_rows(run.folder / "alarms.jsonl"):
        by_kind.setdefault((string(row, "name"), string(row, "level")), []).append(row)
    for (name, level), rows in by_kind.items():
        furthest = _furthest(name, rows)
        yield AlarmRow(
            arm=run.arm,
            stage=STAGES[run.stage],
            seed=run.seed,
            name=name,
            level={"warn": "warned", "stop": "stopped"}.get(level, level),
            steps=_steps([step for row in rows if (step := number(row, "step")) is not None]),
            value=_said(number(furthest, "value")),
            threshold=_said(number(furthest, "threshold")),
            words=string(furthest, "words"),
        )


def _furthest(name: str, rows: Sequence[Row]) -> Row:
    field = MonitorConfig.model_fields.get(name.partition(":")[0])
    sign = -1.0 if field is not None and isinstance(field.default, Floor) else 1.0
    return max(rows, key=lambda row: sign * (number(row, "value") or 0.0))


def _steps(steps: Sequence[float]) -> str:
    first, last, count = min(steps, default=0), max(steps, default=0), len(set(steps))
    if count <= 1:
        return f"{first:.0f}"
    return f"{first:.0f} to {last:.0f}" + (f" ({count} of them)" if count < last - first + 1 else "")


def _watched_row(run: Stage, at: Standing) -> WatchedRow:
    return WatchedRow(
        run.arm,
        STAGES[run.stage],
        run.seed,
        at.name,
        _said(at.value),
        at.n,
        _said(at.threshold.warn),
        _said(at.threshold.stop),
    )


def _title(run: Stage, record: Record) -> str:
    return f"{run.arm}, {STAGES[run.stage]}" + (f", seed {run.seed}" if len(record.seeds) > 1 else "")


def _said(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
