"""Several runs on one page, as if their arms had been arms of one run: `exprl report RUN1 RUN2 --out compare.html`.

An arm is called `run.arm`. Runs are compared on the evaluation sets that all of them have, and those must be the same
problems with the same references: paired differences are by problem. Differences, orderings and intervals are computed
from the runs' samples, exactly as within one run.

What it refuses: runs without a common set, sets of one name with different problems, another number of samples a problem
(pass@k of 16 and of 64 samples have different ends), another base policy, and two runs of one name.

    >>> compare_runs([Path("runs/a"), Path("runs/b")], Path("compare.html"))[1]                    # doctest: +SKIP
    PosixPath('compare.html')
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from exprl.config import RunConfig
from exprl.errors import RunError
from exprl.pipeline.comparison import costs
from exprl.pipeline.summary import Measured, Numbers, Place, asked, measure, numbers
from exprl.report.page import write_page
from exprl.report.read import Record, read_run
from exprl.report.rows import child
from exprl.runs import RunDir, read_json, read_jsonl

__all__ = ["compare_runs"]

Problems = Mapping[str, Mapping[str, str]]


def compare_runs(paths: Sequence[Path], out: Path) -> tuple[Numbers, Path]:
    """Write the page; returns the summary behind it, and where the page is.

    Raises:
        RunError: the runs cannot be compared, or one of them cannot be read.
    """
    runs = [RunDir.open(path) for path in paths]
    shared = _shared_sets(runs)
    config = _merged(runs, shared)
    ids = {name: list(problems) for name, problems in shared.items()}
    measured: dict[Place, Measured] = {}
    for run in runs:
        for (arm, stage, name), found in measure(run, ids).items():
            measured.setdefault((_called(run, arm), stage, name), found)
    summary: Numbers = {
        **asked(config, ids),
        "versions": read_json(runs[0].path / "environment.json")["packages"],
        **numbers(config, measured),
        "cost": {_called(run, arm): cost for run in runs for arm, cost in costs(run).items()},
    }
    command = " ".join(["exprl report", *(str(run.path) for run in runs), f"--out {out}"])
    return summary, write_page(_record(runs, config, summary, ids), out, command=command)


def _called(run: RunDir, arm: str) -> str:
    return arm if arm == "base" else f"{run.config.name}.{arm}"


def _shared_sets(runs: Sequence[RunDir]) -> dict[str, Mapping[str, str]]:
    """The sets that all runs have, with their problems. The training set is one of them only if it is the same."""
    held = [_problems(run) for run in runs]
    shared: dict[str, Mapping[str, str]] = {}
    for name, problems in held[0].items():
        others = [sets.get(name) for sets in held[1:]]
        if any(other is None for other in others) or (name == "hard_train" and any(o != problems for o in others)):
            continue
        for run, other in zip(runs[1:], others, strict=True):
            if other != problems:
                raise RunError(
                    f"{runs[0].path} and {run.path} have different problems in {name}; differences are by problem: "
                    "compare runs with the same evaluation sets, or name different sets differently"
                )
        shared[name] = problems
    if not shared:
        sets = "; ".join(f"{run.path}: {', '.join(names) or 'none'}" for run, names in zip(runs, held, strict=True))
        raise RunError(
            f"the runs share no evaluation set ({sets}); compare runs that were evaluated on the same problems"
        )
    return shared


def _problems(run: RunDir) -> dict[str, dict[str, str]]:
    """By set and id, what makes a problem the same: the digest of its reference."""
    sets: dict[str, dict[str, str]] = {}
    for row in read_jsonl(run.problems):
        sets.setdefault(str(row["set"]), {})[str(row["id"])] = str(row["reference_digest"])
    return sets


def _merged(runs: Sequence[RunDir], shared: Mapping[str, object]) -> RunConfig:
    first = runs[0].config
    names = [run.config.name for run in runs]
    if len(set(names)) < len(names):
        raise RunError(f"two of the runs have one name ({', '.join(names)}); arms are told apart by their run's name")
    for run in runs[1:]:
        for what, one, other in (
            ("samples a problem (evaluate.n)", first.evaluate.n, run.config.evaluate.n),
            ("base policy (policy.model)", first.policy.model, run.config.policy.model),
        ):
            if one != other:
                raise RunError(
                    f"{runs[0].path} has the {what} {one}, {run.path} has {other}; compare runs that agree in it"
                )
    evaluate = {name: source for name, source in first.data.evaluate.items() if name in shared}
    return first.model_copy(
        update={
            "name": "-and-".join(names),
            "seeds": tuple(sorted({seed for run in runs for seed in run.config.seeds})),
            "arms": {_called(run, arm): method for run in runs for arm, method in run.config.arms.items()},
            "data": first.data.model_copy(update={"evaluate": evaluate}),
            "stage2": next((run.config.stage2 for run in runs if run.config.stage2 is not None), None),
        }
    )


def _record(runs: Sequence[RunDir], config: RunConfig, summary: Numbers, ids: Mapping[str, Sequence[str]]) -> Record:
    """The runs read as one."""
    records = [read_run(run.path) for run in runs]
    stages = tuple(
        replace(
            stage,
            arm=_called(run, stage.arm),
            samples={name: tally for name, tally in stage.samples.items() if name in ids},
        )
        for run, record in zip(runs, records, strict=True)
        for stage in record.stages
    )
    dumped = config.model_dump(mode="json")
    return Record(
        folder=records[0].folder,
        config=dumped,
        environment=records[0].environment,
        summary=summary,
        problems={place: asked for record in records for place, asked in record.problems.items()},
        filtered=(),
        base={name: tally for name, tally in records[0].base.items() if name in ids},
        stages=stages,
        arms=tuple(child(dumped, "arms")),
        sets=(*(name for name in ids if name != "hard_train"), *(name for name in ids if name == "hard_train")),
    )
