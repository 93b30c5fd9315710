"""What a judge asks and how it grades, as data: a rubric is a TOML file, and a new one needs no code.

    name = "rigour"                      scopes = ["outcome"]          what it may grade: outcome, prefix, segment
    heading = "Trace to grade"           domains = ["math"]            left out: every domain
    system = "You are a strict ..."      reference = true              whether the judge is shown the reference
    question = "Is every step ..."       columns = ["subject"]         columns of the problem's `meta` that it is shown
    anchors = ["no", "in part", "yes"]   closing = "Give a reason."    what to write before the verdict

`anchors` stand lowest first and their number K is the scale: verdict n in 1..K, score (n - 1) / (K - 1). K is at most 9,
so that a grade is one digit, hence one token (`exprl.judge.asking.expected`). The fence, the order of the parts and the verdict
line belong to the layout (`exprl.judge.asking.template`); a rubric cannot forget or change them.

Which rubric grades what: `judge.rubrics` decides, the more specific key first (`"math.prefix"`, then `"prefix"`; the
value is a shipped name or the path of a .toml); else code and science outcomes have rubrics of their own, and all the
rest goes by its scope. With `judge.reference = false` everything goes to `no_reference`.

    [judge.rubrics]
    outcome = "rubrics/rigour.toml"
    "science.prefix" = "prefix"
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, ValidationError

from exprl.config import LLMJudgeConfig
from exprl.errors import JudgeError
from exprl.types import Domain, Scope

__all__ = ["Rubric", "Rubrics", "load_rubric", "shipped_rubrics"]

_SCOPES: tuple[Scope, ...] = get_args(Scope)
_DOMAINS: tuple[Domain, ...] = get_args(Domain)
_OWN: dict[tuple[Domain, Scope], str] = {("code", "outcome"): "code", ("science", "outcome"): "science"}


def _plain(text: str) -> str:
    """Stripped, not empty, and without control characters (a "\\b" in a basic TOML string is a backspace)."""
    text = text.strip()
    if not text:
        raise ValueError("it is empty; write the text")
    if not text.replace("\n", "").isprintable():
        raise ValueError("it holds control characters; write a literal string ('''...''') where you use backslashes")
    return text


def _one_line(text: str) -> str:
    if "\n" in text:
        raise ValueError("it holds a line break; write it on one line")
    return text


_Text = Annotated[str, AfterValidator(_plain)]
_Line = Annotated[str, AfterValidator(_plain), AfterValidator(_one_line)]


class Rubric(BaseModel):
    """One rubric; the module's docstring says what its keys mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: _Line
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    domains: Annotated[tuple[Domain, ...], Field(min_length=1)] = _DOMAINS
    reference: StrictBool = True
    columns: tuple[_Line, ...] = ()
    heading: _Line
    system: _Text
    question: _Text
    anchors: Annotated[tuple[_Line, ...], Field(min_length=2, max_length=9)]
    closing: _Text

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that a judge is told by it."""
        return hashlib.sha256(json.dumps(self.model_dump(exclude={"scopes", "domains"})).encode()).hexdigest()

    @cached_property
    def scale(self) -> int:
        """The highest grade."""
        return len(self.anchors)

    def score(self, likert: float) -> float:
        """A grade 1..scale as a score 0..1."""
        return (likert - 1) / (self.scale - 1)


def shipped_rubrics() -> tuple[str, ...]:
    """The names of the rubrics that come with the package."""
    files = resources.files("exprl.judge.asking").joinpath("rubrics").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def load_rubric(source: str) -> Rubric:
    """A rubric by its shipped name, or from the path of a .toml file.

    Raises:
        JudgeError: no such rubric, or a file that is none; names file, key and value.
    """
    if source.endswith(".toml"):
        try:
            return _parsed(Path(source).read_text("utf-8"), source)
        except (OSError, UnicodeDecodeError) as error:
            raise JudgeError(f"rubric {source}: cannot be read ({type(error).__name__}); correct the path") from None
    return _shipped(source)


@cache
def _shipped(name: str) -> Rubric:
    known = shipped_rubrics()
    if name not in known:
        raise JudgeError(
            f"rubric {name!r} is not shipped{_nearest(name, known)}; write one of {', '.join(known)}, or the path of a "
            "file that ends in .toml"
        )
    text = resources.files("exprl.judge.asking").joinpath("rubrics", f"{name}.toml").read_text("utf-8")
    return _parsed(text, f"{name}.toml")


def _parsed(text: str, file: str) -> Rubric:
    try:
        return Rubric.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise JudgeError(f"rubric {file}: not TOML: {error}") from None
    except ValidationError as error:
        raise JudgeError(f"rubric {file}: {_complaint(error)}") from None


def _complaint(error: ValidationError) -> str:
    """The first fault of a file: key, value, what to do."""
    fault = error.errors(include_url=False)[0]
    key = ".".join(str(part + 1) if isinstance(part, int) else part for part in fault["loc"])
    if fault["type"] == "missing":
        return f"key {key!r} is missing; add {key} = ..."
    if fault["type"] == "extra_forbidden":
        return (
            f"key {key!r} is unknown{_nearest(key, Rubric.model_fields)}; the keys are {', '.join(Rubric.model_fields)}"
        )
    value = repr(fault["input"])
    return f"key {key!r} is {value if len(value) < 60 else value[:57] + '...'}: {fault['msg']}"


def _nearest(word: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    near = get_close_matches(word, list(known), 1)
    return f" (did you mean {near[0]!r}?)" if near else ""


@dataclass(frozen=True, slots=True)
class Rubrics:
    """The rubric of every domain and scope, chosen once."""

    chosen: dict[tuple[Domain, Scope], Rubric]

    @classmethod
    def of(cls, config: LLMJudgeConfig) -> Rubrics:
        """Choose and check all rubrics of a judge.

        Raises:
            JudgeError: a key that names no domain and scope, or a rubric that cannot grade what it is given.
        """
        loaded = {key: load_rubric(source) for key, source in config.rubrics.items()}
        for key, rubric in loaded.items():
            _check(key, config.rubrics[key], rubric, config.reference)
        pairs = [(domain, scope) for domain in _DOMAINS for scope in _SCOPES]
        return cls(
            {
                (domain, scope): loaded.get(f"{domain}.{scope}")
                or loaded.get(scope)
                or load_rubric(_OWN.get((domain, scope), scope) if config.reference else "no_reference")
                for domain, scope in pairs
            }
        )

    def pick(self, domain: Domain, scope: Scope) -> Rubric:
        """The rubric that grades this."""
        return self.chosen[domain, scope]

    @property
    def digest(self) -> str:
        """Changes whenever any of the rubrics does."""
        digests = (f"{domain}.{scope}={rubric.digest}" for (domain, scope), rubric in sorted(self.chosen.items()))
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _check(key: str, source: str, rubric: Rubric, reference: bool) -> None:
    where = f"judge.rubrics: {key!r} = {source!r}"
    domain, _, scope = key.rpartition(".")
    if scope not in _SCOPES or (domain or "math") not in _DOMAINS:
        raise JudgeError(
            f"{where}: no such key; write a scope ({', '.join(_SCOPES)}) or domain.scope, a domain being one of "
            f"{', '.join(_DOMAINS)}"
        )
    if scope not in rubric.scopes:
        raise JudgeError(
            f"{where}: this rubric grades {', '.join(rubric.scopes)}; add {scope!r} to its scopes if it should"
        )
    missing = [wanted for wanted in ((domain,) if domain else _DOMAINS) if wanted not in rubric.domains]
    if missing:
        raise JudgeError(
            f"{where}: this rubric is for {', '.join(rubric.domains)}, not for {', '.join(missing)}; write "
            f"'{rubric.domains[0]}.{scope}', or add to its domains"
        )
    if rubric.reference and not reference:
        raise JudgeError(
            f"{where}: this rubric needs the reference and judge.reference is false; give it reference = false, or leave "
            "this key out"
        )
