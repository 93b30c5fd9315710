"""Monte-Carlo calibration: does a prefix that scores higher really succeed more often?

Continue a prefix many times, grade the ends, and compare the share of right ones with the prefix's score (Spearman, with
an interval over problems). The shares come from a file, one row a prefix: `id`, `problem`, `reference` or a joined one,
`prefix`, `rate` in [0, 1]; or they are sampled by `continue_prefixes`, which gives such rates.

A `Sampler` answers questions, it does not continue answers. So a prefix is put into the question: `plainly`, where the
sampler reads the question as bare text (a `LocalSampler` with `PromptConfig(system=None, user="{problem}")` and
`chat=False`, whose model then simply goes on), or `by_request`, where a chat model is asked to go on and to write nothing
twice. The first continues the very tokens; the second depends on the model doing as it is told, and a model that starts
anew is measured at its own skill rather than the prefix's worth. The reference is in neither.

    >>> plainly("What is 2 + 3?", "2 + 3 =")
    'What is 2 + 3?\\n\\n2 + 3 ='
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from exprl.config import ColumnMap, SourceConfig
from exprl.data.load import load_problems
from exprl.data.overlap import normalise
from exprl.data.rows import Row, read_rows
from exprl.errors import DataError
from exprl.judge.calibrate.bootstrap import NOTHING, Estimate, Resampling, bootstrap
from exprl.judge.calibrate.labelled import missing_column, text_in
from exprl.judge.calibrate.ranks import spearman
from exprl.types import Domain, Problem, Question, Reference, Submission
from exprl.verify.protocol import Verifier

if TYPE_CHECKING:
    from exprl.evaluate.sample.plan import Sampler  # its package brings an HTTP client

__all__ = [
    "Continuation",
    "MonteCarlo",
    "Opening",
    "by_request",
    "continue_prefixes",
    "load_continuations",
    "measure_continuations",
    "plainly",
]

Opening = Callable[[str, str], str]
"""From a problem's text and a prefix to what the sampler reads."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """A prefix, and the share of its continuations that ended right; None where none could be graded."""

    id: str
    problem: Problem
    prefix: str
    rate: float | None = None

    @property
    def submission(self) -> Submission:
        """The prefix as a judge sees it."""
        return Submission(self.problem, self.id, self.prefix, (len(self.prefix),), "prefix")


@dataclass(frozen=True, slots=True)
class MonteCarlo:
    """Spearman's correlation of prefix score and success rate, over the prefixes that have both."""

    prefixes: int
    unscored: int
    spearman: Estimate


def plainly(problem: str, prefix: str) -> str:
    """Bare text that ends where the prefix does."""
    return f"{problem}\n\n{prefix}"


def by_request(problem: str, prefix: str) -> str:
    """A request to go on, for a chat model."""
    return (
        f"{problem}\n\nThe solution below was begun and not finished. Go on from exactly where it stops: keep to what it "
        f"says, do not repeat it, do not start again.\n\n{prefix}"
    )


def continue_prefixes(
    sampler: Sampler,
    verifier: Verifier,
    prefixes: Sequence[Continuation],
    *,
    n: int,
    temperature: float,
    max_tokens: int,
    seed: int,
    opening: Opening = plainly,
) -> list[Continuation]:
    """Sample `n` continuations of every prefix and fill in its rate: right ends among those that could be graded.

    Args:
        opening: how a prefix is put to the sampler, see the module.
    """
    by_id = {prefix.id: prefix for prefix in prefixes}
    questions = [Question(p.id, opening(p.problem.text, p.prefix), p.problem.domain) for p in prefixes]
    rollouts = list(sampler.sample(questions, n, temperature=temperature, max_tokens=max_tokens, seed=seed))
    graded = verifier.verify(
        [(by_id[r.question_id].problem, by_id[r.question_id].prefix + r.text) for r in rollouts],
    )
    scores: dict[str, list[float]] = {prefix.id: [] for prefix in prefixes}
    for rollout, verdict in zip(rollouts, graded, strict=True):
        if verdict.score is not None:
            scores[rollout.question_id].append(verdict.score)
    return [replace(p, rate=sum(s) / len(s) if (s := scores[p.id]) else None) for p in prefixes]


def load_continuations(
    path: Path, references: Mapping[str, Reference], domain: Domain
) -> tuple[tuple[Continuation, ...], int]:
    """Read prefixes with their rates; those of problems without a reference are left out.

    Returns:
        The prefixes that can be judged, and how many rows the file has.
    Raises:
        DataError: whatever cannot be used, with its place.
    """
    source = SourceConfig(path=str(path), domain=domain)
    first = next(iter(read_rows(source)), None)
    if first is not None and "reference" in first.cells:
        source = source.model_copy(update={"columns": ColumnMap(solution="reference")})
    found: list[Continuation] = []
    total = 0
    for problem, row in zip(load_problems(source), read_rows(source), strict=True):
        own = problem.reference if problem.reference.has_solution else references.get(normalise(problem.text))
        prefix, rate = text_in(row, "prefix"), _rate(row)
        total += 1
        if own is not None:
            found.append(Continuation(problem.id, replace(problem, reference=own), prefix, rate))
    return tuple(found), total


def measure_continuations(
    scores: Sequence[float | None], prefixes: Sequence[Continuation], how: Resampling | None = None
) -> MonteCarlo:
    """Correlate the judge's scores of prefixes with their success rates."""
    names = {text: i for i, text in enumerate(dict.fromkeys(p.problem.text for p in prefixes))}
    score_N = np.array([math.nan if score is None else score for score in scores], dtype=np.float64)
    rate_N = np.array([math.nan if p.rate is None else p.rate for p in prefixes], dtype=np.float64)
    problem_N = np.array([names[p.problem.text] for p in prefixes], dtype=np.int64)
    both_N = ~(np.isnan(score_N) | np.isnan(rate_N))
    rho = NOTHING
    if both_N.sum() >= 3:
        statistic = spearman(score_N[both_N], rate_N[both_N])
        rho = bootstrap({"rho": statistic}, problem_N[both_N], how or Resampling())["rho"]
    return MonteCarlo(int(both_N.sum()), int(np.isnan(score_N).sum()), rho)


def _rate(row: Row) -> float:
    if "rate" not in row.cells:
        raise missing_column(row, "rate")
    value = row.cells["rate"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        shown = value if isinstance(value, int | float) else type(value).__name__
        raise DataError(f"{row.where}, column 'rate': expected a share from 0 to 1, found {shown}")
    return float(value)
