r"""Grade open answers of science: amounts with units, within a tolerance, in one part or several.

The stated answer (the last box, else the statement in words) is cut into parts (`exprl.verify.parts`), each part read as
an amount (`exprl.verify.amounts`), brought into the stored answer's unit and compared there:

    right   |stated - stored| <= t * |stored|     t = min(tolerance, 10^(1 - d)), d the significant digits stored (d >= 4)

so `9.8 m/s^2` accepts 9.81 m/s^2 and `9.8067` does not. Whole numbers without a unit are counts: they and 0 must be met
exactly. Another dimension or another amount is wrong. No unit where the stored answer has one is wrong too, unless the
question asks for the answer in that unit (`in m/s`, `how many joules`) or it stands in a column of its own
(`meta["unit"]`); `bare="always"` and `bare="never"` overrule that. A unit where nothing stored names one is passed over.

    score 1.0   every part right
    score 0.0   any part wrong; more or fewer parts than stored; nothing stated; a choice of two (`3 m or 4 m`)
    unscored    no stored answer; a part that is not an amount and not the stored text, which is for the judge to read

With `dense=True` the score is the share of the parts that are right.

    >>> from exprl.types import Reference
    >>> fall = Problem("p", "How fast is it?", Reference(None, "20 m/s"), "science")
    >>> [v.score for v in ScienceVerifier().verify([(fall, r"\boxed{72 km/h}"), (fall, "The answer is 20 kg.")])]
    [1.0, 0.0]

Nothing is evaluated and no process is started.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from exprl.types import Problem, Verdict
from exprl.verify.amounts import Amount, read_amount
from exprl.verify.answer import extract_answer, normalise
from exprl.verify.boxes import boxed
from exprl.verify.parts import Part, split_parts
from exprl.verify.stored import NO_ANSWER, stored_answer
from exprl.verify.units import ONE, Unit, read_unit

__all__ = ["ScienceVerifier"]

Bare = Literal["asked", "always", "never"]

_SHOWN = 200
_LONGEST = 4000
_PARTS = 32
_GOLD = "needs the judge: the stored answer is not an amount"
_STATED = "needs the judge: the answer is not an amount"
_ASKED = re.compile(r"\b(?:in|of|many|units?:?|much)\s+(?:units of\s+)?([^?,;:()\n]{1,40})", re.IGNORECASE)
_PERCENT = re.compile(r"percent|%", re.IGNORECASE)
_OR = re.compile(r"\b(?:or|either|not)\b", re.IGNORECASE)


class ScienceVerifier:
    """Amounts with units. Pure: it may be called from any thread.

    Args:
        tolerance: relative, where the stored answer states no more precision.
        bare: when an answer without a unit stands for one with the stored unit.
        dense: score the share of right parts instead of all or nothing.
        stated: whether an answer stated in words counts where a trace has no box.
    """

    name = "science"

    def __init__(
        self, tolerance: float = 1e-2, *, bare: Bare = "asked", dense: bool = False, stated: bool = True
    ) -> None:
        self._tolerance = Fraction(tolerance)
        self._bare = bare
        self._dense = dense
        self._stated = stated

    def verify(self, pairs: Sequence[tuple[Problem, str]]) -> list[Verdict]:
        """Grade traces; see `exprl.verify.Verifier.verify`. `Verdict.raw` is the stated answer, cut to 200 characters."""
        return [self._verdict(problem, text) for problem, text in pairs]

    def close(self) -> None:
        """Nothing to stop."""

    def _verdict(self, problem: Problem, text: str) -> Verdict:
        if (gold := stored_answer(problem)) is None:
            return Verdict(None, unscored=NO_ANSWER, judge=self.name)
        stored = split_parts(gold)
        said = _said(text, len(stored), self._stated)
        if said is None or len(said) > _LONGEST:
            return Verdict(0.0, judge=self.name, raw=(said or "")[:_SHOWN])
        score = self._score(gold, stored, said, problem)
        if isinstance(score, str):
            return Verdict(None, unscored=score, judge=self.name, raw=said[:_SHOWN])
        return Verdict(score, judge=self.name, raw=said[:_SHOWN])

    def _score(self, gold: str, stored: tuple[Part, ...], said: str, problem: Problem) -> float | str:
        """The score, or the reason why there is none."""
        if normalise(gold) == normalise(said):
            return 1.0
        if _OR.search(said) and not _OR.search(gold):
            return 0.0
        parts = _paired(stored, split_parts(said)[:_PARTS])
        if parts is None:
            return 0.0 if all(read_amount(part.text) for part in stored) else _GOLD
        right = [self._right(kept.text, told.text, problem) for kept, told in parts]
        if not self._dense and False in right:
            return 0.0
        if reasons := [one for one in right if isinstance(one, str)]:
            return reasons[0]
        return sum(one is True for one in right) / len(right)

    def _right(self, gold: str, said: str, problem: Problem) -> bool | str:
        if normalise(gold) == normalise(said):
            return True
        stored, told = read_amount(gold), read_amount(said)
        if stored is None or told is None:
            return _GOLD if stored is None else _STATED
        column = None if stored.has_unit else _column(problem)
        if column is not None:
            stored = stored._replace(unit=column, has_unit=True)
        measured = _in_unit_of(stored, told, bare=column is not None or self._may_be_bare(stored, problem))
        return any(self._close(stored, value) for value in measured)

    def _may_be_bare(self, stored: Amount, problem: Problem) -> bool:
        return self._bare == "always" or (self._bare == "asked" and _asks_for(problem.text, stored.unit))

    def _close(self, stored: Amount, value: Fraction) -> bool:
        if value == stored.value or not stored.value or (stored.is_whole and not stored.has_unit):
            return value == stored.value
        precise = Fraction(10) ** (1 - stored.digits) if stored.digits >= 4 else self._tolerance
        return abs(value - stored.value) <= min(self._tolerance, precise) * abs(stored.value)


def _said(text: str, parts: int, stated: bool) -> str | None:
    """The stated answer; where each of several parts has a box of its own, the last boxes, a line each."""
    boxes = boxed(text)
    if 1 < parts <= len(boxes) and len(split_parts(boxes[-1])) == 1:
        return "\n".join(box.replace("\n", " ") for box in boxes[-parts:])
    return extract_answer(text, stated=stated)


def _paired(stored: tuple[Part, ...], told: tuple[Part, ...]) -> list[tuple[Part, Part]] | None:
    """Parts side by side, by label where both have them, else in order; None where their numbers differ."""
    if len(stored) != len(told):
        return None
    by_label = {part.label: part for part in told if part.label}
    if all(part.label in by_label for part in stored):
        return [(part, by_label[part.label]) for part in stored]
    return list(zip(stored, told, strict=True))


def _in_unit_of(stored: Amount, told: Amount, *, bare: bool) -> list[Fraction]:
    """What the stated amount may be in the stored unit; empty where it can be none."""
    if not stored.has_unit:
        return [told.value, *([told.si] if told.unit.dimension == ONE.dimension else [])]
    if not told.has_unit and bare:
        return [told.value]
    if told.unit.dimension != stored.unit.dimension:
        return []
    return [(told.si - stored.unit.offset) / stored.unit.scale]


def _column(problem: Problem) -> Unit | None:
    """The unit in a column of its own, where the data have one."""
    written = problem.meta.get("unit")
    unit = read_unit(written) if isinstance(written, str) and written.strip() else None
    return None if unit == ONE else unit


def _asks_for(question: str, unit: Unit) -> bool:
    """Whether a question asks for its answer in a unit: `in m/s`, `how many joules`, `what percentage`."""
    if unit == read_unit("%") and _PERCENT.search(question):
        return True
    for cue in _ASKED.finditer(question):
        words = cue[1].split()
        if any(read_unit(" ".join(words[:count]).rstrip(".")) == unit for count in range(1, min(len(words), 4) + 1)):
            return True
    return False
