"""What `summary.json` says of arms against each other: paired differences, the paper's orderings, what each cost.

    "control"      the arm that the others are held against: the first sparse one, else "base"
    "differences"  [{"stage", "set", "k", "arm", "other", "value", "low", "high"}], arm minus other, every pair once
    "orderings"    [{"upper", "lower", "stage", "k", "set", "arm", "other", "difference", "verdict", "paper"}]
    "cost"         {arm: {stage: {"steps", "rollouts", "tokens", "judge_calls", ..., "seconds"}}}, over all seeds

Differences are of pass@1, of coverage (pass@16, or the largest k of fewer samples) and of the largest k. Problems are
resampled together and the seeds of each arm by themselves. "base" has one stage, and is compared with both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from exprl.config import RunConfig
from exprl.evaluate.coverage import Counts, default_ks, paired_difference
from exprl.evaluate.intervals import Interval
from exprl.evaluate.orderings import claimed, role, verdict
from exprl.runs import RunDir, read_jsonl

__all__ = ["compared_ks", "control", "costs", "differences", "orderings"]

Counted = Mapping[tuple[str, str, str], Counts]
Row = dict[str, object]
_COVERAGE = 16
_JUDGING = ("judge_calls", "judge_prompt_tokens", "judge_completion_tokens")


def control(config: RunConfig) -> str:
    """The arm that the others are held against."""
    return next((name for name, method in config.arms.items() if method.type == "sparse"), "base")


def compared_ks(n: int) -> list[int]:
    """1, 16 and n; without 16 where fewer samples are drawn.

    >>> compared_ks(64), compared_ks(8)
    ([1, 16, 64], [1, 8])
    """
    return sorted({k for k in (1, _COVERAGE, n) if k in default_ks(n)})


def differences(config: RunConfig, counted: Counted) -> list[Row]:
    """Every pair of arms on every set after every stage, arms in the order of the configuration and `base` last."""
    names = [*config.arms, "base"]
    rows: list[Row] = []
    for stage in ("stage1", "stage2"):
        for name in dict.fromkeys(set_ for _, _, set_ in counted):
            found = {arm: counts for arm in names if (counts := _counts(counted, arm, stage, name)) is not None}
            for k in compared_ks(config.evaluate.n):
                for arm, other in combinations(found, 2):
                    place: Row = {"stage": stage, "set": name, "k": k, "arm": arm, "other": other}
                    if (interval := _difference(config, found[arm], found[other], k)) is not None:
                        rows.append({**place, **interval._asdict()})
    return rows


def orderings(config: RunConfig, rows: Sequence[Row]) -> list[Row]:
    """The paper's claims on every held-out set (on the training set where there is no other)."""
    roles = {**{arm: role(method.model_dump()) for arm, method in config.arms.items()}, "base": "base"}
    sets = list(config.data.evaluate) or ["hard_train"]
    ks = compared_ks(config.evaluate.n)
    coverage = _COVERAGE if _COVERAGE in ks else ks[-1]
    said: list[Row] = []
    for claim, arm, other in claimed(roles):
        k = coverage if claim.measure == "coverage" else 1
        for name in sets:
            difference = None if arm is None or other is None else _found(rows, (claim.stage, name, k), arm, other)
            place = {"upper": claim.upper, "lower": claim.lower, "stage": claim.stage, "k": k, "set": name}
            shown = None if difference is None else difference._asdict()
            said.append({**place, "arm": arm, "other": other, "difference": shown, "verdict": verdict(difference),
                         "paper": claim.paper})  # fmt: skip
    return said


def costs(run: RunDir) -> dict[str, dict[str, Row]]:
    """What training took, by arm and stage, summed over seeds; what was not recorded is None."""
    return {
        arm: {
            stage: _cost([row for seed in run.config.seeds for row in _metrics(run, arm, seed, stage)])
            for stage in _stages(run.config)
        }
        for arm in run.config.arms
    }


def _stages(config: RunConfig) -> Iterator[str]:
    yield "stage1"
    if config.stage2 is not None:
        yield "stage2"


def _counts(counted: Counted, arm: str, stage: str, name: str) -> Counts | None:
    return counted.get((arm, "stage1" if arm == "base" else stage, name))


def _difference(config: RunConfig, one: Counts, other: Counts, k: int) -> Interval | None:
    """None where no problem has k scored samples on both sides."""
    if not ((one.scored_SP >= k).any(axis=0) & (other.scored_SP >= k).any(axis=0)).any():
        return None
    return paired_difference(one, other, k, bootstrap=config.evaluate.bootstrap, level=config.evaluate.level)


def _found(rows: Sequence[Row], place: tuple[str, str, int], arm: str, other: str) -> Interval | None:
    for row in rows:
        if (row["stage"], row["set"], row["k"]) == place and {row["arm"], row["other"]} == {arm, other}:
            value, low, high = (float(str(row[key])) for key in ("value", "low", "high"))
            return Interval(value, low, high) if row["arm"] == arm else Interval(0.0 - value, 0.0 - high, 0.0 - low)
    return None


def _metrics(run: RunDir, arm: str, seed: int, stage: str) -> list[Row]:
    folder = run.path / "arms" / arm / f"seed-{seed}" / stage
    path = folder / "metrics.jsonl"
    # A resumed stage may have written a step twice: the later row is the one whose parameters live on.
    return list({row["step"]: dict(row) for row in read_jsonl(path)}.values()) if path.exists() else []


def _cost(metrics: Sequence[Row]) -> Row:
    rollouts = [_number(row, "rollouts") for row in metrics]
    tokens = [None if count is None or (mean := _number(row, "tokens")) is None else count * mean
              for row, count in zip(metrics, rollouts, strict=True)]  # fmt: skip
    return {
        "steps": len(metrics),
        "rollouts": _whole(_total(rollouts)),
        "tokens": _whole(_total(tokens)),
        **{key: _whole(_total([_number(row, key) for row in metrics])) for key in _JUDGING},
        "seconds": _total([_number(row, "seconds") for row in metrics]),
    }


def _number(row: Row, key: str) -> float | None:
    value = row.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
