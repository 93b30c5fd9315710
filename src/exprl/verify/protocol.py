"""What every verifier promises, so that rewards, filter and evaluation need not know which one they have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from exprl.types import Problem, Verdict

__all__ = ["Verifier"]


class Verifier(Protocol):
    """Grades the final answer of traces against the stored one."""

    @property
    def name(self) -> str:
        """What stands in `Verdict.judge`."""
        ...

    def verify(self, pairs: Sequence[tuple[Problem, str]]) -> list[Verdict]:
        """Grade a batch.

        Args:
            pairs: (problem, trace) in any order; traces are untrusted text of any length.
        Returns:
            One verdict a pair, in order: score 1.0 or 0.0, or unscored with a reason. Nothing a trace holds can raise.
        Raises:
            VerifierError: the verifier itself cannot work (a missing extra, a worker that does not start).
        """
        ...

    def close(self) -> None:
        """Stop every worker. A closed verifier may be used again; it then starts anew."""
        ...
