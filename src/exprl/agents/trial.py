"""One attempt on its way to be scored: what is given, and what it is once cut into steps.

What it refuses: a reference that is plain text. A `Reference` redacts itself, and a string would stand in every log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from exprl.config import SegmentConfig
from exprl.errors import DataError
from exprl.segment import split
from exprl.turns import ChatMessage, Conversation, Step, StepRule, converse, last_words, task_of
from exprl.types import Domain, Problem, Reference, Submission
from exprl.verify.evidence import Evidence

__all__ = ["MARKER", "Read", "Trace", "Trial", "read_trial", "submission"]

Trace = str | Sequence[ChatMessage]
MARKER = SegmentConfig()
"""How texts are cut where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt to be scored.

    Attributes:
        trace: text, or all messages of a conversation.
        reference: the hidden one.
        question: what was asked; "" takes it from the messages before the first assistant message.
        id: names the problem; attempts of equal id are one group. "" groups by question and reference.
        domain: decides rubric and verifier.
        evidence: what the environment showed; see `exprl.verify.evidence`.
        truncated: whether it ran into its budget: outcome 0 unless evidence says otherwise, and no credit.
    """

    trace: Trace
    reference: Reference
    question: str = ""
    id: str = ""
    domain: Domain = "general"
    evidence: Sequence[Evidence] = ()
    truncated: bool = False

    @classmethod
    def of(cls, problem: Problem, trace: Trace, evidence: Sequence[Evidence] = ()) -> Trial:
        """An attempt at a problem."""
        return cls(trace, problem.reference, problem.text, problem.id, problem.domain, evidence)


class Read(NamedTuple):
    """A trial, cut: `said` is what a verifier reads."""

    trial: Trial
    problem: Problem
    told: Conversation
    said: str
    number: int

    @property
    def cuts(self) -> tuple[int, ...]:
        """Where the steps end; an empty trace has one cut."""
        return tuple(step.end for step in self.told.steps) or (len(self.told.text),)


def read_trial(trial: Trial, number: int, steps: StepRule, segments: SegmentConfig) -> Read:
    """Cut a trial; `number` is its place in the batch.

    Raises:
        DataError: a reference that is none, messages that are none.
    """
    if not isinstance(trial.reference, Reference):
        raise DataError(
            f"trial {number}: a reference is an exprl.Reference, which no log can show, got "
            f"{type(trial.reference).__name__}; write Reference(solution=..., answer=...)"
        )
    trace, question = trial.trace, trial.question
    if isinstance(trace, str):
        spans = split(trace, segments)
        told, said = Conversation(trace, tuple(Step(s.start, s.end, "text", (), (0, 0)) for s in spans)), trace
    else:
        told, said = converse(trace, steps), last_words(trace)
        question = question or task_of(trace)
    name = trial.id or f"{question}\0{trial.reference.digest}"
    return Read(trial, Problem(name, question, trial.reference, trial.domain), told, said, number)


def submission(one: Read, scope: Literal["prefix", "outcome"]) -> Submission:
    """The trial for a judge: every prefix that ends a step, or the whole."""
    text = one.told.text
    return Submission(one.problem, f"trial-{one.number}", text, one.cuts if scope == "prefix" else (len(text),), scope)
