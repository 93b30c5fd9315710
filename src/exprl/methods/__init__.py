"""One file a method: how a batch of rollouts becomes credit.

`outcome` and `process` are ExpRL; `sparse` is the control, and Stage II. Which of them runs is a type in the
configuration (`type = "process"`), so a new method is a new file, a new configuration class and a line here.
"""

from __future__ import annotations

from exprl.config import MethodConfig, OutcomeConfig, ProcessConfig, SegmentConfig
from exprl.errors import ConfigError
from exprl.judge import Judge
from exprl.methods.batch import Credits, Method, RolloutBatch
from exprl.methods.outcome import OutcomeMethod
from exprl.methods.process import ProcessMethod
from exprl.methods.sparse import SparseMethod

__all__ = ["Credits", "Method", "RolloutBatch", "build_method", "needs_judge"]


def needs_judge(config: MethodConfig) -> bool:
    """Whether the method asks a judge, and so needs reference solutions."""
    return isinstance(config, OutcomeConfig | ProcessConfig)


def build_method(config: MethodConfig, judge: Judge | None, segments: SegmentConfig) -> Method:
    """Build the method that a configuration names.

    Raises:
        ConfigError: the method asks a judge and none is given.
    """
    if not isinstance(config, OutcomeConfig | ProcessConfig):
        return SparseMethod(config)
    if judge is None:
        raise ConfigError(f"the method {config.type!r} needs a judge; add a [judge] table")
    if isinstance(config, OutcomeConfig):
        return OutcomeMethod(config, judge)
    return ProcessMethod(config, judge, segments)
