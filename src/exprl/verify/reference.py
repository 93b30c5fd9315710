"""Is a reference solution's own final answer the stored answer? A reference that contradicts itself cannot teach.

The hard-set filter keeps a problem only where this holds (METHOD's second condition of the hard set): a judge that
reads a solution ending in 12 beside a stored 13 would reward the wrong thing.
"""

from __future__ import annotations

from collections.abc import Sequence

from exprl.types import Problem, Verdict
from exprl.verify.answer import final_answers
from exprl.verify.math import MathVerifier
from exprl.verify.protocol import Verifier
from exprl.verify.stored import NO_ANSWER, stored_answer

__all__ = ["grade_reference"]

_JUDGE = "reference"


def grade_reference(problems: Sequence[Problem], verifier: Verifier | None = None) -> list[Verdict]:
    r"""Grade every reference solution's own final answer against the stored one.

    The final answer is the solution's last `\boxed{}`; else what follows `####`; else the number after its last `=`
    or its last number, of which either may be right. A solution of a problem with tests is a program, and is run.

    Args:
        problems: in any order.
        verifier: what grades; a `MathVerifier` of its own by default.
    Returns:
        One verdict a problem: 1.0 agrees, 0.0 contradicts, unscored where solution, stored answer or final answer is
        missing or cannot be read.
    """
    own = MathVerifier() if verifier is None else None
    grader: Verifier = verifier if verifier is not None else MathVerifier() if own is None else own
    try:
        return _grade(problems, grader)
    finally:
        if own is not None:
            own.close()


def _grade(problems: Sequence[Problem], grader: Verifier) -> list[Verdict]:
    readings = [_readings(problem) for problem in problems]
    pairs = [
        (problem, reading)
        for problem, texts in zip(problems, readings, strict=True)
        if not isinstance(texts, str)
        for reading in texts
    ]
    graded = iter(grader.verify(pairs))
    return [
        Verdict(None, unscored=texts, judge=_JUDGE) if isinstance(texts, str) else _best([next(graded) for _ in texts])
        for texts in readings
    ]


def _readings(problem: Problem) -> tuple[str, ...] | str:
    """What a trace would have to say to answer as the solution does, or the reason why there is nothing."""
    solution, _, tests = problem.reference.reveal()
    if tests is not None:
        return (solution,) if solution is not None else "no reference solution"
    if stored_answer(problem) is None:
        return NO_ANSWER
    if solution is None:
        return "no reference solution"
    answers = final_answers(solution)
    return tuple("\\boxed{" + one + "}" for one in answers) or "the reference solution states no final answer"


def _best(verdicts: list[Verdict]) -> Verdict:
    """The right reading if there is one, else an unscored one, else wrong. No `raw`: it would show the answer."""
    best = max(verdicts, key=lambda v: (v.score == 1.0, v.score is None))
    return Verdict(best.score, unscored=best.unscored, judge=_JUDGE)
