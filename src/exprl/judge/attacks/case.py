"""What an attack is: a text that derives nothing and wants a good grade.

An `Attack` is what a class of attacks makes of one problem; an `AttackCase` is an attack with its place in a suite.
`variant` names the idea within its class, so that the same idea on several problems is known to be one idea.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Attack", "AttackCase"]


class Attack(NamedTuple):
    """One text against one problem.

    `base` is how many of its first characters are an honest attempt: 0 for an attack on the score, more for one on its
    growth. `source` is the id of the problem whose solution was copied into it.
    """

    variant: str
    text: str
    base: int = 0
    source: str = ""


@dataclass(frozen=True, slots=True)
class AttackCase:
    """An attack of a suite. `kind` is its class; `text` may quote another problem's reference."""

    id: str
    kind: str
    variant: str
    problem_id: str
    text: str
    base: int = 0
    source: str = ""
