"""The stored answer that a verifier compares with. It stays in `exprl.verify`: no verdict, error or log line holds it."""

from __future__ import annotations

from exprl.types import Problem

__all__ = ["NO_ANSWER", "stored_answer"]

NO_ANSWER = "no stored answer"
"""Why a verdict is unscored where there is none."""


def stored_answer(problem: Problem) -> str | None:
    """The answer as it is stored; None where there is none, or a blank one."""
    answer = problem.reference.reveal().answer
    return answer if answer is not None and answer.strip() else None
