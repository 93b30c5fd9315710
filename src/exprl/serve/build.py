"""A server from a configuration: its judge, its verifier, how it cuts traces, and the references it knows from the start."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from exprl.config import JudgeConfig, LLMJudgeConfig, PanelJudgeConfig, RunConfig
from exprl.errors import ConfigError
from exprl.judge import build_judge
from exprl.pipeline.context import named_set
from exprl.serve.auth import Keyring
from exprl.serve.limits import Limits
from exprl.serve.metrics import Metrics
from exprl.serve.references import FullError, References, TakenError
from exprl.serve.scoring import Scorer
from exprl.serve.state import State
from exprl.types import Problem
from exprl.verify import build_verifier

__all__ = ["build_state"]


def build_state(
    config: RunConfig, sets: Sequence[str], folder: Path, limits: Limits, *, access_log: bool = False
) -> State:
    """Everything that a server needs, with tokens from the environment.

    Args:
        sets: names of the configuration's sets, whose problems are registered.
        folder: where a judge model's verdicts and costs are kept.
    Raises:
        ConfigError: no usable token, segments that need token ids, an unknown set, two problems under one id.
        DataError, JudgeError: what the configuration names cannot be used.
    """
    if config.segments.rule == "tokens":
        raise ConfigError("segments.rule='tokens' needs token ids, which a request has not; use another rule")
    keyring = Keyring.of(os.environ)
    references = References(most=limits.references)
    for name in sets:
        _register(references, named_set(config, name), name)
    metrics = Metrics()
    judge = build_judge(config.judge, store=folder)
    verifier = build_verifier(config.verifier, judge=config.judge, store=folder)
    scorer = Scorer(judge, verifier, metrics, limits.remembered)
    return State(
        keyring,
        references,
        scorer,
        metrics,
        segments=config.segments,
        limits=limits,
        one_by_one=_one_by_one(config.judge),
        access_log=access_log,
    )


def _register(references: References, problems: Sequence[Problem], name: str) -> None:
    for problem in problems:
        try:
            references.add(problem)
        except TakenError:
            raise ConfigError(f"set {name}: id {problem.id!r} is used by another problem of another set") from None
        except FullError:
            raise ConfigError(f"set {name}: more than {len(references)} references") from None


def _one_by_one(judge: JudgeConfig) -> bool:
    """Whether a prefix is scored by a call of its own, so that to score prefixes one by one costs no more."""
    if isinstance(judge, PanelJudgeConfig):
        return all(_one_by_one(member.judge) for member in judge.members.values())
    return isinstance(judge, LLMJudgeConfig) and judge.prefixes == "each"
