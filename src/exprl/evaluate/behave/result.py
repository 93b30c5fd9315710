"""What `exprl behave` found, as `behave.json` and in words.

    {"taxonomy", "level", "annotators": {name: {set: {policy: {...}}}}, "agreement": [...], "left_out": [...], "cost", "words"}

The words say what may be said: a difference inside its interval is called no difference, few problems are called few, and
the number of intervals that were looked at is named, since one in twenty misses by chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from exprl.evaluate.behave.agreement import Agreement
from exprl.evaluate.behave.measure import Diversity, Measured, difference_of
from exprl.evaluate.behave.taxonomy import DIGEST
from exprl.evaluate.intervals import Interval

__all__ = ["Compared", "Report", "spoken"]

_FEW_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Compared:
    """One policy beside the base by one annotator. `missing`: rollouts without an annotation, by reason."""

    annotator: str
    set_name: str
    policy: str
    problems: int
    seeds: int
    rollouts: int
    base_rollouts: int
    missing: Mapping[str, int]
    measured: Measured | None

    @property
    def words(self) -> str:
        """What stands, and what does not."""
        if self.measured is None:
            return f"{self.policy} on {self.set_name}: nothing was annotated on both sides."
        stands = [change for change in self.measured.changes if change.stands]
        said = [
            f"{spoken(change.behaviour)} {'more' if change.difference.value > 0 else 'less'} often than the base "
            f"({change.difference.value:+.1%} of rollouts, net {change.net.value:+.0f} of {change.problems} problems"
            f"{'' if difference_of(change.net) else ', which is no difference'})"
            for change in stands
        ]
        rest = len(self.measured.changes) - len(stands)
        shown = "shows " + "; ".join(said) if said else "shows no difference from the base in any behaviour"
        others = f"; no difference in the other {rest}" if said and rest else ""
        entropy = self.measured.entropy_difference
        varied = "no difference in the variety of approaches"
        if difference_of(entropy):
            varied = f"its approaches are {'more' if entropy.value > 0 else 'less'} varied ({entropy.value:+.2f} bits)"
        return f"{self.policy} on {self.set_name}, {self.annotator}: it {shown}{others}; {varied}."

    def as_dict(self) -> dict[str, object]:
        """For `behave.json`."""
        head: dict[str, object] = {
            "problems": self.problems,
            "seeds": self.seeds,
            "rollouts": self.rollouts,
            "base_rollouts": self.base_rollouts,
            "unannotated": dict(self.missing),
        }
        if self.measured is None:
            return {**head, "behaviours": None, "archetypes": None}
        behaviours = {
            change.behaviour: {
                **{name: _ends(getattr(change, name)) for name in ("base", "other", "difference", "net")},
                **{name: getattr(change, name) for name in ("gained", "lost", "problems", "stands")},
            }
            for change in self.measured.changes
        }
        archetypes = {
            "base": _archetypes(self.measured.base),
            "other": _archetypes(self.measured.other),
            "entropy_difference": _ends(self.measured.entropy_difference),
        }
        return {**head, "behaviours": behaviours, "archetypes": archetypes}


@dataclass(frozen=True, slots=True)
class Report:
    """All comparisons, and the agreement of the annotators where two were asked.

    `unannotated` counts rollouts without an annotation by reason, over all annotators.
    """

    level: float
    compared: tuple[Compared, ...]
    agreement: tuple[Agreement, ...] = ()
    left_out: tuple[str, ...] = ()
    unannotated: Mapping[str, int] = field(default_factory=dict)
    cost: str = ""

    @property
    def words(self) -> list[str]:
        """The findings and the cautions, a sentence or two each."""
        said = [one.words for one in self.compared]
        fewest = min((one.problems for one in self.compared), default=0)
        if fewest < _FEW_PROBLEMS:
            said.append(f"Only {fewest} problem{'s' * (fewest != 1)}: take this for an example, not for evidence.")
        intervals = sum(len(one.measured.changes) for one in self.compared if one.measured is not None)
        by_chance = intervals * (1 - self.level)
        said.append(
            f"A difference inside its {self.level:.0%} interval is called no difference. Of {intervals} such intervals "
            f"about {by_chance:.1f} leave 0 out by chance alone."
        )
        if any(one.annotator == "lexical" for one in self.compared):
            said.append("The lexical annotator counts phrases: it sees what is said, not what is done.")
        if missing := sum(self.unannotated.values()):
            reasons = sorted(self.unannotated, key=lambda why: -self.unannotated[why])
            said.append(
                f"{missing:,} rollouts have no annotation and are left out, not counted as showing nothing "
                f"({'; '.join(reasons[:3])})."
            )
        if self.agreement:
            said.append(_agreed(self.agreement))
        if self.left_out:
            said.append(
                f"Not finished, so left out: {', '.join(self.left_out[:4])}{' ...' * (len(self.left_out) > 4)}."
            )
        return said

    def as_dict(self) -> dict[str, object]:
        """For `behave.json` and `--json`."""
        annotators: dict[str, dict[str, dict[str, object]]] = {}
        for one in self.compared:
            annotators.setdefault(one.annotator, {}).setdefault(one.set_name, {})[one.policy] = one.as_dict()
        return {
            "taxonomy": DIGEST,
            "level": self.level,
            "annotators": annotators,
            "agreement": [_agreement(one) for one in self.agreement],
            "left_out": list(self.left_out),
            "cost": self.cost,
            "words": self.words,
        }


def spoken(name: str) -> str:
    """A name of the taxonomy for people."""
    return name.replace("_", " ")


def _agreed(agreement: Sequence[Agreement]) -> str:
    defined = [one for one in agreement if not math.isnan(one.kappa.value) and one.name != "archetype"]
    if not defined:
        return "The annotators' agreement beyond chance cannot be told: on each behaviour one of them always says the same."
    good = [spoken(one.name) for one in defined if one.kappa.value >= 0.6]
    return (
        f"The two annotators agree beyond chance (kappa 0.6 or more) on {', '.join(good) or 'no behaviour'}, of "
        f"{len(defined)} where that can be told; where they do not, believe neither without looking at rollouts."
    )


def _agreement(one: Agreement) -> dict[str, object]:
    return {
        "name": one.name,
        "rollouts": one.rollouts,
        "problems": one.problems,
        "agreed": one.agreed,
        "kappa": _ends(one.kappa),
        "share_lexical": _number(one.share_one),
        "share_llm": _number(one.share_other),
    }


def _archetypes(diversity: Diversity) -> dict[str, object]:
    return {
        "shares": dict(diversity.shares),
        "entropy": _ends(diversity.entropy),
        "used_per_problem": _ends(diversity.used),
        "none": diversity.none,
    }


def _ends(interval: Interval) -> dict[str, float | None]:
    return {name: _number(end) for name, end in interval._asdict().items()}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
