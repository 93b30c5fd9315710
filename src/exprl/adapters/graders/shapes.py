"""The graders that are run here, as their JSON has them; an unknown key fails."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from exprl.errors import DataError

__all__ = ["Grader", "LabelModel", "Multi", "Request", "ScoreModel", "StringCheck", "read_request"]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(_Shape):
    """A block of text; other blocks (images, audio) are refused."""

    type: Literal["input_text", "output_text"]
    text: str


class Input(_Shape):
    """One message of a model grader's prompt."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | Text | list[str | Text]
    type: Literal["message"] = "message"

    @property
    def text(self) -> str:
        parts = self.content if isinstance(self.content, list) else [self.content]
        return "\n".join(part if isinstance(part, str) else part.text for part in parts)


class Sampling(_Shape):
    """Of a model grader. Temperature and the like are the endpoint's configuration here; only the length is taken."""

    max_completions_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    reasoning_effort: str | None = None


class StringCheck(_Shape):
    """1 where the input equals, differs from, or contains the reference, by `operation`."""

    type: Literal["string_check"]
    name: str
    input: str
    reference: str
    operation: Literal["eq", "ne", "like", "ilike"]


class ScoreModel(_Shape):
    """A number in `range` by a model."""

    type: Literal["score_model"]
    name: str
    model: str
    input: Annotated[list[Input], Field(min_length=1)]
    range: tuple[float, float] = (0.0, 1.0)
    sampling_params: Sampling | None = None

    @model_validator(mode="after")
    def _ascends(self) -> ScoreModel:
        if not self.range[0] < self.range[1]:
            raise ValueError("range: the second number is the larger one")
        return self


class LabelModel(_Shape):
    """1 where a model gives one of the passing labels."""

    type: Literal["label_model"]
    name: str
    model: str
    input: Annotated[list[Input], Field(min_length=1)]
    labels: Annotated[list[str], Field(min_length=1)]
    passing_labels: list[str]

    @model_validator(mode="after")
    def _is_subset(self) -> LabelModel:
        if not set(self.passing_labels) <= set(self.labels):
            raise ValueError("passing_labels: each is one of labels")
        return self


Single = Annotated[StringCheck | ScoreModel | LabelModel, Field(discriminator="type")]


class Multi(_Shape):
    """A formula over other graders, named as in the formula."""

    type: Literal["multi"]
    name: str
    graders: Annotated[dict[str, Single], Field(min_length=1)]
    calculate_output: str

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: object) -> object:
        """A list of graders is read by their names: both forms are in use."""
        if isinstance(given, dict) and isinstance(graders := given.get("graders"), list):
            named = {str(one.get("name")): one for one in graders if isinstance(one, dict)}
            if len(named) != len(graders):
                raise ValueError("graders: each has a name of its own")
            return {**given, "graders": named}
        return given


Grader = Annotated[StringCheck | ScoreModel | LabelModel | Multi, Field(discriminator="type")]


class Request(_Shape):
    """What is posted to run a grader."""

    grader: Grader
    model_sample: str
    item: object = None


def read_request(request: object) -> Request:
    """A run's JSON.

    Raises:
        DataError: another shape, or a grader that is not run here; names the key and shows no value of the item or sample.
    """
    try:
        return Request.model_validate(request)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{key or 'the request'}: {first['msg']}; run here are string_check, score_model, label_model and multi"
        ) from None
