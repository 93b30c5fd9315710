"""The hard-set filter as a loop: sample, grade, decide, one row a problem, resumable.

A problem is kept if 0 of n samples are right *and* its reference's own final answer grades as the stored one; the second
is asked first, since it costs no sampling. `filter.jsonl` holds the decision and its reason for every candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from exprl.config import FilterConfig
from exprl.data import Tally, decide_hardness, tally
from exprl.evaluate.sample import Sampler, derive_seed
from exprl.runs import append_jsonl, read_jsonl
from exprl.types import Problem, Rollout, Verdict
from exprl.verify import Verifier, grade_reference

__all__ = ["filter_problems"]


def filter_problems(
    sampler: Sampler,
    verifier: Verifier,
    problems: Sequence[Problem],
    path: Path,
    settings: FilterConfig,
    *,
    name: str,
    batch: int,
    seed: int = 0,
    keep: int | None = None,
    on_problems: Callable[[int], None] = lambda count: None,
) -> tuple[list[Problem], Tally]:
    """Keep the problems that the policy never solves.

    Args:
        path: the record; problems that it holds already under `name` are not sampled again.
        batch: rollouts sampled at once.
        keep: stop once so many are kept.
    Returns:
        The kept problems in their order, and the tally of why others were not.
    """
    decided = {str(row["id"]): row["why"] for row in read_jsonl(path) if row["set"] == name}
    size = max(1, batch // settings.n)
    for start in range(0, len(problems), size):
        chunk = problems[start : start + size]
        if keep is not None and sum(why is None for why in decided.values()) >= keep:
            break
        missing = [problem for problem in chunk if problem.id not in decided]
        if missing:
            rows = _decide(sampler, verifier, chunk, settings, name, seed)
            rows = [row for row in rows if str(row["id"]) not in decided]
            rows = _until(rows, None if keep is None else keep - sum(why is None for why in decided.values()))
            append_jsonl(path, rows)
            decided |= {str(row["id"]): row["why"] for row in rows}
        on_problems(len(chunk))
    kept = [problem for problem in problems if problem.id in decided and decided[problem.id] is None]
    return kept, tally([str(why) if why is not None else None for why in decided.values()])


def _until(rows: list[dict[str, object]], wanted: int | None) -> list[dict[str, object]]:
    """The rows up to the last problem that is wanted: what comes after it in its batch is left undecided."""
    kept = [i for i, row in enumerate(rows) if row["kept"]]
    return rows if wanted is None or len(kept) <= wanted else rows[: kept[wanted - 1] + 1]


def _decide(
    sampler: Sampler,
    verifier: Verifier,
    chunk: Sequence[Problem],
    settings: FilterConfig,
    name: str,
    seed: int,
) -> list[dict[str, object]]:
    graded = [
        grade if _can_contradict(problem) else Verdict(1.0)
        for problem, grade in zip(chunk, grade_reference(chunk, verifier), strict=True)
    ]
    sampled = [problem for problem, grade in zip(chunk, graded, strict=True) if grade.score == 1.0]
    words = _sample(sampler, verifier, sampled, settings, seed)
    rows: list[dict[str, object]] = []
    for problem, grade in zip(chunk, graded, strict=True):
        mine = words.get(problem.id, [])
        correct = sum(word.score == 1.0 for word in mine)
        unscored = sum(word.score is None for word in mine)
        decision = decide_hardness(len(mine), correct, unscored, grade)
        rows.append(
            {
                "id": problem.id,
                "set": name,
                "n": len(mine),
                "correct": correct,
                "unscored": unscored,
                "kept": decision.kept,
                "why": decision.why,
            }
        )
    return rows


def _can_contradict(problem: Problem) -> bool:
    """Whether there are a solution and something stored that it has to agree with."""
    reference = problem.reference
    return reference.has_solution and (reference.has_answer or reference.has_tests)


def _sample(
    sampler: Sampler, verifier: Verifier, problems: Sequence[Problem], settings: FilterConfig, seed: int
) -> dict[str, list[Verdict]]:
    by_id = {problem.id: problem for problem in problems}
    rollouts: list[Rollout] = []
    if problems:
        rollouts = list(
            sampler.sample(
                [problem.question for problem in problems],
                settings.n,
                temperature=settings.temperature,
                max_tokens=settings.max_tokens,
                # Seeds of its own: an evaluation with the filter's seeds would only repeat its samples.
                seed=derive_seed(seed, ["filter"]),
            )
        )
    words: dict[str, list[Verdict]] = {}
    for rollout, word in zip(
        rollouts, verifier.verify([(by_id[r.question_id], r.text) for r in rollouts]), strict=True
    ):
        words.setdefault(rollout.question_id, []).append(word)
    return words
