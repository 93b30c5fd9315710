"""Read a run directory into one `Record`, as far as it goes.

A report is written of finished runs, paused runs and runs in which an arm crashed, so every part may be missing; what
is there must be sound. A rollout file of gigabytes is gone through once, and of each rollout only a `Glance` is kept
(where it stands in the file and what decides whether it is worth showing); `Stage.rollout` reads the few that are
shown again, from their byte offset.

What it refuses: a folder without `config.json` (not a run), and damaged files (see `exprl.report.rows`).

    >>> record = read_run(Path("runs/demo"))                                                       # doctest: +SKIP
    >>> record.coverage("outcome", "stage1", "hard_held_out")[64]                                  # doctest: +SKIP
    Estimate(value=0.66, low=0.5, high=0.81)
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from exprl.errors import RunError
from exprl.report.rows import Row, child, number, read_object, read_rows, string
from exprl.report.tally import Tally, read_tally

__all__ = [
    "STAGES",
    "Asked",
    "Estimate",
    "Glance",
    "Record",
    "Stage",
    "read_run",
]

STAGES = {"stage1": "Stage I", "stage2": "Stage II"}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number of `summary.json` with its interval; a part that is missing or null is None."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Glance:
    """What is kept of a training rollout: `score` is that of its last segment, `correct` the verifier's word."""

    offset: int
    question_id: str
    step: int
    score: float | None
    correct: float | None


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of one arm and seed."""

    arm: str
    seed: int
    stage: str
    folder: Path
    metrics: tuple[Row, ...]
    glances: tuple[Glance, ...]
    tokens: int
    samples: Mapping[str, Tally]

    def rollout(self, glance: Glance) -> Row:
        """Read one rollout again, whole."""
        with (self.folder / "rollouts.jsonl").open("rb") as file:
            file.seek(glance.offset)
            row = json.loads(file.readline())
        return row if isinstance(row, dict) else {}

    def unlocked(self) -> dict[str, int]:
        """Training problems with a right rollout, and the step of the first one."""
        first: dict[str, int] = {}
        for glance in self.glances:
            if glance.correct is not None and glance.correct > 0.5:
                first[glance.question_id] = min(glance.step, first.get(glance.question_id, glance.step))
        return first


@dataclass(frozen=True, slots=True)
class Asked:
    """A problem as the policy saw it."""

    id: str
    text: str
    set: str


@dataclass(frozen=True, slots=True)
class Record:
    """A run directory, read. `arms` are those configured or found, without `base`; `sets` has held-out ones first.

    `problems` are found by set and id: two sets may number their problems alike.
    """

    folder: Path
    config: Row
    environment: Row
    summary: Row | None
    problems: Mapping[tuple[str, str], Asked]
    filtered: tuple[Row, ...]
    base: Mapping[str, Tally]
    stages: tuple[Stage, ...]
    arms: tuple[str, ...]
    sets: tuple[str, ...]

    @property
    def name(self) -> str:
        return string(self.config, "name") or self.folder.name

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that were configured, else those found."""
        listed = self.config.get("seeds")
        found = {stage.seed for stage in self.stages}
        return tuple(sorted({s for s in listed if isinstance(s, int)} if isinstance(listed, list) else found))

    def of(self, arm: str, stage: str) -> list[Stage]:
        """The stage's runs over seeds, by seed."""
        return [run for run in self.stages if (run.arm, run.stage) == (arm, stage)]

    def coverage(self, arm: str, stage: str, set_: str) -> dict[int, Estimate]:
        """pass@k by k as `summary.json` has it; empty where it has none."""
        block: Mapping[str, object] = self.summary or {}
        for key in ("arms", arm, stage, set_):
            block = child(block, key)
        ks = sorted(int(key[5:]) for key in block if key.startswith("pass@") and key[5:].isdigit())
        return {k: _estimate(child(block, f"pass@{k}")) for k in ks}

    def tallies(self, arm: str, stage: str, set_: str) -> dict[int | None, Tally]:
        """Samples of finished evaluations by seed; the base policy's have the key None."""
        if arm == "base":
            found: dict[int | None, Tally] = {None: self.base[set_]} if set_ in self.base and stage == "stage1" else {}
        else:
            found = {run.seed: run.samples[set_] for run in self.of(arm, stage) if set_ in run.samples}
        return {seed: tally for seed, tally in found.items() if tally.done}

    def gain(self, arm: str, set_: str) -> Estimate:
        """pass@1 after Stage II minus after Stage I, paired by problem, as `summary.json` has it."""
        return _estimate(child(child(child(self.summary or {}, "stage2_minus_stage1"), arm), set_))

    @property
    def differences(self) -> list[Row]:
        """Paired differences between arms, as `summary.json` lists them; none where an earlier version wrote it."""
        listed = (self.summary or {}).get("differences")
        return [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []

    def difference(self, stage: str, set_: str, k: int, arm: str, other: str) -> Estimate | None:
        """pass@k of `arm` minus that of `other`, paired by problem."""
        for row in self.differences:
            if (row.get("stage"), row.get("set"), row.get("k")) == (stage, set_, k):
                if (row.get("arm"), row.get("other")) == (arm, other):
                    return _estimate(row)
                if (row.get("arm"), row.get("other")) == (other, arm):
                    found = _estimate(row)
                    return Estimate(_minus(found.value), _minus(found.high), _minus(found.low))
        return None

    def planned_steps(self, arm: str, stage: str) -> float | None:
        """How many training steps the configuration asks for."""
        settings = child(child(self.config, "arms"), arm) if stage == "stage1" else child(self.config, "stage2")
        return number(settings, "steps")

    def method(self, arm: str) -> str:
        """The arm's method type: outcome, process, sparse, sft, self_distill."""
        return string(child(child(self.config, "arms"), arm), "type") or arm

    def judged(self, arm: str) -> bool:
        """Whether the arm is rewarded by a judge, as the ExpRL arms are and the baselines are not."""
        return self.method(arm) not in {"sparse", "sft", "self_distill"}


def read_run(folder: Path) -> Record:
    """Read what there is of a run directory.

    Raises:
        RunError: `folder` is not a run directory, or one of its files is damaged (names file and line).
    """
    config = read_object(folder / "config.json")
    if config is None:
        raise RunError(f"{folder} is not a run directory: it has no config.json; give the folder that `exprl run` made")
    summary = read_object(folder / "summary.json")
    stages = tuple(_stages(folder / "arms"))
    base = {path.parent.name: read_tally(path) for path in sorted(folder.glob("base/*/samples.jsonl"))}
    return Record(
        folder=folder,
        config=config,
        environment=read_object(folder / "environment.json") or {},
        summary=summary,
        problems=_problems(folder / "problems.jsonl"),
        filtered=tuple(row for _, row in read_rows(folder / "filter.jsonl")),
        base=base,
        stages=stages,
        arms=_arms(config, summary, stages),
        sets=_sets(config, summary, base, stages),
    )


def _estimate(row: Row) -> Estimate:
    return Estimate(number(row, "value"), number(row, "low"), number(row, "high"))


def _minus(value: float | None) -> float | None:
    return None if value is None else 0.0 - value


def _problems(path: Path) -> dict[tuple[str, str], Asked]:
    asked = [Asked(string(row, "id"), string(row, "text"), string(row, "set")) for _, row in read_rows(path)]
    return {(problem.set, problem.id): problem for problem in asked}


def _stages(arms: Path) -> Iterator[Stage]:
    for folder in sorted(arms.glob("*/seed-*/stage[12]")):
        seed = folder.parent.name.removeprefix("seed-")
        if seed.isdigit():
            yield _stage(folder, int(seed))


def _stage(folder: Path, seed: int) -> Stage:
    glances: list[Glance] = []
    tokens = 0
    for offset, row in read_rows(folder / "rollouts.jsonl"):
        glances.append(_glance(offset, row))
        tokens += int(number(row, "tokens") or 0)
    return Stage(
        arm=folder.parent.parent.name,
        seed=seed,
        stage=folder.name,
        folder=folder,
        metrics=_by_step(folder / "metrics.jsonl"),
        glances=tuple(glances),
        tokens=tokens,
        samples={path.parent.name: read_tally(path) for path in sorted(folder.glob("eval/*/samples.jsonl"))},
    )


def _by_step(path: Path) -> tuple[Row, ...]:
    # A resumed stage may have written a step twice: the later row is the one whose parameters live on.
    rows = {number(row, "step"): row for _, row in read_rows(path)}
    return tuple(rows[step] for step in sorted(step for step in rows if step is not None))


def _glance(offset: int, row: Row) -> Glance:
    scores, correct = row.get("scores"), number(row, "correct")
    last: object = scores[-1] if isinstance(scores, list) and scores else None
    score = float(last) if isinstance(last, int | float) and math.isfinite(last) else None
    return Glance(offset, string(row, "question_id"), int(number(row, "step") or 0), score, correct)


def _arms(config: Row, summary: Row | None, stages: Sequence[Stage]) -> tuple[str, ...]:
    names = [*child(config, "arms"), *child(summary or {}, "arms"), *(stage.arm for stage in stages)]
    return tuple(name for name in dict.fromkeys(names) if name != "base")


def _sets(config: Row, summary: Row | None, base: Mapping[str, Tally], stages: Sequence[Stage]) -> tuple[str, ...]:
    summarised = [set_ for arm in child(summary or {}, "arms").values() if isinstance(arm, dict)
                  for stage in STAGES for set_ in child(arm, stage)]  # fmt: skip
    sampled = [set_ for stage in stages for set_ in stage.samples]
    names = dict.fromkeys([*child(child(config, "data"), "evaluate"), *summarised, *base, *sampled])
    held_out = [name for name in names if name != "hard_train"]
    return tuple([*held_out, "hard_train"] if "hard_train" in names else held_out)
