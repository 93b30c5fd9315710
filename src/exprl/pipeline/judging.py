"""Judge sampled answers from a file: the judge by itself, outside training. What `exprl judge` does.

Verdicts are the evaluator's side: a judge's reply may quote the reference. They go to a file of their own, one row a cut, and
what was asked of a model is kept beside it, in `judge.sqlite`. A trace whose last cut has a row of the same scope is
done; one that a kill tore is judged again.

What it refuses: to fill the file with verdicts that are none. Once more than `unscored_limit` of the traces judged so far
lack a score it stops, and a later call judges those again.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exprl.config import RunConfig, SegmentConfig
from exprl.errors import ConfigError, DataError, UnscoredLimitError
from exprl.judge import Judge, build_judge
from exprl.judge.protocol import why_unscored
from exprl.pipeline.context import named_set
from exprl.runs import append_jsonl, read_jsonl
from exprl.segment import split
from exprl.types import Problem, Scope, Submission, Usage, Verdict

__all__ = ["Judged", "judge_samples", "waiting_submissions"]

BATCH = 64


@dataclass(frozen=True, slots=True)
class Judged:
    """What was judged: traces, verdicts, how many had no score, the mean final score, and the cost."""

    traces: int
    verdicts: int
    unscored: int
    mean: float | None
    usage: Usage

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        mean = "no score" if self.mean is None else f"mean final score {self.mean:.3f}"
        return (
            f"{self.traces} traces, {self.verdicts} verdicts ({self.unscored} unscored), {mean}; "
            f"{self.usage.calls} calls, {self.usage.prompt_tokens} tokens in ({self.usage.cached_tokens} cached), "
            f"{self.usage.completion_tokens} out"
        )


def judge_samples(config: RunConfig, samples: Path, out: Path, *, scope: Scope, set_name: str) -> Judged:
    """Judge every sample that `out` has no verdict on yet.

    Raises:
        ConfigError, DataError: see `waiting_submissions`.
        UnscoredLimitError: too many traces without a score (an unreachable judge, say).
    """
    waiting = waiting_submissions(config, samples, out, scope=scope, set_name=set_name)
    asyncio.run(_judge(build_judge(config.judge, store=out.parent), waiting, out, config.unscored_limit))
    return _tally([row for row in read_jsonl(out) if row["scope"] == scope])


def waiting_submissions(
    config: RunConfig, samples: Path, out: Path, *, scope: Scope, set_name: str
) -> list[Submission]:
    """The samples that `out` has no verdict on yet, cut as the judge will see them.

    Raises:
        ConfigError: no set of that name.
        DataError: no such file, a row that is no sample, or one that answers a problem that the set does not hold.
    """
    problems = {problem.id: problem for problem in named_set(config, set_name)}
    if not samples.is_file():
        raise DataError(f"{samples}: no such file; `exprl sample` writes one")
    submissions = [
        _submission(row, number, samples, problems, scope, config.segments)
        for number, row in enumerate(read_jsonl(samples), 1)
    ]
    done = {(row["rollout_id"], row["cut"]) for row in read_jsonl(out) if row["scope"] == scope}
    return [s for s in submissions if (s.rollout_id, s.cuts[-1]) not in done]


async def _judge(judge: Judge, waiting: Sequence[Submission], out: Path, limit: float) -> None:
    missing: list[str] = []
    try:
        for start in range(0, len(waiting), BATCH):
            batch = waiting[start : start + BATCH]
            judged = list(zip(batch, await judge.score(batch), strict=True))
            missing += [why for _, verdicts in judged if (why := why_unscored(verdicts)) is not None]
            over = len(missing) > limit * (start + len(batch))
            for submission, verdicts in judged:
                if not over or why_unscored(verdicts) is None:
                    append_jsonl(out, _rows(submission, verdicts))
            if over:
                raise UnscoredLimitError(
                    f"{len(missing)} of {start + len(batch)} traces could not be scored (limit {limit:.0%}); most "
                    f"often: {max(set(missing), key=missing.count)}. Mend the judge and run the same command again: "
                    "scored traces are kept; --unscored_limit 1 keeps the others, too, without a score"
                )
    finally:
        await judge.aclose()


def _rows(submission: Submission, verdicts: Sequence[Verdict]) -> list[dict[str, object]]:
    return [
        {"rollout_id": submission.rollout_id, "scope": submission.scope, "cut": end, **dataclasses.asdict(verdict)}
        for end, verdict in zip(submission.cuts, verdicts, strict=True)
    ]


def _submission(
    row: dict[str, object],
    number: int,
    path: Path,
    problems: dict[str, Problem],
    scope: Scope,
    rule: SegmentConfig,
) -> Submission:
    rollout, name, text = row.get("id"), row.get("question_id"), row.get("text")
    if not isinstance(rollout, str) or not isinstance(name, str) or not isinstance(text, str):
        raise DataError(f"{path}, line {number}: id, question_id or text is missing; `exprl sample` writes such rows")
    if name not in problems:
        raise DataError(f"{path}, line {number}: question_id {name!r} is not in the set; name it with --set")
    if rule.rule == "tokens" and scope != "outcome":
        raise ConfigError("segments.rule='tokens' needs token ids, which a file of samples lacks; use another rule")
    cuts = (len(text),) if scope == "outcome" else tuple(s.end for s in split(text, rule)) or (len(text),)
    return Submission(problems[name], rollout, text, cuts, scope)


def _tally(lines: Sequence[dict[str, object]]) -> Judged:
    # A cut may have two rows, where a kill tore its rollout: the later one counts.
    rows = list({(row["rollout_id"], row["cut"]): row for row in lines}.values())
    last = {str(row["rollout_id"]): row["score"] for row in rows}
    scores = [score for score in last.values() if isinstance(score, int | float)]
    usage = sum((Usage(**row["usage"]) for row in rows if isinstance(row["usage"], dict)), Usage())
    unscored = sum(row["score"] is None for row in rows)
    return Judged(len(last), len(rows), unscored, sum(scores) / len(scores) if scores else None, usage)
