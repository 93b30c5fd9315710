"""Which training problems each arm unlocked: one strip a stage, one cell a problem.

A problem is unlocked in a stage when a rollout of it was verified right during training. With several seeds a cell is
as strong as the share of seeds that unlocked it. Problems stand in one order in all strips, those unlocked most often
first, so that what one arm has and another lacks lies one below the other.

    >>> [strip.total for strip in unlocked(record)]                                                # doctest: +SKIP
    ['0 of 32', '1 / 0 of 32', '21 / 23 of 32']
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exprl.report.charts import Svg, strip
from exprl.report.curves import colours
from exprl.report.read import STAGES, Record

__all__ = ["Strip", "unlocked"]


@dataclass(frozen=True, slots=True)
class Strip:
    """A row of the unlocked chart: one cell a training problem."""

    label: str
    svg: Svg
    total: str


def unlocked(record: Record) -> list[Strip]:
    """Training problems with a right rollout during training, by arm and stage; those unlocked by most come first."""
    runs = [run for run in record.stages if run.glances]
    first = {(run.arm, run.stage, run.seed): run.unlocked() for run in runs}
    asked = [name for set_, name in record.problems if set_ == "hard_train"]
    seen = {question for steps in first.values() for question in steps} | {
        g.question_id for r in runs for g in r.glances
    }
    names = sorted(asked or seen, key=lambda name: (-sum(name in steps for steps in first.values()), name))
    if not names:
        return []
    strips = [_base_strip(record, names)] if "hard_train" in record.base else []
    for arm in record.arms:
        for stage in STAGES:
            seeds = {seed: steps for (a, s, seed), steps in first.items() if (a, s) == (arm, stage)}
            if seeds:
                strips.append(_strip(f"{arm}, {STAGES[stage]}", colours(record)[arm], names, seeds))
    return strips


def _base_strip(record: Record, names: Sequence[str]) -> Strip:
    tally = record.base["hard_train"]
    rights = [tally.right.get(name, 0) for name in names]
    cells = [
        (float(right > 0), f"{name}: {right} of {tally.graded.get(name, 0)} samples right")
        for name, right in zip(names, rights, strict=True)
    ]
    return Strip(f"base, {tally.tries} samples", strip(cells, 0), f"{sum(map(bool, rights))} of {len(names)}")


def _strip(label: str, colour: int, names: Sequence[str], seeds: Mapping[int, Mapping[str, int]]) -> Strip:
    cells = []
    for name in names:
        won = [f"seed {seed} at step {steps[name]}" for seed, steps in sorted(seeds.items()) if name in steps]
        cells.append((len(won) / len(seeds), f"{name}: {', '.join(won) or 'never right'}"))
    totals = [str(sum(name in steps for name in names)) for _, steps in sorted(seeds.items())]
    return Strip(label, strip(cells, colour), f"{' / '.join(totals)} of {len(names)}")
