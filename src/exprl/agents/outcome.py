"""Whose word the outcome of a trace is: the environment's, else a verifier's, else the judge's.

Each is asked only where nobody above it has spoken, and a stronger one that could not tell (a crash, a time-out) leaves
the trace unscored: nothing is handed down. "strongest" takes the verifier that the reference's data allow
(`exprl.verify.route`), and none where only a judge can read them. A truncated attempt has outcome 0 unless evidence says
otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal, NamedTuple

from exprl.agents.trial import MARKER, Read, Trial, read_trial, submission
from exprl.config import VerifierConfig
from exprl.judge import Judge, MilestoneJudge
from exprl.types import Verdict
from exprl.verify import Verifier, build_verifier, route
from exprl.verify.evidence import decide

__all__ = ["Grader", "Outcome", "outcome_batch", "outcomes"]

Grader = Verifier | Literal["strongest"] | None
_ASK_A_JUDGE = ("judge", "blind")


async def outcome_batch(
    trials: Sequence[Trial],
    *,
    judge: Judge | None = None,
    verifier: Grader = "strongest",
) -> list[Verdict]:
    """The outcomes alone, without prefixes: one call of the judge at most for each trial, and none where it is outranked.

    Returns:
        One verdict a trial, in order, on the evaluator's side: `Verdict.raw` may quote the reference.
    Raises:
        DataError, VerifierError: see `exprl.score_batch`.
    """
    read = [read_trial(trial, number, "turn", MARKER) for number, trial in enumerate(trials)]
    return [outcome.verdict for outcome in await outcomes(read, judge or MilestoneJudge(), verifier)]


class Outcome(NamedTuple):
    """The strongest word on a trial, and whether it is one that outranks the judge."""

    verdict: Verdict
    decided: bool


_TRUNCATED = Outcome(Verdict(0.0, judge="budget", note="truncated"), False)


async def outcomes(read: Sequence[Read], judge: Judge, verifier: Grader) -> list[Outcome]:
    """The judge is asked only where nobody above it has spoken."""
    decided = await _decided(read, verifier)
    open_ = [place for place, word in enumerate(decided) if word is None and not read[place].trial.truncated]
    judged = await judge.score([submission(read[place], "outcome") for place in open_])
    said = {place: Outcome(verdicts[-1], False) for place, verdicts in zip(open_, judged, strict=True)}
    return [said.get(place, _TRUNCATED) if word is None else Outcome(word, True) for place, word in enumerate(decided)]


async def _decided(read: Sequence[Read], verifier: Grader) -> list[Verdict | None]:
    """The word of evidence or verifier on each trial; None where a judge has to say."""
    words = [decide(one.trial.evidence) for one in read]
    waiting = [i for i, word in enumerate(words) if word is None and not read[i].trial.truncated]
    if verifier == "strongest":
        waiting = [i for i in waiting if route(read[i].problem).way not in _ASK_A_JUDGE]
    if verifier is None or not waiting:
        return words
    grader = build_verifier(VerifierConfig()) if verifier == "strongest" else verifier
    try:
        verdicts = await asyncio.to_thread(grader.verify, [(read[i].problem, read[i].said) for i in waiting])
    finally:
        if verifier == "strongest":
            grader.close()
    for i, verdict in zip(waiting, verdicts, strict=True):
        words[i] = verdict
    return words
