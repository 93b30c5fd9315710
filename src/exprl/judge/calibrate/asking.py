"""Asking the judge, so that a killed calibration goes on where it was.

Verdicts go to `verdicts.jsonl`, one row a cut, batch by batch. A row is known by a digest of what was asked (the judge with
its settings, problem, reference, text, cuts, condition), so a file may hold verdicts of several calibrations: what was asked
before, by this judge, is not asked again; all else is. The last row of a submission makes it whole. `raw` may quote
references: the file stays on the evaluator's side.

What it refuses, as `exprl judge` does: to fill the file with verdicts that are none. Once more than the limit of a
condition's answers lack a score it stops; a later call asks for those again.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from exprl.config import JUDGE_EXECUTION, JudgeConfig
from exprl.errors import UnscoredLimitError
from exprl.judge.asking.question import digest_of
from exprl.judge.protocol import Judge, why_unscored
from exprl.runs import append_jsonl, iter_jsonl
from exprl.types import Submission, Usage, Verdict

__all__ = ["Answer", "Asked", "ask", "judge_identity", "known_answers", "settings_of"]

BATCH = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """One submission under a name: the condition, or what else it is for."""

    what: str
    submission: Submission
    digest: str

    @staticmethod
    def of(what: str, submission: Submission, identity: str) -> Asked:
        """`identity` is the judge's (`judge_identity`)."""
        problem = submission.problem
        cuts = ",".join(map(str, submission.cuts))
        parts = (identity, what, problem.text, problem.domain, problem.reference.digest, submission.text, cuts)
        return Asked(what, submission, digest_of((*parts, submission.scope)))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back on one submission: a score (None: unscored) and why not, for each cut, and the cost of it all."""

    scores: tuple[float | None, ...]
    reasons: tuple[str | None, ...]
    usage: Usage


def judge_identity(config: JudgeConfig, judge: Judge) -> str:
    """Changes whenever verdicts may: with the model, its settings, prompts or rules."""
    return digest_of((judge.name, judge.template_hash, json.dumps(settings_of(config), sort_keys=True)))


def settings_of(config: JudgeConfig) -> dict[str, object]:
    """The settings that verdicts depend on; endpoints, limits and prices left out."""
    return _without_elsewhere(config.model_dump(mode="json"))


def known_answers(path: Path) -> dict[str, Answer]:
    """What a file of verdicts holds already, whole submissions only, by digest."""
    rows: dict[str, dict[int, Mapping[str, object]]] = {}
    lengths: dict[str, int] = {}
    for row in iter_jsonl(path):
        asked, cut, cuts = row.get("asked"), row.get("cut"), row.get("cuts")
        if isinstance(asked, str) and isinstance(cut, int) and isinstance(cuts, int):
            rows.setdefault(asked, {})[cut] = row
            lengths[asked] = cuts
    return {
        asked: _answer([found[i] for i in range(lengths[asked])])
        for asked, found in rows.items()
        if found.keys() >= set(range(lengths[asked]))
    }


async def ask(
    judge: Judge, waiting: Sequence[Asked], out: Path, limit: float, on_batch: Callable[[int], None]
) -> dict[str, Answer]:
    """Ask for the verdicts that are not there yet, and append them. Closes the judge.

    Args:
        limit: share of submissions that may lack a score.
        on_batch: called with the number of submissions just judged.
    Raises:
        UnscoredLimitError: more than that. What was scored is kept.
    """
    answers: dict[str, Answer] = {}
    missing: list[str] = []
    try:
        for start in range(0, len(waiting), BATCH):
            batch = waiting[start : start + BATCH]
            judged = list(zip(batch, await judge.score([asked.submission for asked in batch]), strict=True))
            missing += [why for _, verdicts in judged if (why := why_unscored(verdicts)) is not None]
            over = len(missing) > limit * (start + len(batch))
            kept = [pair for pair in judged if not over or why_unscored(pair[1]) is None]
            append_jsonl(out, [row for asked, verdicts in kept for row in _rows(asked, verdicts)])
            if over:
                raise UnscoredLimitError(
                    f"{len(missing)} of {start + len(batch)} answers ({waiting[0].what}) could not be scored (limit "
                    f"{limit:.0%}); most often: {max(set(missing), key=missing.count)}. Mend the judge and run the same "
                    "command again: scored answers are kept; --unscored_limit 1 keeps the others, too, without a score"
                )
            answers |= {asked.digest: _answer(_rows(asked, verdicts)) for asked, verdicts in judged}
            on_batch(len(batch))
    finally:
        await judge.aclose()
    return answers


def _rows(asked: Asked, verdicts: Sequence[Verdict]) -> list[dict[str, object]]:
    head = {"asked": asked.digest, "what": asked.what, "id": asked.submission.rollout_id, "cuts": len(verdicts)}
    return [{**head, "cut": i, **dataclasses.asdict(verdict)} for i, verdict in enumerate(verdicts)]


def _answer(rows: Sequence[Mapping[str, object]]) -> Answer:
    scores = [row.get("score") for row in rows]
    reasons = [row.get("unscored") for row in rows]
    usages = [row.get("usage") for row in rows]
    return Answer(
        tuple(float(score) if isinstance(score, int | float) else None for score in scores),
        tuple(reason if isinstance(reason, str) else None for reason in reasons),
        sum((Usage(**usage) for usage in usages if isinstance(usage, dict)), Usage()),
    )


def _without_elsewhere(settings: object) -> dict[str, object]:
    found = settings.items() if isinstance(settings, dict) else ()
    return {
        key: _without_elsewhere(value) if isinstance(value, dict) else value
        for key, value in found
        if key not in JUDGE_EXECUTION
    }
