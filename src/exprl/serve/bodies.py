"""What is asked and what is answered, as pydantic models: they check requests, and the OpenAPI document is made of them.

A request is read strictly: unknown keys are refused, a number is no text. What is wrong with one is said in words that quote
none of it (`faults`): a registration holds the reference itself.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from exprl.types import Domain

__all__ = [
    "Done",
    "Error",
    "Health",
    "Known",
    "NewReference",
    "PrefixScore",
    "PrefixScores",
    "Registration",
    "Said",
    "Score",
    "ScorePrefixes",
    "ScoreText",
    "Verify",
    "faults",
]

_Model = TypeVar("_Model", bound=BaseModel)

Id = Annotated[str, Field(min_length=1, max_length=200, description="a registered reference's id")]
Text = Annotated[str, Field(description="the trace to be scored; may be empty")]
Reasons = Annotated[
    bool, Field(description="with the verdicts' reasons; for evaluators only, they may quote references")
]
Number = Annotated[float | None, Field(ge=0, le=1, description="null where there is no score: never read it as 0")]
_MOST_CUTS = 64


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class NewReference(_Body):
    """A problem with its hidden reference, to be registered; at least one of solution, answer and tests."""

    id: Id
    problem: Annotated[str, Field(min_length=1, description="the question, which actors know")]
    solution: str | None = Field(default=None, repr=False, description="the worked reference solution")
    answer: str | None = Field(default=None, repr=False, description="the stored final answer")
    tests: str | None = Field(default=None, repr=False, description="tests of a program, in any form that exprl reads")
    domain: Domain = "math"

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if not any((part or "").strip() for part in (self.solution, self.answer, self.tests)):
            raise ValueError("one of solution, answer and tests must be given")
        return self


class Registration(_Body):
    """What was registered."""

    id: str


class Known(_Body):
    """What may be said of a reference."""

    id: str
    domain: Domain


class ScoreText(_Body):
    """Score the whole trace by the judge."""

    reference: Id
    text: Text
    reasons: Reasons = False


class ScorePrefixes(_Body):
    """Score every prefix of the trace by the judge."""

    reference: Id
    text: Text
    cuts: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=_MOST_CUTS)] | None = Field(
        default=None,
        description="where prefixes end, in Unicode code points, ascending, the last one the text's length; "
        "default: as the server's configuration segments",
    )
    stream: bool = Field(default=False, description="answer in lines of JSON, each sent when its prefix has a score")
    reasons: Reasons = False

    @model_validator(mode="after")
    def _ascend(self) -> Self:
        cuts = self.cuts
        if cuts is not None and (any(a >= b for a, b in pairwise(cuts)) or cuts[-1] != len(self.text)):
            raise ValueError("cuts must ascend and end at the length of the text in code points")
        return self


class Verify(_Body):
    """Is the trace's final answer right, by the strongest verifier that the problem's data allow?"""

    reference: Id
    text: Text
    reasons: Reasons = False


class Said(_Body):
    """A verdict with its reasons: the evaluator's side."""

    judge: str = Field(description="the judge or verifier that spoke")
    grade: int | None = Field(description="the verdict on the judge's own scale")
    unscored: str | None = Field(description="why there is no score")
    reply: str = Field(description="the judge's own words; may quote the reference")
    note: str = Field(description="what a reader must know of the score")


class Score(_Body):
    """A score, and its verdict where reasons were asked for."""

    score: Number
    verdict: Said | None = None


class PrefixScores(_Body):
    """The scores of all prefixes, in order."""

    cuts: list[int] = Field(description="where each prefix ends, in code points")
    scores: list[Number]
    verdicts: list[Said] | None = None


class PrefixScore(_Body):
    """One line of a stream."""

    cut: int
    score: Number
    verdict: Said | None = None


class Done(_Body):
    """The last line of a stream. A stream without it was broken off."""

    done: Literal[True] | None = None
    error: str | None = None


class Health(_Body):
    """Whether the server takes requests."""

    status: Literal["ok", "stopping"]


class Error(_Body):
    """What is wrong, in words that quote nothing of the request."""

    error: str


def faults(error: ValidationError, model: type[BaseModel]) -> str:
    """What is wrong with a body: known keys and what they must be, never a value or an unknown key of it."""
    said = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        key = str(item["loc"][0]) if item["loc"] else ""
        where = key if key in model.model_fields else "the body"
        message = "holds a key that is not known" if item["type"] == "extra_forbidden" else item["msg"]
        said.append(f"{where}: {message.removeprefix('Value error, ')}")
    return "; ".join(dict.fromkeys(said[:8]))
