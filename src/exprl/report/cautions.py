"""What a reader must know before believing the numbers: what is missing, and what weakens what is there.

`missing_parts` names every part that a whole run has and this one lacks; `cautions` names high rates of unscored or
truncated rollouts and of groups without a signal, a training set that is not wholly unsolved, and what intervals leave
out.

    >>> missing_parts(record)                                                                      # doctest: +SKIP
    ['process: Stage I stands at step 40 of 230 (seed 1).', 'process: Stage II has not run (seed 1).']
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exprl.report.findings import join
from exprl.report.read import STAGES, Record
from exprl.report.rows import number

__all__ = ["cautions", "missing_parts"]


def cautions(record: Record) -> list[str]:
    """What weakens the numbers of this run, in sentences."""
    return [
        *_intervals(record),
        *_base_not_zero(record),
        *_high_rates(record),
    ]


def missing_parts(record: Record) -> list[str]:
    """What a whole run has and this one lacks, in sentences."""
    said: list[str] = []
    if record.summary is None:
        said.append("There is no summary.json yet: the run has not been evaluated, so no pass@k is shown.")
    elif not record.sets:
        said.append("No set was evaluated, so no pass@k is shown.")
    if record.summary is not None and record.sets and not any(s != "hard_train" for s in record.sets):
        said.append("No held-out set was evaluated: every number here is on problems that were trained on.")
    if not record.base:
        said.append("There are no samples of the base policy.")
    if record.config.get("stage2") is None:
        said.append("Stage II was switched off in the configuration.")
    return [*said, *(line for arm in record.arms for line in _missing_stages(record, arm))]


def _intervals(record: Record) -> Iterator[str]:
    if len(record.seeds) == 1:
        yield "One seed: intervals cover the choice of problems; nothing says how far another seed would differ."
    elif record.seeds:
        yield f"{len(record.seeds)} seeds: few to resample, so intervals say little of how far another seed would differ."


def _base_not_zero(record: Record) -> Iterator[str]:
    tally = record.base.get("hard_train")
    if tally is not None and tally.solved:
        solved = f"{tally.solved} of {len(tally.graded)} problems"
        yield f"The hard training set is not wholly unsolved: the base policy solved {solved}."


def _high_rates(record: Record) -> Iterator[str]:
    limits = {"unscored": 0.05, "truncated": 0.2, "zero_signal": 0.8}
    words = {"unscored": "had no score", "truncated": "ran into the token budget", "zero_signal": "gave no signal"}
    for arm in record.arms:
        for stage, title in STAGES.items():
            for key, limit in limits.items():
                rate = _mean_rate(record, arm, stage, key)
                if rate is not None and rate > limit:
                    what = "groups" if key == "zero_signal" else "rollouts"
                    yield f"{arm}, {title}: {rate:.0%} of {what} {words[key]}."


def _mean_rate(record: Record, arm: str, stage: str, key: str) -> float | None:
    known = [v for run in record.of(arm, stage) for row in run.metrics if (v := number(row, key)) is not None]
    return sum(known) / len(known) if known else None


def _missing_stages(record: Record, arm: str) -> Iterator[str]:
    for stage, title in STAGES.items():
        if stage == "stage1" or record.config.get("stage2") is not None:
            yield from _missing_runs(record, arm, stage, title)


def _missing_runs(record: Record, arm: str, stage: str, title: str) -> Iterator[str]:
    found = {run.seed: run for run in record.of(arm, stage)}
    lost = [str(seed) for seed in record.seeds if seed not in found]
    if lost:
        yield f"{arm}: {title} has not run{_whose(lost, record)}."
    planned = record.planned_steps(arm, stage)
    for seed, run in found.items():
        reached = number(run.metrics[-1], "step") if run.metrics else None
        if reached is None:
            yield f"{arm}: {title} left no metrics{_whose([str(seed)], record)}."
        elif planned is not None and reached < planned:
            yield f"{arm}: {title} stands at step {reached:.0f} of {planned:.0f}{_whose([str(seed)], record)}."
        elif not any(tally.done for tally in run.samples.values()):
            yield f"{arm}: {title} was not evaluated{_whose([str(seed)], record)}."


def _whose(seeds: Sequence[str], record: Record) -> str:
    return f" (seed {join(seeds)})" if len(record.seeds) > len(seeds) else ""
