"""Which curves the report draws: coverage by set and stage, training by quantity.

pass@k: the bold line and its band are `summary.json`'s; thin lines are single seeds, by the unbiased estimator over
their own samples. In the Stage II panel an arm's Stage I stands dotted behind. Training: the bold line is the mean over
seeds, its band reaches from the lowest seed to the highest, Stage II follows Stage I on one axis of steps. Curves keep
at most 400 points.

What is not there is named, not drawn: a quantity without values comes back in `absent`.

    >>> training(record).charts[0].title                                                           # doctest: +SKIP
    'Reward'
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from exprl.evaluate.coverage import pass_at_k
from exprl.report.charts import Frame, Series, Svg, line_chart
from exprl.report.read import STAGES, Record, Stage
from exprl.report.rows import number
from exprl.report.scales import MAX_POINTS, Axis, thin_out
from exprl.report.tally import Tally

__all__ = ["Chart", "Charts", "colours", "coverage", "training"]

Curve = dict[float, float | None]
QUANTITIES = (
    ("reward", "Reward", "mean reward that trained"),
    ("correct", "Right answers", "share of rollouts"),
    ("unlocked", "Unlocked problems", "share solved at least once"),
    ("entropy", "Token entropy", "nats"),
    ("tokens", "Response length", "tokens"),
    ("truncated", "Truncated", "share of rollouts"),
    ("unscored", "Unscored", "share of rollouts"),
    ("zero_signal", "Zero signal", "share of groups"),
    ("kl", "KL to the start", "nats a token"),
)


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn chart and its heading."""

    title: str
    svg: Svg


@dataclass(frozen=True, slots=True)
class Charts:
    """Charts of one section, and the quantities for which there is nothing to draw."""

    charts: tuple[Chart, ...]
    absent: tuple[str, ...] = ()


def colours(record: Record) -> dict[str, int]:
    """The palette's place of each arm; base is 0, grey."""
    return {"base": 0, **{arm: place for place, arm in enumerate(record.arms, start=1)}}


def coverage(record: Record, set_: str) -> Charts:
    """pass@k over log2 k on one set: a panel a stage, on one scale."""
    stages = [stage for stage in STAGES if any(record.coverage(arm, stage, set_) for arm in record.arms)]
    stages = stages or (["stage1"] if record.coverage("base", "stage1", set_) else [])
    series = {stage: list(_coverage_series(record, stage, set_)) for stage in stages}
    tops = [value for lines in series.values() for s in lines for value in (*s.ys, *s.highs) if value is not None]
    ks = [k for lines in series.values() for s in lines for k in s.xs]
    y = Axis("pass@k", 0.0, _ceiling(max(tops, default=1.0), 1.0))
    x = Axis("k", 1.0, max(2.0, *ks), "log2") if ks else Axis("k", 1.0, 2.0, "log2")
    charts = [
        Chart(STAGES[stage], line_chart(lines, Frame(x, y, title=f"after {STAGES[stage]}")))
        for stage, lines in series.items()
    ]
    return Charts(tuple(charts))


def training(record: Record) -> Charts:
    """Every quantity of `metrics.jsonl` over steps, Stage II after Stage I."""
    charts, absent = [], []
    for key, title, unit in QUANTITIES:
        chart = _training_chart(record, key, title, unit)
        if chart is None:
            absent.append(title.lower() if key != "kl" else "KL to the start")
        else:
            charts.append(chart)
    return Charts(tuple(charts), tuple(absent))


def _coverage_series(record: Record, stage: str, set_: str) -> Iterator[Series]:
    for arm, colour in colours(record).items():
        estimates = record.coverage(arm, "stage1" if arm == "base" else stage, set_)
        if not estimates:
            continue
        if stage == "stage2" and arm != "base":
            before = record.coverage(arm, "stage1", set_)
            yield Series(arm, colour, [*before], [e.value for e in before.values()], weight="faint")
        tallies = record.tallies(arm, stage, set_)
        yield from (_seed_series(arm, colour, [*estimates], t) for t in tallies.values() if len(tallies) > 1)
        values = estimates.values()
        lows, highs = [e.low for e in values], [e.high for e in values]
        yield Series(arm, colour, [*estimates], [e.value for e in values], lows, highs, markers=True)


def _seed_series(arm: str, colour: int, ks: Sequence[int], tally: Tally) -> Series:
    return Series(arm, colour, ks, [_mean_pass(tally, k) for k in ks], weight="thin")


def _mean_pass(tally: Tally, k: int) -> float | None:
    # A problem with fewer than k graded samples has no pass@k; it leaves the mean of this k.
    known = [(n, tally.right[name]) for name, n in tally.graded.items() if n >= k]
    return float(pass_at_k([n for n, _ in known], [c for _, c in known], k).mean()) if known else None


def _training_chart(record: Record, key: str, title: str, unit: str) -> Chart | None:
    ends = {stage: _last_step(record, stage) for stage in STAGES}
    series = [s for arm in record.arms for stage in STAGES
              for s in _arm_series(record, arm, stage, key, ends["stage1"] or 0.0)]  # fmt: skip
    values = [y for s in series for y in (*s.ys, *s.lows, *s.highs) if y is not None]
    if not values:
        return None
    share = unit.startswith("share")
    low = 0.0 if share else min(0.0, *values) if len(values) > 1 else min(0.0, values[0])
    y = Axis(unit, low, _ceiling(max(values), 1.0 if share else None))
    whole = (ends["stage1"] or 0.0) + (ends["stage2"] or 0.0)
    x = Axis("steps trained", 0.0, max(1.0, whole))
    frame = Frame(x, y, title, _regions(ends["stage1"], ends["stage2"]), width=400.0, height=260.0)
    return Chart(title, line_chart(series, frame))


def _regions(first: float | None, second: float | None) -> list[tuple[float, float, str]]:
    start = first or 0.0
    regions = [(0.0, start, "Stage I")] if first else []
    return [*regions, (start, start + second, "Stage II")] if second else regions


def _last_step(record: Record, stage: str) -> float | None:
    steps = [number(row, "step") or 0.0 for run in record.stages if run.stage == stage for row in run.metrics]
    return max(steps, default=None)


def _arm_series(record: Record, arm: str, stage: str, key: str, start: float) -> Iterator[Series]:
    runs = [run for run in record.of(arm, stage) if run.metrics]
    shift = start if stage == "stage2" else 0.0
    curves = [_curve(run, key) for run in runs]
    colour, limit = colours(record)[arm], _points(record)
    mean = _over_seeds(curves, lambda known: sum(known) / len(known))
    if any(value is not None for value in mean.values()):
        ends = [_over_seeds(curves, end) for end in (min, max)] if len(curves) > 1 else []
        yield _drawn(arm, colour, mean, ends, shift, limit)


def _points(record: Record) -> int:
    """Points a line: many arms and seeds share what a chart may weigh."""
    lines = 2 * len(record.arms) * (1 + len(record.seeds))
    return min(MAX_POINTS, max(50, 12_000 // max(1, lines)))


def _over_seeds(curves: Sequence[Curve], of: Callable[[list[float]], float]) -> Curve:
    found: Curve = {}
    for step in sorted({step for curve in curves for step in curve}):
        known = [value for curve in curves if (value := curve.get(step)) is not None]
        found[step] = of(known) if known else None
    return found


def _curve(run: Stage, key: str) -> Curve:
    return {number(row, "step") or 0.0: number(row, key) for row in run.metrics}


def _drawn(arm: str, colour: int, curve: Curve, ends: Sequence[Curve], shift: float, limit: int) -> Series:
    steps = [step + shift for step in curve]
    xs, ys = thin_out(steps, [*curve.values()], limit)
    lows, highs = (thin_out(steps, [*end.values()], limit)[1] for end in ends) if ends else ([], [])
    return Series(arm, colour, xs, ys, lows, highs)


def _ceiling(top: float, most: float | None) -> float:
    """The upper end of an axis: a round number just above `top`, at most `most` (for shares)."""
    if top <= 0:
        return most if most is not None else 1.0
    for exponent in range(-8, 9):
        for factor in (1, 1.5, 2, 3, 4, 5, 6, 8):
            if top <= factor * 10.0**exponent:
                return min(most, factor * 10.0**exponent) if most is not None else factor * 10.0**exponent
    return top
