"""judge-card.json: what is known about a judge, in a file that a run can demand.

A card says which judge it is of (name, model, `template_hash`, scope, domains, settings), on what it was made (file name,
SHA-256, rows, seed), and what came out: the rates of each condition, their differences, repeatability, process calibration,
the attack suite's table, and all of it in words. It holds numbers and names; no problem, no answer and no reference is in it.

What it refuses: a file that is no card, one of another schema, and an addition that was measured on another judge.

    >>> read_card(Path("judge-card.json")).conditions["correct"].rates.misplacement  # doctest: +SKIP
    Interval(value=0.178, low=0.161, high=0.196)
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from exprl.errors import JudgeError, RunError
from exprl.judge.calibrate.bootstrap import Estimate
from exprl.judge.calibrate.conditions import Condition
from exprl.judge.calibrate.continuations import MonteCarlo
from exprl.judge.calibrate.measure import CurvePoint, Rates, Repeatability
from exprl.judge.calibrate.process import PrefixRates
from exprl.runs import read_json, write_json
from exprl.types import Domain, Scope, Usage

__all__ = [
    "CARD_NAME",
    "SCHEMA",
    "ConditionResult",
    "DataUsed",
    "JudgeCard",
    "Lengths",
    "ProcessResult",
    "page_beside",
    "read_card",
    "update_card",
    "write_card",
]

SCHEMA = 1
CARD_NAME = "judge-card.json"
_ADDITIONS = ("attack", "process")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataUsed(_Part):
    """A file, by name and content, and how many of its rows were used; `left_out` had no reference."""

    file: str
    sha256: str
    rows: int
    used: int
    left_out: int
    seed: int


class Lengths(_Part):
    """Spearman's correlation of score and answer length, within the correct and within the wrong answers."""

    correct: Estimate
    wrong: Estimate


class ConditionResult(_Part):
    """One condition: rates, the curve by score, length, and why there was no score, most frequent first."""

    rates: Rates
    curve: tuple[CurvePoint, ...]
    lengths: Lengths
    reasons: dict[str, int]
    difference: Estimate | None = None
    """Misplacement minus that with the correct reference, paired; None for that one itself."""


class ProcessResult(_Part):
    """Process calibration: step labels, Monte-Carlo continuations, or both."""

    data: tuple[DataUsed, ...]
    prefixes: PrefixRates | None = None
    monte_carlo: MonteCarlo | None = None


class JudgeCard(_Part):
    """The card; see the module."""

    schema_version: Literal[1] = 1
    exprl: str
    date: str
    judge: str
    model: str | None
    template_hash: str
    scope: Scope
    domains: tuple[Domain, ...]
    settings: dict[str, object]
    data: DataUsed
    level: float
    replicates: int
    conditions: dict[Condition, ConditionResult]
    repeatability: Repeatability | None = None
    process: ProcessResult | None = None
    attack: dict[str, object] | None = None
    usage: Usage = Usage()
    words: tuple[str, ...] = ()


def read_card(path: Path) -> JudgeCard:
    """Read a card.

    Raises:
        JudgeError: no such file, or one that is not a card of this schema.
    """
    fault = ""
    try:
        return JudgeCard.model_validate(read_json(path))
    except RunError as error:
        fault = str(error)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        fault = f"{path}: no judge card of schema {SCHEMA} ({'.'.join(map(str, first['loc']))}: {first['msg']})"
    raise JudgeError(f"{fault}; make one with `exprl calibrate CONFIG --data FILE`")


def write_card(path: Path, card: JudgeCard) -> None:
    """Write a card; at any moment the file is the old one or the new one."""
    write_json(path, card.model_dump(mode="json"))


def update_card(path: Path, key: str, value: dict[str, object], *, judge: str, template_hash: str) -> None:
    """Add what was measured elsewhere (`attack`, `process`), and draw the page beside the card again, if there is one.

    Args:
        judge, template_hash: of the judge that `value` was measured on.
    Raises:
        JudgeError: no card, a card of another judge, or a key that is no addition.
    """
    card = read_card(path)
    if key not in _ADDITIONS:
        raise JudgeError(f"a card has no addition {key!r}; there are {', '.join(_ADDITIONS)}")
    if (card.judge, card.template_hash) != (judge, template_hash):
        raise JudgeError(
            f"{path} is of {card.judge} with prompts or rules {card.template_hash[:12]}, and this was measured on {judge} "
            f"with {template_hash[:12]}; name another card, or make one with `exprl calibrate`"
        )
    try:
        changed = JudgeCard.model_validate(card.model_dump(mode="json") | {key: value})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise JudgeError(
            f"{key} does not fit into a card: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from None
    write_card(path, changed)
    if page_beside(path).exists():
        from exprl.judge.calibrate.page import write_page

        write_page(page_beside(path), changed)


def page_beside(path: Path) -> Path:
    """Where the page of a card stands."""
    return path.with_suffix(".html")
