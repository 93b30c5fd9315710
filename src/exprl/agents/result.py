"""What a scored trace is: numbers that an actor may be told, and words that it may not.

`TraceScore.as_dict` holds scalars, spans, roles and reasons for missing scores, none of which holds reference text. What
a judge wrote may quote the reference; it is in `Reasons`, which `repr`, pickle and JSON do not show and only `read`
opens.

    >>> Reasons([], Verdict(0.5, raw="the reference says 42"))
    Reasons(<redacted>)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

from exprl.turns import Step
from exprl.types import Usage, Verdict

__all__ = ["Heard", "Reasons", "StepScore", "TraceScore"]


class Heard(NamedTuple):
    """The verdicts behind a score: the judge's on each prefix, and the word that decided the outcome."""

    prefixes: tuple[Verdict, ...]
    outcome: Verdict


class Reasons:
    """The verdicts with the judge's own words: for the evaluator's eyes."""

    __slots__ = ("__heard",)

    def __init__(self, prefixes: Sequence[Verdict], outcome: Verdict) -> None:
        object.__setattr__(self, "_Reasons__heard", Heard(tuple(prefixes), outcome))

    def read(self) -> Heard:
        """Open them. What is in there may quote the reference: keep it from the actor, and from its logs."""
        return self.__heard  # type: ignore[attr-defined, no-any-return]

    def __repr__(self) -> str:
        return "Reasons(<redacted>)"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("Reasons are frozen")

    def __copy__(self) -> Reasons:
        return self

    def __deepcopy__(self, memo: object) -> Reasons:
        return self

    def __reduce__(self) -> tuple[type[Reasons], tuple[tuple[()], Verdict]]:
        return (Reasons, ((), Verdict(None, unscored="redacted")))  # a pickle may reach the actor's process

    def __getstate__(self) -> None:
        """Nothing: the default would hand out the slots."""


class StepScore(NamedTuple):
    """One step: where it stands, the score of the trace up to it, and its credit; None where unscored, which says why."""

    step: Step
    score: float | None
    credit: float | None
    unscored: str | None = None


@dataclass(frozen=True, slots=True)
class TraceScore:
    """A scored trace.

    Attributes:
        outcome: in [0, 1], or None where unscored.
        unscored: why there is no outcome; it quotes nothing.
        decided_by: whose word the outcome is: a kind of evidence, a verifier's or the judge's name.
        steps: in order; they tile `text`.
        usage: what the judge cost.
        text: the trace as the judge read it.
        reasons: the verdicts, evaluator's side.
    """

    outcome: float | None
    unscored: str | None
    decided_by: str
    steps: tuple[StepScore, ...]
    usage: Usage
    text: str = field(repr=False)
    reasons: Reasons

    def as_dict(self) -> dict[str, object]:
        """Plain JSON without any words of judge or reference."""
        return {
            "outcome": self.outcome,
            "unscored": self.unscored,
            "decided_by": self.decided_by,
            "steps": [
                {
                    "start": one.step.start,
                    "end": one.step.end,
                    "role": one.step.role,
                    "tools": list(one.step.tools),
                    "score": one.score,
                    "credit": one.credit,
                    "unscored": one.unscored,
                }
                for one in self.steps
            ],
        }
