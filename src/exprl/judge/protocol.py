"""What every judge promises, so that methods need not know which one they have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from exprl.types import Submission, Verdict

__all__ = ["RIGHT", "Judge", "why_unscored"]

RIGHT = 0.75
"""The score from which on a judge is taken to call an answer right: grade 4 of 5 (METHOD 6, calibration)."""


class Judge(Protocol):
    """Scores what traces establish of their hidden reference.

    `template_hash` identifies what the scores depend on besides the model: prompts, or the rules of a deterministic
    judge.
    """

    @property
    def name(self) -> str:
        """What stands in `Verdict.judge`."""
        ...

    @property
    def template_hash(self) -> str:
        """Changes whenever prompts or rules change."""
        ...

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        """Judge a batch.

        Args:
            submissions: rollouts with their cuts; texts are untrusted.
        Returns:
            One tuple a submission, one verdict a cut, in order: Likert n in 1..5 as score (n - 1) / 4, or unscored
            with a reason. A call that fails is an unscored verdict, never an exception and never a low score.
        """
        ...

    async def aclose(self) -> None:
        """Let go of all connections; call it while the event loops that scored still run.

        A closed judge may be used again.
        """
        ...


def why_unscored(verdicts: Sequence[Verdict]) -> str | None:
    """Why a submission lacks a score; None where every cut has one."""
    return next((verdict.unscored for verdict in verdicts if verdict.unscored is not None), None)
