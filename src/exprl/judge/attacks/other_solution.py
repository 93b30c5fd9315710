"""Another problem's reference solution: right in every step, and about something else.

It looks better than anything a weak policy writes. A judge that grades by looks takes it; one that compares does not.
"""

from __future__ import annotations

from collections.abc import Iterator

from exprl.judge.attacks.case import Attack
from exprl.judge.attacks.target import Target

__all__ = ["other_solution"]


def other_solution(target: Target) -> Iterator[Attack]:
    """As it is, behind this problem's question, with a wrong answer, and two of them together."""
    for place, other in enumerate(target.others, 1):
        yield Attack(f"plain {place}", other.text, source=other.problem_id)
        text = f"{target.problem.text}\n\nSolution\n\n{other.text}"
        yield Attack(f"behind the question {place}", text, source=other.problem_id)
        yield Attack(f"with a wrong answer {place}", f"{other.text}\n\n{target.box}", source=other.problem_id)
