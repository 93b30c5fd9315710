"""What judging costs at most, reckoned before anything is asked: the ceiling that `--dry-run` shows.

    calls            traces x cuts x samples; one a trace where all prefixes are judged at once
    prompt tokens    calls x (rubric + problem + reference + whole trace), nothing taken as cached
    completion       calls x max_tokens
    cost             at the stated prices; None where there are none

Assumptions, all on the safe side for text: two bytes of problem and reference a token, 1,500 tokens of rubric, a trace
of as many tokens to the judge as to the policy. Calls that are tried again are not in it. A judge without a model costs
nothing, though its verdicts are counted as calls.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from exprl.config import JudgeConfig, LLMJudgeConfig, PanelJudgeConfig
from exprl.types import Problem

__all__ = ["Ceiling", "judging_ceiling", "longest_problem"]

_RUBRIC_TOKENS = 1500
_BYTES_PER_TOKEN = 2


class Ceiling(NamedTuple):
    """At most this much; `cost` is None where a judge with a model has no prices."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None

    def plus(self, other: Ceiling) -> Ceiling:
        """Both together."""
        cost = None if self.cost is None or other.cost is None else self.cost + other.cost
        return Ceiling(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            cost,
        )


def judging_ceiling(config: JudgeConfig, *, traces: int, cuts: int, trace_tokens: int, problem_tokens: int) -> Ceiling:
    """The ceiling of judging `traces` traces of at most `trace_tokens` tokens, cut into `cuts` pieces each.

    Args:
        problem_tokens: of the longest problem with its reference; see `longest_problem`.
    """
    if isinstance(config, PanelJudgeConfig):
        total = Ceiling(0, 0, 0, 0.0)
        for member in config.members.values():
            total = total.plus(
                judging_ceiling(
                    member.judge, traces=traces, cuts=cuts, trace_tokens=trace_tokens, problem_tokens=problem_tokens
                )
            )
        return total
    if not isinstance(config, LLMJudgeConfig):
        return Ceiling(traces * cuts, 0, 0, 0.0)
    calls = traces * (1 if config.prefixes == "once" else cuts) * config.samples
    prompt = calls * (_RUBRIC_TOKENS + problem_tokens + trace_tokens)
    completion = calls * config.max_tokens
    if config.price_in is None or config.price_out is None:
        return Ceiling(calls, prompt, completion, None)
    return Ceiling(calls, prompt, completion, (prompt * config.price_in + completion * config.price_out) / 1e6)


def longest_problem(problems: Iterable[Problem]) -> int:
    """Tokens, at most, of the longest problem with its reference. Its length is all that is told of a reference."""
    return max((_bytes(problem) // _BYTES_PER_TOKEN for problem in problems), default=0)


def _bytes(problem: Problem) -> int:
    solution, answer, _ = problem.reference.reveal()
    return sum(len((text or "").encode("utf-8", "replace")) for text in (problem.text, solution, answer))
