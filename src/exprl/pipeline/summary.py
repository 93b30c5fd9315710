"""summary.json: the numbers of the report, computed from the sample files and nothing else.

    {"arms": {name: {"stage1": {set: {"pass@1": {"value", "low", "high"}, ...}}, "stage2": {...}}}, "seeds", "versions", ...}

"base" is the policy before training, under "stage1". Intervals are bootstrap over problems, and over seeds where there are
several. What is not there yet is left out, so the summary of an unfinished run is the summary of what is finished.
"""

from __future__ import annotations

from pathlib import Path

from exprl.config import RunConfig
from exprl.data import tally
from exprl.evaluate.coverage import Counts, coverage, paired_difference
from exprl.pipeline.jobs import evaluation_sets
from exprl.runs import RunDir, is_done, read_json, read_jsonl, write_json

__all__ = ["write_summary"]

Numbers = dict[str, object]


def write_summary(run: RunDir) -> Numbers:
    """Compute and write summary.json; returns what it holds."""
    config = run.config
    ids: dict[str, list[str]] = {}
    for row in read_jsonl(run.problems):
        ids.setdefault(str(row["set"]), []).append(str(row["id"]))
    counted = _all_counts(run, ids)
    arms: dict[str, dict[str, dict[str, Numbers]]] = {}
    for (arm, stage, name), counts in counted.items():
        arms.setdefault(arm, {}).setdefault(stage, {})[name] = _numbers(config, counts)
    environment = read_json(run.path / "environment.json")
    summary: Numbers = {
        "name": config.name,
        "seeds": list(config.seeds),
        "n": config.evaluate.n,
        "level": config.evaluate.level,
        "problems": {name: len(names) for name, names in ids.items()},
        "filter": _filter_tallies(run),
        "credit": {arm: _credit(config, arm) for arm in config.arms},
        "versions": environment["packages"],
        "arms": arms,
        "stage2_minus_stage1": _amplified(config, counted),
    }
    write_json(run.summary, summary)
    return summary


def _all_counts(run: RunDir, ids: dict[str, list[str]]) -> dict[tuple[str, str, str], Counts]:
    counted: dict[tuple[str, str, str], Counts] = {}
    for name in evaluation_sets(run.config):
        if name not in ids:
            continue
        if (counts := _counts([run.base(name).path], ids[name])) is not None:
            counted["base", "stage1", name] = counts
        for arm in run.config.arms:
            for stage in ("stage1", "stage2"):
                folders = [run.stage(arm, seed, stage).evaluation(name).path for seed in run.config.seeds]
                if (counts := _counts(folders, ids[name])) is not None:
                    counted[arm, stage, name] = counts
    return counted


def _counts(folders: list[Path], ids: list[str]) -> Counts | None:
    """Counts of all seeds that are finished; None where none is."""
    finished = [folder for folder in folders if is_done(folder)]
    counts = [Counts.of_rows(read_jsonl(folder / "samples.jsonl"), ids) for folder in finished]
    return Counts.of_seeds(counts) if counts else None


def _numbers(config: RunConfig, counts: Counts) -> Numbers:
    result = coverage(counts, bootstrap=config.evaluate.bootstrap, level=config.evaluate.level)
    unscored = int(counts.unscored_SP.sum())
    return {**result.summary(), "seeds": int(counts.n_SP.shape[0]), "unscored": unscored}


def _amplified(config: RunConfig, counted: dict[tuple[str, str, str], Counts]) -> Numbers:
    """pass@1 after Stage II minus after Stage I, paired by problem."""
    return {
        arm: {
            name: paired_difference(
                counts,
                counted[arm, "stage1", name],
                1,
                bootstrap=config.evaluate.bootstrap,
                level=config.evaluate.level,
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


def _credit(config: RunConfig, arm: str) -> str:
    """How the arm gives credit, in words."""
    method = config.arms[arm]
    if method.type != "process":
        return {"outcome": "judge score of the whole trace", "sparse": "right final answer"}[method.type]
    credit = f"{method.credit} of {method.scope} scores"
    return credit if method.outcome_weight == 0 else f"{credit} + {method.outcome_weight:g} x outcome credit"
