"""What a run cost: rollouts, tokens, judge calls and seconds, by part and summed over seeds.

Rollouts and tokens are counted from the files that hold them, calls and seconds are sums of `metrics.jsonl`. A number
that was not recorded is None and stands as "not recorded"; the sum is of what is known.

    >>> costs(record)[-1].part                                                                     # doctest: +SKIP
    'all'
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from exprl.report.read import STAGES, Record, Stage
from exprl.report.rows import number
from exprl.report.tally import Tally

__all__ = ["Cost", "costs"]

_SUMMED = ("judge_calls", "judge_prompt_tokens", "judge_completion_tokens", "seconds")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one part of a run took, over all seeds; None = not recorded."""

    part: str
    steps: float | None = None
    rollouts: float | None = None
    tokens: float | None = None
    calls: float | None = None
    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    seconds: float | None = None
    unscored: float | None = None


def costs(record: Record) -> list[Cost]:
    """One row for the base policy's samples, one an arm and stage, one an arm's evaluation, and the sum."""
    rows = [*_filter_cost(record), *_sampling("base, evaluation", list(record.base.values()))]
    for arm in record.arms:
        for stage, title in STAGES.items():
            runs = record.of(arm, stage)
            if runs:
                rows.append(_training(f"{arm}, {title}", runs))
                rows += _sampling(f"{arm}, evaluation after {title}", [t for run in runs for t in run.samples.values()])
    return [*rows, _total(rows)] if rows else []


def _filter_cost(record: Record) -> Iterator[Cost]:
    if record.filtered:
        yield Cost("hard-set filter", rollouts=_sum(number(row, "n") for row in record.filtered))


def _sampling(part: str, tallies: Sequence[Tally]) -> Iterator[Cost]:
    samples = sum(tally.samples for tally in tallies)
    if samples:
        tokens, unscored = sum(tally.tokens for tally in tallies), sum(tally.unscored for tally in tallies)
        yield Cost(part, rollouts=samples, tokens=tokens, unscored=unscored / samples)


def _training(part: str, runs: Sequence[Stage]) -> Cost:
    metrics = [row for run in runs for row in run.metrics]
    totals = {key: _sum(number(row, key) for row in metrics) for key in _SUMMED}
    rates = [rate for row in metrics if (rate := number(row, "unscored")) is not None]
    rollouts = sum(len(run.glances) for run in runs)
    return Cost(
        part,
        steps=len(metrics) or None,
        rollouts=rollouts or None,
        tokens=sum(run.tokens for run in runs) if rollouts else None,
        calls=totals["judge_calls"],
        prompt_tokens=totals["judge_prompt_tokens"],
        completion_tokens=totals["judge_completion_tokens"],
        seconds=totals["seconds"],
        unscored=sum(rates) / len(rates) if rates else None,
    )


def _total(rows: Sequence[Cost]) -> Cost:
    return Cost(
        "all",
        steps=_sum(row.steps for row in rows),
        rollouts=_sum(row.rollouts for row in rows),
        tokens=_sum(row.tokens for row in rows),
        calls=_sum(row.calls for row in rows),
        prompt_tokens=_sum(row.prompt_tokens for row in rows),
        completion_tokens=_sum(row.completion_tokens for row in rows),
        seconds=_sum(row.seconds for row in rows),
    )


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
