"""Samples, graded, as rows of `samples.jsonl`.

`count_correct` is the whole of it: it reads what a file holds, draws what is missing, grades it, appends it batch by
batch, and counts. A killed call, called again, loses at most the batch in flight. A verdict that is missing is
`correct: null` in the row and unscored in the counts, never wrong.

    >>> counts = count_correct(run.base("aime26").samples, problems, sampler, verifier,
    ...                        n=128, temperature=0.8, max_tokens=16_384, seed=1)  # doctest: +SKIP
    >>> coverage(counts).at(1)  # doctest: +SKIP
    Interval(value=0.514, low=0.402, high=0.626)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from exprl.errors import DataError, ExprlError
from exprl.evaluate.coverage import Counts
from exprl.evaluate.sample.plan import Sampler
from exprl.runs import append_jsonl, iter_jsonl
from exprl.types import Problem, Rollout

if TYPE_CHECKING:
    from exprl.verify import Verifier

__all__ = ["SampleRow", "count_correct", "grade"]


class SampleRow(TypedDict):
    """One sample; `correct` is 1.0, 0.0, or None where there is no verdict."""

    id: str
    question_id: str
    sample: int
    text: str
    tokens: int
    truncated: bool
    correct: float | None


def grade(
    rollouts: Iterable[Rollout], problems: Sequence[Problem], verifier: Verifier, *, batch: int = 64
) -> Iterator[list[SampleRow]]:
    """Verify rollouts in batches, in their order; where sampling stops with an error, what came before it comes first.

    Raises:
        DataError: a rollout of a question that is not among the problems.
    """
    by_id = {problem.id: problem for problem in problems}
    for part in _parts(rollouts, batch):
        if unknown := [rollout.question_id for rollout in part if rollout.question_id not in by_id]:
            raise DataError(f"a rollout answers {unknown[0]!r}, which is not among the {len(by_id)} problems")
        verdicts = verifier.verify([(by_id[rollout.question_id], rollout.text) for rollout in part])
        yield [_row(rollout, verdict.score) for rollout, verdict in zip(part, verdicts, strict=True)]


def count_correct(
    path: Path,
    problems: Sequence[Problem],
    sampler: Sampler,
    verifier: Verifier,
    *,
    n: int,
    temperature: float,
    max_tokens: int,
    seed: int,
    batch: int = 64,
    on_rows: Callable[[int], None] | None = None,
) -> Counts:
    """Bring `path` to `n` graded samples a problem, and count them.

    Args:
        path: a `samples.jsonl`; what it holds of these problems is kept.
        batch: rows graded and appended at once.
        on_rows: called with the number of new rows after each batch, for progress.
    Returns:
        Counts in the order of `problems`.
    """
    rows = [_counted(row) for row in iter_jsonl(path)]  # without their texts: a file may hold gigabytes of them
    questions = [problem.question for problem in problems]
    rollouts = sampler.sample(
        questions,
        n,
        temperature=temperature,
        max_tokens=max_tokens,
        seed=seed,
        done={str(row["id"]) for row in rows},
    )
    for graded in grade(rollouts, problems, verifier, batch=batch):
        append_jsonl(path, graded)
        rows += [_counted(row) for row in graded]
        if on_rows is not None:
            on_rows(len(graded))
    return Counts.of_rows(rows, [problem.id for problem in problems])


def _parts(rollouts: Iterable[Rollout], batch: int) -> Iterator[list[Rollout]]:
    part: list[Rollout] = []
    try:
        for rollout in rollouts:
            part.append(rollout)
            if len(part) == batch:
                yield part
                part = []
    except ExprlError:
        if part:
            yield part
        raise
    if part:
        yield part


def _counted(row: Mapping[str, object]) -> dict[str, object]:
    return {key: row[key] for key in ("id", "question_id", "correct")}


def _row(rollout: Rollout, correct: float | None) -> SampleRow:
    return {
        "id": rollout.id,
        "question_id": rollout.question_id,
        "sample": int(rollout.id.rpartition("/")[2]),
        "text": rollout.text,
        "tokens": rollout.tokens,
        "truncated": rollout.truncated,
        "correct": correct,
    }
