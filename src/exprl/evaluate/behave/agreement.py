"""How far two annotators say the same of the same rollouts.

    kappa = (agreed - by chance) / (1 - by chance)                                     (Cohen 1960)

agreed being the share of rollouts on which both say the same, and "by chance" what two that only knew their own rates would
reach. Where one of the two always says the same, agreement is what chance gives, whatever the other says, and kappa is
not defined: None, neither 0 nor 1. Intervals are bootstrap over problems,
whose rollouts stay together, and are left out below five problems. High raw agreement on a rare behaviour says little;
that is what kappa is for.

    >>> kappa(np.array([[20.0, 5.0], [10.0, 15.0]]))
    0.4
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from exprl.evaluate.behave.annotation import Annotation
from exprl.evaluate.behave.taxonomy import ARCHETYPE_NAMES, BEHAVIOUR_NAMES, NONE
from exprl.evaluate.intervals import Floats, Interval, draw_weights, percentiles

__all__ = ["Agreement", "Rated", "agreements", "kappa"]

_FEWEST = 5
_CATEGORIES = (*ARCHETYPE_NAMES, NONE)


class Rated(NamedTuple):
    """What two annotators say of one rollout."""

    question: str
    one: Annotation
    other: Annotation


class Agreement(NamedTuple):
    """On one behaviour, or on "archetype". The shares say how often each annotator finds it (NaN for the archetype)."""

    name: str
    rollouts: int
    problems: int
    agreed: float
    kappa: Interval
    share_one: float
    share_other: float


def agreements(
    rated: Sequence[Rated], *, bootstrap: int = 2000, level: float = 0.95, seed: int = 0
) -> tuple[Agreement, ...]:
    """Agreement on each behaviour and on the archetype, over the rollouts that both have annotated."""
    both = [one for one in rated if one.one.why is None and one.other.why is None]
    if not both:
        return ()
    place = {name: at for at, name in enumerate(dict.fromkeys(one.question for one in both))}
    draws_BP = draw_weights(1, np.ones(len(place), dtype=np.int64), bootstrap, seed).problems_BU
    found = []
    for name in (*BEHAVIOUR_NAMES, "archetype"):
        size = 2 if name != "archetype" else len(_CATEGORIES)
        tables_P = np.zeros((len(place), size, size))
        for one in both:
            tables_P[place[one.question], _category(one.one, name), _category(one.other, name)] += 1
        found.append(_agreement(name, tables_P, draws_BP, level))
    return tuple(found)


def kappa(table: Floats) -> float:
    """Cohen's kappa of a square table of counts; NaN where a side has one category only."""
    total = table.sum()
    if any((table.sum(axis=axis) > 0).sum() < 2 for axis in (0, 1)):
        return float("nan")
    chance = float((table.sum(axis=0) * table.sum(axis=1)).sum() / total**2)
    return (float(np.trace(table)) / float(total) - chance) / (1 - chance)


def _agreement(name: str, tables_P: Floats, draws_BP: Floats, level: float) -> Agreement:
    table = tables_P.sum(axis=0)
    total = table.sum()
    low = high = float("nan")
    if len(tables_P) >= _FEWEST and not np.isnan(kappa(table)):
        replicates_B = np.array([kappa(one) for one in np.tensordot(draws_BP, tables_P, axes=1)])
        if not np.isnan(replicates_B).all():
            low, high = percentiles(replicates_B, level)
    shares = (table[1].sum() / total, table[:, 1].sum() / total) if len(table) == 2 else (np.nan, np.nan)
    return Agreement(
        name,
        int(total),
        len(tables_P),
        float(np.trace(table) / total),
        Interval(kappa(table), low, high),
        float(shares[0]),
        float(shares[1]),
    )


def _category(annotation: Annotation, name: str) -> int:
    return _CATEGORIES.index(annotation.archetype) if name == "archetype" else int(name in annotation.behaviours)
