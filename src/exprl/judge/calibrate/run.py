"""`exprl calibrate`, without the command line: rows in, verdicts asked for, a card out.

    labelled answers --(correct / none / wrong reference)--> judge --> rates, differences, curve, length
    a subsample of them, a second time, past the cache     --> judge --> repeatability
    traces with step labels, prefixes with success rates   --> judge --> process calibration

`out` gets verdicts.jsonl, the judge's cache and ledger, judge-card.json and judge-card.html.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from exprl.config import JudgeConfig, LLMJudgeConfig, PanelJudgeConfig, RunConfig
from exprl.judge import Judge, build_judge
from exprl.judge.calibrate.asking import Answer, ask, known_answers, settings_of
from exprl.judge.calibrate.bootstrap import Bools, Floats, Ints, Resampling
from exprl.judge.calibrate.card import (
    CARD_NAME,
    ConditionResult,
    JudgeCard,
    Lengths,
    ProcessResult,
    page_beside,
    write_card,
)
from exprl.judge.calibrate.conditions import Condition
from exprl.judge.calibrate.continuations import measure_continuations
from exprl.judge.calibrate.labelled import Labelled
from exprl.judge.calibrate.material import Calibration, Job, Material, gather
from exprl.judge.calibrate.measure import (
    Repeatability,
    curve,
    length_correlation,
    measure,
    misplacement_difference,
    repeatability,
)
from exprl.judge.calibrate.page import load_template, write_page
from exprl.judge.calibrate.process import ScoredTrace, measure_prefixes
from exprl.judge.calibrate.words import in_words
from exprl.runs import RunLock
from exprl.types import Submission, Usage

__all__ = ["calibrate", "planned"]

Progress = Callable[[str, int, int], None]
"""Called with what is being judged, how many are done, and how many there are."""

_REASONS = 5


def planned(config: RunConfig, plan: Calibration) -> dict[str, list[Submission]]:
    """What still has to be judged, by what it is for. Reads files and asks nobody.

    Raises:
        DataError: see `calibrate`.
    """
    material = gather(config, plan)
    known = known_answers(plan.out / "verdicts.jsonl")
    return {job.what: [asked.submission for asked in job.asked if asked.digest not in known] for job in material.jobs}


def calibrate(
    config: RunConfig, plan: Calibration, on_progress: Progress = lambda what, done, total: None
) -> JudgeCard:
    """Calibrate the configuration's judge, and write its card and page into `plan.out`.

    Raises:
        DataError: rows that cannot be used. JudgeError: a judge that cannot be built.
        UnscoredLimitError: too many answers without a score; what was scored is kept, and a later call goes on.
        EngineError: jinja2 is missing, for the page; said before anything is asked.
    """
    load_template()
    material = gather(config, plan)
    plan.out.mkdir(parents=True, exist_ok=True)
    with RunLock(plan.out):
        answers = _answers(material, plan.out, on_progress)
        card = _card(config, plan, material, answers)
        write_page(page_beside(plan.out / CARD_NAME), card)
        write_card(plan.out / CARD_NAME, card)
    return card


def _answers(material: Material, out: Path, on_progress: Progress) -> dict[str, Answer]:
    path = out / "verdicts.jsonl"
    answers = known_answers(path)
    for job in material.jobs:
        # Equal questions (two rows with one text) are one.
        waiting = list({asked.digest: asked for asked in job.asked if asked.digest not in answers}.values())
        total, done = len(job.asked), len(job.asked) - len(waiting)
        on_progress(job.what, done, total)

        def count(judged: int, what: str = job.what, total: int = total) -> None:
            nonlocal done
            done += judged
            on_progress(what, done, total)

        if waiting:
            judge: Judge = build_judge(job.config, store=out)
            answers |= asyncio.run(ask(judge, waiting, path, job.limit, count))
    return answers


def _card(config: RunConfig, plan: Calibration, material: Material, answers: dict[str, Answer]) -> JudgeCard:
    judge = build_judge(config.judge)
    how = Resampling(config.evaluate.level, config.evaluate.bootstrap, plan.seed)
    asked = [answers[one.digest] for job in material.jobs for one in job.asked]
    card = JudgeCard(
        exprl=version("exprl"),
        date=datetime.now(UTC).date().isoformat(),
        judge=judge.name,
        model=_model(config.judge),
        template_hash=judge.template_hash,
        scope="outcome",
        domains=tuple(sorted({row.problem.domain for row in material.rows})),
        settings=settings_of(config.judge),
        data=material.data,
        level=how.level,
        replicates=how.replicates,
        conditions=_conditions(plan, material, answers, how),
        repeatability=_repeatability(material, answers, how),
        process=_process(material, answers, how),
        usage=sum((answer.usage for answer in asked), Usage()),
    )
    return card.model_copy(update={"words": in_words(card)})


@dataclass(frozen=True, slots=True)
class _Columns:
    correct: Bools
    problems: Ints
    lengths: Ints

    @staticmethod
    def of(rows: Sequence[Labelled]) -> _Columns:
        return _Columns(
            np.array([row.correct for row in rows], dtype=np.bool_),
            _places([row.problem.text for row in rows]),
            np.array([len(row.candidate) for row in rows], dtype=np.int64),
        )


def _conditions(
    plan: Calibration, material: Material, answers: dict[str, Answer], how: Resampling
) -> dict[Condition, ConditionResult]:
    columns = _Columns.of(material.rows)
    jobs = {condition: material.job(condition) for condition in plan.conditions}
    scores = {condition: _scores(job, answers) for condition, job in jobs.items()}
    results: dict[Condition, ConditionResult] = {}
    for condition, job in jobs.items():
        mine, correct, problems = scores[condition], columns.correct, columns.problems
        lengths = [length_correlation(mine, columns.lengths, part, problems, how) for part in (correct, ~correct)]
        base = scores["correct"]
        results[condition] = ConditionResult(
            rates=measure(mine, correct, problems, how),
            curve=curve(mine, correct, problems, how),
            lengths=Lengths(correct=lengths[0], wrong=lengths[1]),
            reasons=_reasons(job, answers),
            difference=None if condition == "correct" else misplacement_difference(mine, base, correct, problems, how),
        )
    return results


def _repeatability(material: Material, answers: dict[str, Answer], how: Resampling) -> Repeatability | None:
    again, first = material.job("again"), material.job("correct")
    if again is None or first is None:
        return None
    by_id = {asked.submission.rollout_id: answers[asked.digest].scores[-1] for asked in first.asked}
    before = [by_id[asked.submission.rollout_id] for asked in again.asked]
    places = _places([asked.submission.problem.text for asked in again.asked])
    return repeatability(_floats(before), _scores(again, answers), places, how)


def _process(material: Material, answers: dict[str, Answer], how: Resampling) -> ProcessResult | None:
    steps, continued = material.job("steps"), material.job("continuations")
    if steps is None and continued is None:
        return None
    prefixes = monte_carlo = None
    if steps is not None:
        scored = [
            ScoredTrace(tuple(_floats(answers[asked.digest].scores).tolist()), trace.first_error)
            for asked, trace in zip(steps.asked, material.traces, strict=True)
        ]
        prefixes = measure_prefixes(scored, how)
    if continued is not None:
        scores = [answers[asked.digest].scores[-1] for asked in continued.asked]
        monte_carlo = measure_continuations(scores, material.prefixes, how)
    return ProcessResult(data=material.process_data, prefixes=prefixes, monte_carlo=monte_carlo)


def _scores(job: Job | None, answers: dict[str, Answer]) -> Floats:
    return _floats([answers[asked.digest].scores[-1] for asked in job.asked] if job is not None else [])


def _floats(scores: Sequence[float | None]) -> Floats:
    return np.array([math.nan if score is None else score for score in scores], dtype=np.float64)


def _reasons(job: Job | None, answers: dict[str, Answer]) -> dict[str, int]:
    reasons = [answers[asked.digest].reasons[-1] for asked in (job.asked if job is not None else ())]
    counts = Counter(reason[:200] for reason in reasons if reason is not None)
    return dict(counts.most_common(_REASONS))


def _places(names: Sequence[str]) -> Ints:
    place: dict[str, int] = {}
    return np.array([place.setdefault(name, len(place)) for name in names], dtype=np.int64)


def _model(config: JudgeConfig) -> str | None:
    if isinstance(config, PanelJudgeConfig):
        return ", ".join(filter(None, (_model(member.judge) for member in config.members.values()))) or None
    return config.model if isinstance(config, LLMJudgeConfig) else None
