"""Alarms for a reward that stops meaning what it should, from what a training step has in its hands anyway. Pure.

    length, length_growth   rank correlation of reward with length within groups, and its rise since the start
    high_but_wrong          share of verified wrong answers that the judge scores 0.75 or more
    low_but_right           share of verified right answers that it scores less
    held_out_gap, _growth   mean score minus that of a judge of weight 0, and its rise
    held_out_rank           rank correlation of the two within groups
    markers, segments       how many a rollout has, as a factor since the start, up or down
    unscored, truncated     shares of rollouts

Every step is measured once (`exprl.measures`). What stands now is the mean of the last `window` steps that have the
measure, and of as many more as it takes to have `minimum` rollouts; the start is the same from the front, and a change
is told only where the two do not overlap. So a small batch waits longer instead of raising noise.

What it refuses: to take part in the reward, and to raise an alarm from steps that lie back: the latest step must have
the measure.

    >>> steps = [(step, {"truncated": Measure(0.4, 64)}) for step in range(1, 11)]
    >>> [(alarm.name, alarm.level) for alarm in alarms(steps, MonitorConfig())]
    [('truncated', 'warn')]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from exprl.config import Floor, Limit, MonitorConfig
from exprl.measures import Measure, Measures, measure
from exprl.methods.batch import Credits, RolloutBatch

__all__ = ["Alarm", "History", "Level", "Standing", "Watched", "alarms", "standings", "watch"]

Level = Literal["warn", "stop"]

History = Sequence[tuple[int, Measures]]
"""Steps in order, each with what was measured in it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one watched number stands at the latest step: `name` is a key of `MonitorConfig`, `:judge` added."""

    name: str
    step: int
    value: float
    n: int
    threshold: Limit | Floor
    words: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """A standing beyond a threshold; `words` say what that means."""

    name: str
    level: Level
    step: int
    value: float
    threshold: float
    words: str


@dataclass(frozen=True, slots=True)
class Watched:
    """What the monitor has to say of a step."""

    measures: Measures
    alarms: tuple[Alarm, ...]


def watch(
    history: History, step: int, batch: RolloutBatch, credits: Credits, config: MonitorConfig, *, marker: str
) -> Watched:
    """Measure a step and raise what it gives rise to, after the steps of `history`."""
    measures = measure(batch, credits, marker=marker)
    return Watched(measures, tuple(alarms([*history, (step, measures)], config)))


def alarms(history: History, config: MonitorConfig) -> list[Alarm]:
    """What the latest step of the history gives rise to; the worse level where both are reached."""
    return [alarm for standing in standings(history, config) if (alarm := _alarm(standing)) is not None]


def standings(history: History, config: MonitorConfig) -> list[Standing]:
    """Where every watched number stands at the latest step; what has too few rollouts yet is left out."""
    if not history:
        return []
    step, latest = history[-1]
    found = []
    for rule in _RULES:
        threshold: Limit | Floor = getattr(config, rule.name)
        for key in latest:
            kind, _, judge = key.partition(":")
            if kind == rule.measure and (now := _now(rule, [m[key] for _, m in history if key in m], config)):
                name, words = (f"{rule.name}:{judge}", f"{rule.words} ({judge})") if judge else (rule.name, rule.words)
                found.append(Standing(name, step, now.value, now.n, threshold, words))
    return found


def _alarm(standing: Standing) -> Alarm | None:
    levels: tuple[tuple[Level, float | None], ...] = (
        ("stop", standing.threshold.stop),
        ("warn", standing.threshold.warn),
    )
    for level, at in levels:
        if at is not None and _reached(standing, at):
            return Alarm(standing.name, level, standing.step, standing.value, at, standing.words)
    return None


def _reached(standing: Standing, at: float) -> bool:
    return standing.value <= at if isinstance(standing.threshold, Floor) else standing.value >= at


def _now(rule: _Rule, steps: Sequence[Measure], config: MonitorConfig) -> Measure | None:
    """The number of a rule at the last of these steps, or None while there are too few."""
    recent, used = _pooled(reversed(steps), config)
    if recent is None or rule.change is None:
        return recent
    start, before = _pooled(steps, config)
    if start is None or before + used > len(steps):
        return None
    return Measure(rule.change(start.value, recent.value), min(start.n, recent.n))


def _pooled(steps: Iterable[Measure], config: MonitorConfig) -> tuple[Measure | None, int]:
    """The mean over the first of these steps, as many as it takes, and how many that is."""
    total, n, used = 0.0, 0, 0
    for value, count in steps:
        total, n, used = total + value * count, n + count, used + 1
        if used >= config.window and n >= config.minimum:
            return Measure(total / n, n), used
    return None, used


def _rise(start: float, now: float) -> float:
    return now - start


def _factor(start: float, now: float) -> float:
    # Under one a rollout there is nothing to speak of: 0.1 to 0.4 is no fourfold growth.
    start, now = max(start, 1.0), max(now, 1.0)
    return max(now / start, start / now)


class _Rule(NamedTuple):
    name: str
    measure: str
    words: str
    change: Callable[[float, float], float] | None = None


_RULES = (
    _Rule("length", "length", "within a group the longer rollout tends to get the higher reward"),
    _Rule("length_growth", "length", "length goes with reward more than it did at the start", _rise),
    _Rule("high_but_wrong", "high_but_wrong", "answers that were verified wrong get a high score from the judge"),
    _Rule("low_but_right", "low_but_right", "answers that were verified right get a low score from the judge"),
    _Rule("held_out_gap", "held_out_gap", "the judge scores higher than the held-out judge"),
    _Rule("held_out_gap_growth", "held_out_gap", "the judge's lead over the held-out judge has grown", _rise),
    _Rule("held_out_rank", "held_out_rank", "the held-out judge orders the rollouts of a group in another way"),
    _Rule("markers", "markers", "rollouts hold many more, or far fewer, segment markers than at the start", _factor),
    _Rule("segments", "segments", "rollouts fall into many more, or far fewer, segments than at the start", _factor),
    _Rule("unscored", "unscored", "complete rollouts stay without a score"),
    _Rule("truncated", "truncated", "rollouts run into the token budget"),
)
