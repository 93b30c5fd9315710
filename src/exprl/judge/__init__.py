"""The reference enters here and never leaves: judges that score how far a trace has come towards it.

`MilestoneJudge` is deterministic and needs no model; `LLMJudge` asks one over HTTP; `PanelJudge` weighs several. All keep
the `Judge` protocol: async, a batch in, one `Verdict` a cut out, unscored with a reason where there is no score.
Importing this package imports no HTTP library.

    judge = build_judge(config.judge)
    verdicts = await judge.score(submissions)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exprl.config import JudgeConfig, MilestoneJudgeConfig, PanelJudgeConfig
from exprl.judge.milestone import MilestoneJudge
from exprl.judge.protocol import Judge

if TYPE_CHECKING:
    from exprl.judge.llm import LLMJudge
    from exprl.judge.panel import PanelJudge

__all__ = ["Judge", "LLMJudge", "MilestoneJudge", "PanelJudge", "build_judge"]


def build_judge(config: JudgeConfig, *, store: Path | None = None, secret: bytes | None = None) -> Judge:
    """The judge that a configuration asks for. Connects to nothing yet.

    Args:
        config: the `judge` table of a configuration.
        store: the run's folder, where verdicts and costs are kept; without it they are not.
        secret: see `LLMJudge`; leave it out unless prompts must repeat from process to process.
    Raises:
        JudgeError: an endpoint's URL, the key or a rubric cannot be used.
    """
    if isinstance(config, MilestoneJudgeConfig):
        return MilestoneJudge()
    if isinstance(config, PanelJudgeConfig):
        from exprl.judge.panel import PanelJudge

        return PanelJudge.of(config, store=store, secret=secret)
    from exprl.judge.llm import LLMJudge

    return LLMJudge(config, store=store, secret=secret)


def __getattr__(name: str) -> object:
    if name == "LLMJudge":
        from exprl.judge.llm import LLMJudge

        return LLMJudge
    if name == "PanelJudge":
        from exprl.judge.panel import PanelJudge

        return PanelJudge
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
