"""Judge sampled answers from a file: the judge by itself, outside training. What `exprl judge` does.

Verdicts are the evaluator's side: a judge's reply may quote the reference. They go to a file of their own.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exprl.config import RunConfig, SegmentConfig
from exprl.errors import ConfigError, DataError
from exprl.judge import Judge, build_judge
from exprl.pipeline.context import load_sets
from exprl.runs import append_jsonl, read_jsonl
from exprl.segment import split
from exprl.types import Problem, Scope, Submission, Usage

__all__ = ["Judged", "judge_samples"]

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
        ConfigError: no set of that name.
        DataError: a sample answers a problem that the set does not hold.
    """
    sets = load_sets(config)
    if set_name not in sets:
        raise ConfigError(f"no set {set_name!r}; there are {', '.join(sets)}")
    problems = {problem.id: problem for problem in sets[set_name]}
    if not samples.is_file():
        raise DataError(f"{samples}: no such file; `exprl sample` writes one")
    done = {str(row["rollout_id"]) for row in read_jsonl(out)}
    waiting = [
        _submission(row, number, samples, problems, scope, config.segments)
        for number, row in enumerate(read_jsonl(samples), 1)
        if str(row["id"]) not in done
    ]
    asyncio.run(_judge(build_judge(config.judge), waiting, out))
    return _tally(read_jsonl(out))


async def _judge(judge: Judge, waiting: Sequence[Submission], out: Path) -> None:
    try:
        for start in range(0, len(waiting), BATCH):
            batch = waiting[start : start + BATCH]
            for submission, verdicts in zip(batch, await judge.score(batch), strict=True):
                append_jsonl(
                    out,
                    [
                        {"rollout_id": submission.rollout_id, "cut": end, **dataclasses.asdict(verdict)}
                        for end, verdict in zip(submission.cuts, verdicts, strict=True)
                    ],
                )
    finally:
        await judge.aclose()


def _submission(
    row: dict[str, object],
    number: int,
    path: Path,
    problems: dict[str, Problem],
    scope: Scope,
    rule: SegmentConfig,
) -> Submission:
    name, text = str(row.get("question_id")), str(row.get("text", ""))
    if name not in problems:
        raise DataError(f"{path}, line {number}: question_id {name!r} is not in the set; name it with --set")
    if rule.rule == "tokens" and scope != "outcome":
        raise ConfigError("segments.rule='tokens' needs token ids, which a file of samples lacks; use another rule")
    cuts = (len(text),) if scope == "outcome" else tuple(s.end for s in split(text, rule)) or (len(text),)
    return Submission(problems[name], str(row["id"]), text, cuts, scope)


def _tally(rows: Sequence[dict[str, object]]) -> Judged:
    last = {str(row["rollout_id"]): row["score"] for row in rows}
    scores = [score for score in last.values() if isinstance(score, int | float)]
    usage = sum((Usage(**row["usage"]) for row in rows if isinstance(row["usage"], dict)), Usage())
    unscored = sum(row["score"] is None for row in rows)
    return Judged(len(last), len(rows), unscored, sum(scores) / len(scores) if scores else None, usage)
