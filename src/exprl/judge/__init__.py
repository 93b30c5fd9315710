"""The reference enters here and never leaves: judges that score how far a trace has come towards it.

`MilestoneJudge` is deterministic and needs no model; `LLMJudge` asks one over HTTP. Both keep the `Judge` protocol:
async, a batch in, one `Verdict` a cut out, unscored with a reason where there is no score. Importing this package
imports no HTTP library.

    judge = build_judge(config.judge)
    verdicts = await judge.score(submissions)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exprl.config import LLMJudgeConfig, MilestoneJudgeConfig
from exprl.judge.milestone import MilestoneJudge
from exprl.judge.protocol import Judge

if TYPE_CHECKING:
    from exprl.judge.llm import LLMJudge

__all__ = ["Judge", "LLMJudge", "MilestoneJudge", "build_judge"]


def build_judge(config: MilestoneJudgeConfig | LLMJudgeConfig, *, secret: bytes | None = None) -> Judge:
    """The judge that a configuration asks for. Connects to nothing yet.

    Args:
        config: the `judge` table of a configuration.
        secret: see `LLMJudge`; leave it out unless prompts must repeat from process to process.
    Raises:
        JudgeError: the endpoint's URL or key cannot be used.
    """
    if isinstance(config, MilestoneJudgeConfig):
        return MilestoneJudge()
    from exprl.judge.llm import LLMJudge

    return LLMJudge(config, secret=secret)


def __getattr__(name: str) -> object:
    if name == "LLMJudge":
        from exprl.judge.llm import LLMJudge

        return LLMJudge
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
