"""What a calibration is made of, before anybody is asked: rows read, sampled, and turned into jobs.

A job is what one judge is asked in one go: each condition, the second asking, the prefixes of step-labelled traces, the
prefixes with success rates. The wrong references are dealt over all problems of the file before a subsample is taken, so
that a larger `limit` asks for what is new only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from exprl.config import JudgeConfig, RunConfig
from exprl.judge import build_judge
from exprl.judge.calibrate.asking import Asked, judge_identity
from exprl.judge.calibrate.card import DataUsed
from exprl.judge.calibrate.conditions import (
    CONDITIONS,
    Condition,
    needs_reference,
    under,
    without_cache,
    without_reference,
    wrong_references,
)
from exprl.judge.calibrate.continuations import Continuation, load_continuations
from exprl.judge.calibrate.labelled import Labelled, load_labelled, subsample
from exprl.judge.calibrate.steps import Trace, load_references, load_traces
from exprl.types import Domain, Reference, Submission

__all__ = ["Calibration", "Job", "Material", "gather"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What to calibrate on, and how much of it.

    Args:
        process: files of step-labelled traces, whose references are looked up in `references`.
        continuations: a file of prefixes with success rates.
        limit: rows of each file at most, a stratified sample by `seed`.
        repeat: answers judged a second time.
    """

    data: Path
    out: Path
    process: tuple[Path, ...] = ()
    references: tuple[Path, ...] = ()
    continuations: Path | None = None
    conditions: tuple[Condition, ...] = CONDITIONS
    limit: int | None = None
    repeat: int = 100
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """What one judge is asked in one go. `limit` is the share that may stay without a score."""

    what: str
    config: JudgeConfig
    asked: tuple[Asked, ...]
    limit: float


@dataclass(frozen=True, slots=True)
class Material:
    """Rows, traces and prefixes as sampled, where they are from, and the jobs that they make."""

    rows: tuple[Labelled, ...]
    data: DataUsed
    traces: tuple[Trace, ...]
    prefixes: tuple[Continuation, ...]
    process_data: tuple[DataUsed, ...]
    jobs: tuple[Job, ...]

    def job(self, what: str) -> Job | None:
        """The job of that name, where there is one."""
        return next((job for job in self.jobs if job.what == what), None)


def gather(config: RunConfig, plan: Calibration) -> Material:
    """Read the files and make the jobs.

    Raises:
        DataError: rows that cannot be used. JudgeError: a judge that cannot be built.
    """
    domain: Domain = config.data.train.domain
    rows, wrong, data = _labelled(plan, domain)
    references = load_references(plan.references, domain) if plan.process or plan.continuations else {}
    traces, trace_data = _traces(plan, references, domain)
    prefixes, prefix_data = _prefixes(plan, references, domain)
    jobs = [
        *_conditions(config, plan, rows, wrong),
        _job("steps", config.judge, [trace.submission for trace in traces], config.unscored_limit),
        _job("continuations", config.judge, [prefix.submission for prefix in prefixes], config.unscored_limit),
    ]
    jobs = [job for job in jobs if job.asked]
    return Material(tuple(rows), data, tuple(traces), tuple(prefixes), (*trace_data, *prefix_data), tuple(jobs))


def _labelled(plan: Calibration, domain: Domain) -> tuple[list[Labelled], Mapping[str, Reference], DataUsed]:
    found = load_labelled(plan.data, domain)
    wrong = wrong_references(found.rows, plan.seed) if "wrong" in plan.conditions else {}
    rows = subsample(found.rows, plan.limit, plan.seed, lambda row: row.correct)
    return rows, wrong, _used(plan.data, len(found.rows), len(rows), found.without_reference, plan.seed)


def _traces(
    plan: Calibration, references: Mapping[str, Reference], domain: Domain
) -> tuple[list[Trace], list[DataUsed]]:
    traces: list[Trace] = []
    data = []
    for path in plan.process:
        found = load_traces(path, references, domain)
        taken = subsample(found.traces, plan.limit, plan.seed, lambda trace: trace.first_error is None)
        traces += taken
        data.append(_used(path, len(found.traces), len(taken), found.without_reference, plan.seed))
    return traces, data


def _prefixes(
    plan: Calibration, references: Mapping[str, Reference], domain: Domain
) -> tuple[list[Continuation], list[DataUsed]]:
    if plan.continuations is None:
        return [], []
    found, total = load_continuations(plan.continuations, references, domain)
    taken = subsample(found, plan.limit, plan.seed, lambda prefix: bool(prefix.rate))
    return taken, [_used(plan.continuations, len(found), len(taken), total - len(found), plan.seed)]


def _conditions(
    config: RunConfig, plan: Calibration, rows: Sequence[Labelled], wrong: Mapping[str, Reference]
) -> list[Job]:
    """One job a condition, and the second asking of a part of the first."""
    judge, limit = config.judge, config.unscored_limit
    jobs = []
    for condition in plan.conditions:
        submissions = [
            Submission(problem, row.id, row.candidate, (len(row.candidate),), "outcome")
            for problem, row in zip(under(condition, rows, wrong), rows, strict=True)
        ]
        settings = without_reference(judge) if condition == "none" else judge
        # A judge that goes by the reference alone has no score to give without: that is a finding, and no fault.
        allowed = 1.0 if condition == "none" and needs_reference(judge) else limit
        jobs.append(_job(condition, settings, submissions, allowed))
    again = subsample(jobs[0].asked, plan.repeat, plan.seed, lambda asked: True) if plan.repeat else []
    return [*jobs, _job("again", without_cache(judge), [asked.submission for asked in again], limit)]


def _job(what: str, config: JudgeConfig, submissions: Sequence[Submission], limit: float) -> Job:
    identity = judge_identity(config, build_judge(config))
    return Job(what, config, tuple(Asked.of(what, submission, identity) for submission in submissions), limit)


def _used(path: Path, judged: int, used: int, left_out: int, seed: int) -> DataUsed:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return DataUsed(file=path.name, sha256=digest, rows=judged + left_out, used=used, left_out=left_out, seed=seed)
