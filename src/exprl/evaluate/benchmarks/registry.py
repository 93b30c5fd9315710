"""The benchmarks that exprl knows, as data: `registry.toml` beside this file, read and checked here.

A benchmark says where its problems are (a file, a Hub set, or both, each with its own columns), how they are asked (one of
`[prompts]`) and who grades the answers. A group stands for several of them. Nothing is downloaded to look something up.

    >>> [benchmark.name for benchmark in find_benchmarks("aime26,hmmt")]
    ['aime26', 'hmmt_feb25', 'hmmt_nov25']

What this module refuses: a name that is neither a benchmark nor a group, with the nearest that is.
"""

from __future__ import annotations

import difflib
import tomllib
from functools import cache
from importlib import resources
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from exprl.config import ColumnMap, PromptConfig
from exprl.errors import ConfigError
from exprl.types import Domain

__all__ = ["Benchmark", "Place", "VerifierName", "benchmarks", "find_benchmarks", "groups"]

VerifierName = Literal["math", "choice", "science", "code"]
ShapeName = Literal["gsm8k", "gpqa", "olympiadbench", "starter_code"]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Place(_Entry):
    """One copy of a benchmark's problems: a file's name or a Hub id, and how its rows are to be read."""

    path: str
    split: str = "train"
    problems: Annotated[int, Field(gt=0)]
    columns: ColumnMap = ColumnMap()
    shape: ShapeName | None = None


class Benchmark(_Entry):
    """One benchmark. `gated`: its Hub set asks for a login and an agreement."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    title: str
    domain: Domain = "math"
    verifier: VerifierName = "math"
    prompt: PromptConfig
    licence: str
    gated: bool = False
    notes: str = ""
    file: Place | None = None
    hub: Place | None = None

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if self.file is None and self.hub is None:
            raise ValueError(f"{self.name} has neither a file nor a Hub id")
        return self

    @property
    def problems(self) -> int:
        """How many problems it has (in the file's edition, where there are two)."""
        place = self.file or self.hub
        return 0 if place is None else place.problems


class _Registry(_Entry):
    prompts: dict[str, PromptConfig]
    groups: dict[str, tuple[str, ...]]
    benchmarks: dict[str, Benchmark]

    @model_validator(mode="before")
    @classmethod
    def _names_and_prompts(cls, table: dict[str, dict[str, dict[str, object]]]) -> dict[str, object]:
        """An entry's name is its key, and its prompt's name stands for the prompt; a prompt without a system has none."""
        prompts = {name: {"system": None, **prompt} for name, prompt in table["prompts"].items()}
        entries = {
            name: {**entry, "name": name, "prompt": prompts[str(entry["prompt"])]}
            for name, entry in table["benchmarks"].items()
        }
        return {"prompts": prompts, "groups": table["groups"], "benchmarks": entries}


def benchmarks() -> dict[str, Benchmark]:
    """All of them by name, in the order of the file."""
    return _registry().benchmarks


def groups() -> dict[str, tuple[str, ...]]:
    """Names that stand for several benchmarks."""
    return _registry().groups


def find_benchmarks(names: str) -> list[Benchmark]:
    """The benchmarks of a list with commas, each once, in the order asked for; a group stands for its members.

    Raises:
        ConfigError: an unknown name, or none at all.
    """
    asked = [name.strip().lower() for name in names.split(",") if name.strip()]
    if not asked:
        raise ConfigError(f"no benchmark named; there are {_known()}")
    members = [member for name in asked for member in groups().get(name, (name,))]
    return [_find(name) for name in dict.fromkeys(members)]


def _find(name: str) -> Benchmark:
    if (found := benchmarks().get(name)) is not None:
        return found
    near = difflib.get_close_matches(name, [*benchmarks(), *groups()], n=1)
    hint = f"did you mean {near[0]!r}? There are" if near else "there are"
    raise ConfigError(f"unknown benchmark {name!r}; {hint} {_known()}")


def _known() -> str:
    return f"{', '.join(benchmarks())}, and the groups {', '.join(groups())}"


@cache
def _registry() -> _Registry:
    text = resources.files(__package__).joinpath("registry.toml").read_text("utf-8")
    return _Registry.model_validate(tomllib.loads(text))
