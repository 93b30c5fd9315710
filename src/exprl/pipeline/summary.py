"""summary.json: the numbers of the report, computed from the sample files and nothing else.

    {"arms": {name: {"stage1": {set: {"pass@1": {"value", "low", "high"}, ...}}, "stage2": {...}}}, "seeds", "versions", ...}

"base" is the policy before training, under "stage1". Intervals are bootstrap over problems, and over seeds where there are
several. What is not there yet is left out, so the summary of an unfinished run is the summary of what is finished. Arms
against each other, and what they cost: `exprl.pipeline.comparison`. "diversity" is {arm: {stage: {set: {measure: {"value",
"low", "high", "problems"}}}}}, with the measures of `exprl.evaluate.diversity`; "domains" splits sets of several
(`exprl.pipeline.domains`). "seconds" are the only clock in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exprl.config import MethodConfig, OutcomeConfig, ProcessConfig, RunConfig
from exprl.data import tally
from exprl.evaluate.coverage import Counts, coverage, paired_difference
from exprl.evaluate.diversity import diversity, mean_over_problems
from exprl.evaluate.intervals import Floats
from exprl.pipeline.comparison import control, costs, differences, orderings
from exprl.pipeline.domains import by_domain
from exprl.pipeline.jobs import evaluation_sets
from exprl.runs import RunDir, is_done, read_json, read_jsonl, write_json

__all__ = ["Measured", "Numbers", "Place", "asked", "measure", "numbers", "write_summary"]

Numbers = dict[str, object]
Place = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Measured:
    """One policy on one set over all finished seeds: counts, and the measures of diversity, each (S,P)."""

    counts: Counts
    diversity: dict[str, Floats]


def write_summary(run: RunDir) -> Numbers:
    """Compute and write summary.json; returns what it holds."""
    config = run.config
    ids: dict[str, list[str]] = {}
    domains: dict[str, list[str]] = {}
    for row in read_jsonl(run.problems):
        ids.setdefault(str(row["set"]), []).append(str(row["id"]))
        domains.setdefault(str(row["set"]), []).append(str(row["domain"]))
    measured = measure(run, ids)
    environment = read_json(run.path / "environment.json")
    summary: Numbers = {
        **asked(config, ids),
        "filter": _filter_tallies(run),
        "credit": {
            arm: _credit(config, arm, has_code=any("code" in of for of in domains.values())) for arm in config.arms
        },
        "versions": environment["packages"],
        **numbers(config, measured),
        "domains": by_domain(config, {place: found.counts for place, found in measured.items()}, domains),
        "cost": costs(run),
    }
    write_json(run.summary, summary)
    return summary


def asked(config: RunConfig, ids: Mapping[str, Sequence[str]]) -> Numbers:
    """What a summary is of: name, seeds, samples a problem, level of the intervals, sizes of the sets."""
    return {
        "name": config.name,
        "seeds": list(config.seeds),
        "n": config.evaluate.n,
        "level": config.evaluate.level,
        "problems": {name: len(names) for name, names in ids.items()},
    }


def numbers(config: RunConfig, measured: dict[Place, Measured]) -> Numbers:
    """What the samples say: pass@k, Stage II minus Stage I, arms against each other, diversity."""
    counted = {place: found.counts for place, found in measured.items()}
    compared = differences(config, counted)
    return {
        "arms": _by_place({place: _numbers(config, counts) for place, counts in counted.items()}),
        "stage2_minus_stage1": _amplified(config, counted),
        "control": control(config),
        "differences": compared,
        "orderings": orderings(config, compared),
        "diversity": _by_place({place: _diversity(config, found) for place, found in measured.items()}),
    }


def measure(run: RunDir, ids: dict[str, list[str]]) -> dict[Place, Measured]:
    """Every policy of a run on the sets of `ids`, as far as it was evaluated."""
    found: dict[Place, Measured] = {}
    for name in evaluation_sets(run.config):
        if name not in ids:
            continue
        if (measured := _measured([run.base(name).path], ids[name])) is not None:
            found["base", "stage1", name] = measured
        for arm in run.config.arms:
            for stage in ("stage1", "stage2"):
                folders = [run.stage(arm, seed, stage).evaluation(name).path for seed in run.config.seeds]
                if (measured := _measured(folders, ids[name])) is not None:
                    found[arm, stage, name] = measured
    return found


def _measured(folders: list[Path], ids: list[str]) -> Measured | None:
    """All seeds that are finished; None where none is."""
    finished = [folder for folder in folders if is_done(folder)]
    if not finished:
        return None
    counts, various = [], []
    for folder in finished:
        rows = read_jsonl(folder / "samples.jsonl")
        counts.append(Counts.of_rows(rows, ids))
        various.append(diversity(rows, ids))
    return Measured(Counts.of_seeds(counts), {key: np.stack([seed[key] for seed in various]) for key in various[0]})


def _by_place(values: dict[Place, Numbers]) -> dict[str, dict[str, dict[str, Numbers]]]:
    arms: dict[str, dict[str, dict[str, Numbers]]] = {}
    for (arm, stage, name), found in values.items():
        arms.setdefault(arm, {}).setdefault(stage, {})[name] = found
    return arms


def _diversity(config: RunConfig, found: Measured) -> Numbers:
    various: Numbers = {}
    for key, values_SP in found.diversity.items():
        interval = mean_over_problems(values_SP, bootstrap=config.evaluate.bootstrap, level=config.evaluate.level)
        ends = {name: None if np.isnan(end) else end for name, end in interval._asdict().items()}
        various[key] = {**ends, "problems": int((~np.isnan(values_SP)).any(axis=0).sum())}
    return various


def _numbers(config: RunConfig, counts: Counts) -> Numbers:
    result = coverage(counts, bootstrap=config.evaluate.bootstrap, level=config.evaluate.level)
    unscored = int(counts.unscored_SP.sum())
    return {**result.summary(), "seeds": int(counts.n_SP.shape[0]), "unscored": unscored}


def _amplified(config: RunConfig, counted: dict[Place, Counts]) -> Numbers:
    """pass@1 after Stage II minus after Stage I, paired by problem and, where all are there, by seed."""
    return {
        arm: {
            name: paired_difference(
                counts,
                counted[arm, "stage1", name],
                1,
                bootstrap=config.evaluate.bootstrap,
                level=config.evaluate.level,
                linked=len(counts.n_SP) == len(counted[arm, "stage1", name].n_SP),
            )._asdict()
            for (other, stage, name), counts in counted.items()
            if (other, stage) == (arm, "stage2") and (arm, "stage1", name) in counted
        }
        for arm in config.arms
    }


def _filter_tallies(run: RunDir) -> dict[str, str]:
    whys: dict[str, list[str | None]] = {}
    for row in read_jsonl(run.filter):
        whys.setdefault(str(row["set"]), []).append(None if row["why"] is None else str(row["why"]))
    return {name: str(tally(column)) for name, column in whys.items()}


def _credit(config: RunConfig, arm: str, *, has_code: bool = False) -> str:
    """How the arm gives credit, in words."""
    method = config.arms[arm]
    said = _judged_credit(method)
    if not (has_code and isinstance(method, OutcomeConfig | ProcessConfig)):
        return said
    how = {
        "share": "programs by the share of tests passed",
        "all": "programs by all tests",
        "never": "programs as well",
    }
    return f"{said}; {how[method.execution]}"


def _judged_credit(method: MethodConfig) -> str:
    if method.type != "process":
        return {
            "outcome": "judge score of the whole trace",
            "sparse": "right final answer",
            "self_distill": "token by token, from the initial policy shown the reference",
            "sft": "none: fine-tuned on the reference solutions, without rollouts",
        }[method.type]
    credit = f"{method.credit} of {method.scope} scores"
    return credit if method.outcome_weight == 0 else f"{credit} + {method.outcome_weight:g} x outcome credit"
