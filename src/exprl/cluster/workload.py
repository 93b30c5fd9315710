"""What one step asks of the machines, in tokens: read off a configuration, before anything is placed.

n = P G rollouts a step; S pieces of each are judged (1 for a whole trace). Per rollout the judge is sent

    sent      S (A + Q + R + I) + T (S + 1) / 2        A rubric, Q problem, R reference, I closing, T trace

for prefixes of equal steps, of which a prefix cache that loses nothing leaves

    floor     (A + Q + R) / G + T + S I                 head once a problem, trace once a rollout, closing each time

to be prefilled: the floor of `benchmarks/prefix_sharing.py` without its half block a cut. Isolated segments send T once in
all; one call a trace (`prefixes = "once"`) is S = 1. Self-distillation's teacher stands in the judge's place.
"""

from __future__ import annotations

from dataclasses import dataclass

from exprl.cluster.assumptions import Assumptions
from exprl.config import LLMJudgeConfig, Optimisation, OutcomeConfig, ProcessConfig, RunConfig, SelfDistillConfig
from exprl.errors import ConfigError

__all__ = ["Judging", "Workload", "workload"]


@dataclass(frozen=True, slots=True)
class Judging:
    """What one rollout asks of the judge: calls, tokens sent, tokens at least to be prefilled, tokens a reply."""

    model: str
    calls: int
    sent: float
    floor: float
    reply: int

    def prefilled(self, kept: float) -> float:
        """Tokens a rollout, where caches hold `kept` of what they could."""
        return self.floor + (1 - kept) * (self.sent - self.floor)


@dataclass(frozen=True, slots=True)
class Workload:
    """One step of a stage. `forwards` are forward passes over all rollouts beside the update's own."""

    name: str
    policy: str
    steps: int
    problems: int
    group: int
    updates: int
    prompt: int
    response: float
    longest: int
    forwards: int
    frozen_copy: bool
    judging: Judging | None

    @property
    def rollouts(self) -> int:
        """n, a step."""
        return self.problems * self.group

    @property
    def sampled(self) -> float:
        """Tokens sampled a step."""
        return self.rollouts * self.response

    @property
    def trained(self) -> float:
        """Tokens, prompts included, that an update passes over a step."""
        return self.rollouts * (self.prompt + self.response)


def workload(config: RunConfig, name: str, method: Optimisation, assumed: Assumptions) -> Workload:
    """The work of one step of an arm, or of Stage II.

    Raises:
        ConfigError: a panel of judges, which has no one model to place.
    """
    return Workload(
        name=name,
        policy=config.policy.model,
        steps=method.steps,
        problems=method.prompts_per_step,
        group=method.rollouts_per_prompt,
        updates=method.updates_per_step,
        prompt=min(assumed.prompt_tokens, method.max_prompt_tokens),
        response=assumed.response_share * method.max_tokens,
        longest=method.max_tokens,
        # The old policy's log-probabilities, and those of the start.
        forwards=1 + (method.kl > 0),
        frozen_copy=method.kl > 0,
        judging=_teaching(config, method, assumed)
        if isinstance(method, SelfDistillConfig)
        else _judging(config, method, assumed),
    )


def _teaching(config: RunConfig, method: SelfDistillConfig, assumed: Assumptions) -> Judging:
    """A teacher's server reads problem, reference and trace once a rollout; for `prompt_logprobs` no prefix is cached."""
    read = assumed.prompt_tokens + assumed.reference_tokens + assumed.response_share * method.max_tokens
    return Judging(model=config.policy.model, calls=1, sent=read, floor=read, reply=1)


def _judging(config: RunConfig, method: Optimisation, assumed: Assumptions) -> Judging | None:
    judge = config.judge
    if not isinstance(method, OutcomeConfig | ProcessConfig) or judge.type == "milestone":
        return None
    if not isinstance(judge, LLMJudgeConfig):
        raise ConfigError(
            "a panel of judges has no one model to place; plan with one: --judge.type llm --judge.model NAME"
        )
    pieces = 1
    if isinstance(method, ProcessConfig) and judge.prefixes != "once":
        pieces = min(assumed.segments, config.segments.max_segments)
    trace = assumed.response_share * method.max_tokens
    head = assumed.rubric_tokens + assumed.prompt_tokens + assumed.reference_tokens
    isolated = isinstance(method, ProcessConfig) and method.scope == "segment"
    traces = trace if isolated else trace * (pieces + 1) / 2
    calls = pieces * judge.samples
    return Judging(
        model=judge.model,
        calls=calls,
        sent=judge.samples * (pieces * (head + assumed.closing_tokens) + traces),
        floor=head / method.rollouts_per_prompt + trace + calls * assumed.closing_tokens,
        reply=min(assumed.judge_reply_tokens, judge.max_tokens),
    )
