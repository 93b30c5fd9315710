r"""The deterministic judge: how many milestones of the reference does the text derive?

    n = 1 for none of them, 5 for all, else 2 + floor(3 * (established - 1) / (all - 1));  score = (n - 1) / 4

Milestones are the step results and the final answer of the reference (`milestones`). The first one counts as
much as a step up the scale: from where a policy stands that establishes nothing, it is the signal there is. One rule is
added: a right final answer that is both derived and stated gives n >= 4, for a sound route that the reference did not take. A
final answer that is wrong or not stated leaves n <= 4.

A text *establishes* a step's result by an equation that derives it (`exprl.judge.milestone.claims`):
  - it is true arithmetic, at least one operation is not trivial, and every operand is known: from the question, from
    the constants that the reference uses, or as the result of an earlier equation that passed. Hence the order: a
    later result cannot come before what it is made of. An intermediate value of a longer expression counts as well.
  - a result that is also one of its own operands (`55+5-5=55`) counts only with the reference step's very operands.
  - a step that is no arithmetic (`rev(4125)=5214`) counts by the same equation, its numbers known.
  - each equation establishes a result once, however often it is repeated; equations of the question do not count.
The final answer is established when the last box states it and its value was derived (where any step derives it).

Retries are welcome, floods are not. Of one left side (by value: `12+5`, `5+12+0` are one) the last result counts, and
with more than 3 different results, none. Once a text holds more than `steps + 2` different equations that establish
nothing, nothing after them counts (true ones that check a value already known are free); nor does anything after
1,000 equations. Nor does what is computed on the way inside longer expressions and leads nowhere: with more than 3 such
values, plus one for each step established, the equation that brings them and all after it count nothing. Else one long
sum, or products that vanish again (`(48*7)*0+48=48`), would try out what cannot be tried one by one. More than 3
different boxes state no answer.

Scope "prefix" and "outcome" score the text up to each cut; "segment" scores each piece alone, with the results of all
steps taken as known, as the share of milestones that this piece establishes.

    >>> from exprl.types import Problem, Reference, Submission
    >>> problem = Problem("p", "37+25, then times 3", Reference("37+25=62 ###\n62*3=186 ###\n\\boxed{186}", "186"))
    >>> text = "37+25=62 ###\n62*3=186 ###\n\\boxed{186}"
    >>> [v.likert for v in MilestoneJudge().judge(Submission(problem, "r", text, (13, 27, len(text)), "prefix"))]
    [2, 3, 5]

What it is not: a judge of proofs or prose. A problem whose reference holds neither an equation nor an answer is
unscored.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from exprl.judge.milestone.arithmetic import Number
from exprl.judge.milestone.claims import Claim, claims_of, lines, standing
from exprl.judge.milestone.milestones import Milestones, Step, core, read_milestones, stated_answer
from exprl.types import Problem, Submission, Verdict
from exprl.verify.answer import matches
from exprl.verify.boxes import boxed

__all__ = ["MilestoneJudge"]

_BOXES = 3
_EQUATIONS = 1000
_IDLE = 3
_NOTHING = "the reference holds no equation and no answer"


class MilestoneJudge:
    """Scores 1..5 by the milestones that a text establishes. Needs no model; the same input gives the same verdict."""

    name = "milestone"
    template_hash = "milestone-3"

    def __init__(self) -> None:
        self._milestones = lru_cache(maxsize=8192)(_read)

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        """Judge a batch; see `exprl.judge.Judge.score`."""
        return [self.judge(submission) for submission in submissions]

    async def aclose(self) -> None:
        """Nothing to let go of."""

    def judge(self, submission: Submission) -> tuple[Verdict, ...]:
        """Judge one rollout, all cuts in one pass over its lines."""
        milestones = self._milestones(submission.problem)
        if not milestones.count:
            return (Verdict(None, unscored=_NOTHING, judge=self.name, prompt_hash=self.template_hash),) * len(
                submission.cuts
            )
        if submission.scope == "segment":
            starts = (0, *submission.cuts[:-1])
            pieces = [submission.text[a:b] for a, b in zip(starts, submission.cuts, strict=True)]
            return tuple(self._verdict(_Reader(milestones, piece, isolated=True).upto(len(piece))) for piece in pieces)
        reader = _Reader(milestones, submission.text, isolated=False)
        return tuple(self._verdict(reader.upto(cut)) for cut in submission.cuts)

    def _verdict(self, tally: _Tally) -> Verdict:
        likert = _likert(tally)
        raw = f"{tally.established} of {tally.milestones} milestones"
        return Verdict((likert - 1) / 4, likert=likert, raw=raw, judge=self.name, prompt_hash=self.template_hash)


class _Tally(NamedTuple):
    established: int
    milestones: int
    answered: bool  # the right final answer is both derived and stated


def _likert(tally: _Tally) -> int:
    if not tally.established:
        return 1
    if tally.established == tally.milestones:
        return 5
    likert = 2 + 3 * (tally.established - 1) // (tally.milestones - 1)
    return max(likert, 4) if tally.answered else likert


class _Reader:
    """Reads one text once, and tallies it up to any cut."""

    def __init__(self, milestones: Milestones, text: str, *, isolated: bool) -> None:
        self._milestones, self._text, self._isolated = milestones, text, isolated
        self._lines = list(lines(text)) if "=" in text else []
        self._last: tuple[list[Claim], _Derived] | None = None

    def upto(self, cut: int) -> _Tally:
        """The tally of `text[:cut]`, which never looks beyond the cut."""
        claims = self._claims(cut)
        if self._last is None or self._last[0] != claims:
            self._last = claims, _derive(self._milestones, claims, isolated=self._isolated)
        derived, milestones = self._last[1], self._milestones
        final = milestones.final is not None and _states(self._text[:cut], milestones.final)
        value = milestones.final_value
        reached = value is not None and value in derived.values
        due = not self._isolated and value is not None and any(value in step.accepts for step in milestones.steps)
        counts = final and (reached or not due)
        return _Tally(derived.steps + counts, milestones.count, answered=final and reached)

    def _claims(self, cut: int) -> list[Claim]:
        found: list[Claim] = []
        for line in self._lines:
            if line.start >= cut or len(found) >= _EQUATIONS:
                break
            found += claims_of(self._text[line.start : min(line.end, cut)])
        return found[:_EQUATIONS]


class _Derived(NamedTuple):
    steps: int
    values: set[Number]


def _derive(milestones: Milestones, claims: list[Claim], *, isolated: bool) -> _Derived:
    """Which steps do the claims establish, and which values do they derive?"""
    known = set(milestones.known)
    if isolated:
        known.update(value for step in milestones.steps for value in step.accepts)
    open_ = list(milestones.steps)
    values: set[Number] = set()
    seen: set[tuple[str, Number]] = set()
    wasted = idle = 0
    for claim, stands in zip(claims, standing(claims), strict=True):
        if (claim.written, claim.result) in seen or milestones.quotes(claim):
            continue
        seen.add((claim.written, claim.result))
        remaining, checked = len(open_), claim.holds and claim.result in known
        if stands and known.issuperset(claim.operands):
            fresh, useful = _fresh(claim, open_, known)
            idle += fresh - useful
            if idle > _IDLE + useful + len(milestones.steps) - len(open_):
                break
            _establish(claim, open_, known, values)
        if len(open_) == remaining and not checked:
            wasted += 1
            if wasted > len(milestones.steps) + 2:
                break
    return _Derived(len(milestones.steps) - len(open_), values)


def _fresh(claim: Claim, open_: list[Step], known: set[Number]) -> tuple[int, int]:
    """How many values a claim derives on its way, and how many of them are results of steps that are still open."""
    fresh = set(claim.results) - known - {claim.key, claim.result} if claim.holds else set()
    aims = {value for step in open_ if step.written is None for value in step.accepts}
    return len(fresh), len(fresh & aims)


def _establish(claim: Claim, open_: list[Step], known: set[Number], values: set[Number]) -> None:
    """Take the steps that a standing claim with known operands derives off `open_`."""
    if not claim.holds:
        step = next((s for s in open_ if s.written == claim.written and s.result == claim.result), None)
        if step is not None:
            open_.remove(step)
            known.add(claim.result)
            values.add(claim.result)
        return
    operands = core(claim.operands)
    vain = claim.result in operands  # what it computes on its way leads back to where it began
    for result in dict.fromkeys((*claim.results, claim.result) if claim.results else ()):
        circular = vain or result in operands
        step = next(
            (
                s
                for s in open_
                if s.written is None and result in s.accepts and (not circular or s.operands == operands)
            ),
            None,
        )
        if step is not None:
            open_.remove(step)
        if step is not None or not circular:
            known.add(result)
            values.add(result)


def _states(text: str, final: str) -> bool:
    answer = stated_answer(text)
    if answer is None or matches(final, answer) is not True:
        return False
    return len(set(boxed(text))) <= _BOXES


def _read(problem: Problem) -> Milestones:
    reference = problem.reference.reveal()
    return read_milestones(problem.text, reference.solution, reference.answer)
