"""One file a method: how a batch of rollouts becomes credit.

`outcome` and `process` are ExpRL; `sparse` is the control, and Stage II. Which of them runs is a type in the
configuration (`type = "process"`), so a new method is a new file, a new configuration class and a line here. The baselines
that open the reference themselves, `sft` and `self_distill`, live in `exprl.baselines`.
"""

from __future__ import annotations

from exprl.config import MethodConfig, OutcomeConfig, ProcessConfig, SegmentConfig, SparseConfig
from exprl.errors import ConfigError
from exprl.judge import Judge
from exprl.methods.batch import Credits, Method, RolloutBatch
from exprl.methods.outcome import OutcomeMethod
from exprl.methods.process import ProcessMethod
from exprl.methods.sparse import SparseMethod

__all__ = ["Credits", "Method", "RolloutBatch", "build_method", "needs_judge", "needs_references"]


def needs_judge(config: MethodConfig) -> bool:
    """Whether the method asks a judge."""
    return isinstance(config, OutcomeConfig | ProcessConfig)


def needs_references(config: MethodConfig) -> bool:
    """Whether the method needs reference solutions: all but sparse RL do."""
    return not isinstance(config, SparseConfig)


def build_method(config: MethodConfig, judge: Judge | None, segments: SegmentConfig) -> Method:
    """Build the method that a configuration names.

    Raises:
        ConfigError: the method asks a judge and none is given, or it is one of `exprl.baselines`.
    """
    if isinstance(config, SparseConfig):
        return SparseMethod(config)
    if not isinstance(config, OutcomeConfig | ProcessConfig):
        raise ConfigError(f"the method {config.type!r} opens references itself; exprl.baselines builds it")
    if judge is None:
        raise ConfigError(f"the method {config.type!r} needs a judge; add a [judge] table")
    if isinstance(config, OutcomeConfig):
        return OutcomeMethod(config, judge)
    return ProcessMethod(config, judge, segments)
