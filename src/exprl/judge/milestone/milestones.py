r"""The milestones of a reference: the results that a trace has to derive, read off once per problem.

A milestone is the result of a step of the reference solution, and at last its final answer:

    arithmetic step   a claim that holds and is not trivial (`48/2 = 24`): its result, with the operands used
    other step        a claim that this library cannot evaluate (`rev(4125)=5214`, a wrongly rounded result): the
    equation itself final answer      the stored answer; else the one that the solution states

Steps stated twice count once. A step without an operation (`x = 5`, `24 = 24`) or with a trivial one (`24+0=24`) is
none.

`known` are the numbers that a derivation may start from: those of the question, in digits or in words (`twice`, `a
dozen`, `hours`), the constants 0, 1, 2, 100 and 0.01, and what the reference itself uses without having derived it
(60 minutes an hour).

    >>> m = read_milestones("37+25, then turn it around", "37+25=62 ###\nrev(62)=26 ###\n\\boxed{26}", "26")
    >>> [step.result for step in m.steps], m.final
    ([62, 26], '26')
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from exprl.judge.milestone.arithmetic import Number, number
from exprl.judge.milestone.claims import Claim, claims_of, lines, standing
from exprl.verify.answer import extract_answer, final_answers, quantity

__all__ = ["Milestones", "Step", "core", "numbers_in", "read_milestones", "stated_answer"]

_CONSTANTS: frozenset[Number] = frozenset((0, 1, 2, 100, Fraction(1, 100)))
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+")
_WORD = re.compile(r"[a-z]+")
_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_TENS = "- ten twenty thirty forty fifty sixty seventy eighty ninety"
_NAMES: dict[str, tuple[Number, ...]] = (
    {name: (n,) for n, name in enumerate(_UNITS.split())}
    | {name: (10 * n,) for n, name in enumerate(_TENS.split())}
    | {"seventeen": (17,), "eighteen": (18,), "nineteen": (19,), "hundred": (100,), "thousand": (1000,)}
    | {"million": (10**6,), "dozen": (12,), "pair": (2,), "couple": (2,), "triple": (3,), "thrice": (3,)}
    | {"half": (2, Fraction(1, 2)), "third": (3,), "quarter": (4, 25, Fraction(1, 4)), "fourth": (4,), "fifth": (5,)}
    | {"quadruple": (4,), "dime": (10, Fraction(1, 10)), "nickel": (5, Fraction(1, 20)), "minute": (60,)}
    | {"hour": (60,), "hourly": (60,), "day": (24, 7), "daily": (24, 7), "week": (7, 52), "weekly": (7, 52)}
    | {"month": (12, 4, 30), "monthly": (12, 4, 30), "year": (12, 52, 365), "yearly": (12, 52, 365)}
)
_ANSWER = re.compile(
    r"(?im:^[ \t]*(?:A|answer|final answer)[ \t]*:|####|\banswer is:?)[ \t]*([^\n#]{1,200})",
)


@dataclass(frozen=True, slots=True)
class Step:
    """One result to derive; `written` is set where only the very equation counts, `operands` are those of `core`."""

    result: Number
    accepts: frozenset[Number]
    operands: tuple[Number, ...]
    written: str | None


@dataclass(frozen=True, slots=True)
class Milestones:
    """What a reference asks of a trace. Privileged: it never leaves the judge.

    `final` is the answer as text, `final_value` its number where it is one, `quoted` the equations of the question.
    """

    steps: tuple[Step, ...]
    final: str | None
    final_value: Number | None
    known: frozenset[Number]
    quoted: frozenset[tuple[str | tuple[Number, ...], Number]]

    def quotes(self, claim: Claim) -> bool:
        """Whether a claim is an equation of the question, as written there or with its numbers in another order."""
        turned = claim.holds and (core(claim.operands), claim.result) in self.quoted
        return turned or (claim.written, claim.result) in self.quoted

    @property
    def count(self) -> int:
        """Milestones in all."""
        return len(self.steps) + (self.final is not None)


def read_milestones(question: str, solution: str | None, answer: str | None) -> Milestones:
    """Read a problem's milestones. All three texts may be anything; nothing raises."""
    claims = [claim for line in lines(solution or "") for claim in claims_of((solution or "")[line.start : line.end])]
    steps: dict[tuple[object, ...], Step] = {}
    known = _CONSTANTS | numbers_in(question)
    derived: set[Number] = set()
    for claim, stands in zip(claims, standing(claims), strict=True):
        known |= {value for value in claim.operands if value not in derived}
        derived |= {claim.result, *claim.results}
        if stands and (step := _step(claim)) is not None:
            steps.setdefault((step.result, step.operands, step.written), step)
    final = answer if answer is not None and answer.strip() else _own_answer(solution)
    read = quantity(final) if final is not None else None
    given = [claim for line in lines(question) for claim in claims_of(question[line.start : line.end])]
    quoted: set[tuple[str | tuple[Number, ...], Number]] = {(claim.written, claim.result) for claim in given}
    quoted |= {(core(claim.operands), claim.result) for claim in given if claim.holds}
    return Milestones(tuple(steps.values()), final, read.value if read else None, known, frozenset(quoted))


def numbers_in(text: str) -> set[Number]:
    """The numbers that a text gives, in digits (`20%` is 20 and 0.2) and in words."""
    digits = {value for match in _NUMBER.finditer(text) if (value := number(match[0])) is not None}
    percents = {Fraction(value) / 100 for value in digits} if "%" in text or "percent" in text else set()
    words = {value for word in _WORD.findall(text.lower()) for value in _named(word)}
    return digits | percents | words


def core(operands: tuple[Number, ...]) -> tuple[Number, ...]:
    """Operands that can tell one step from another: sorted, without 0 and 1."""
    return tuple(sorted(value for value in operands if value not in (0, 1)))


def stated_answer(text: str) -> str | None:
    r"""The answer that a text states: its last `\boxed{}`, else what follows `Answer:`, `####`, `answer is`."""
    if (answer := extract_answer(text)) is not None:
        return answer
    found = _ANSWER.findall(text) if any(cue in text for cue in ("nswer", "NSWER", "A:", "####")) else []
    return found[-1].strip() if found else None


def _own_answer(solution: str | None) -> str | None:
    if solution is None:
        return None
    stated = stated_answer(solution)
    return stated if stated is not None else next(iter(final_answers(solution)), None)


def _step(claim: Claim) -> Step | None:
    if claim.linked:
        return None  # the first side of a chain stands for all of it
    if not claim.holds:
        return Step(claim.result, frozenset((claim.result,)), core(claim.operands), claim.written)
    if not claim.results or not isinstance(claim.key, (int, Fraction)) or claim.key != claim.results[-1]:
        return None
    return Step(claim.result, frozenset((claim.result, claim.key)), core(claim.operands), None)


def _named(word: str) -> tuple[Number, ...]:
    if word in _NAMES:
        return _NAMES[word]
    if word.startswith(("twice", "doubl")):
        return (2,)
    return _NAMES.get(word[:-1], ()) if word.endswith("s") else ()
