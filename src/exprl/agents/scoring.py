"""Score what an agent did against a hidden reference: outcome, prefix scores step by step, and credit for each step.

    outcome      the strongest word there is:  evidence of the environment  >  a verifier of the answer  >  the judge
    s_1 .. s_T   the judge's score of the trace up to and including each step
    credit       of s_1 .. s_T by `exprl.advantages`: who made the progress

Evidence and verifiers outrank the judge in the credit, too: the last prefix is the whole trace, so where they have
spoken their word is s_T. A trace that a judge calls finished and a test calls broken loses the credit at its last step.
A verifier reads the last assistant message only, since a tool's result is no answer.

A trace is text (cut by `segments`) or a list of chat messages with tool calls and results (cut by `steps`, see
`exprl.turns`); its question is given, or is what stands before the first assistant message. References are of type
`Reference`, so that no log shows them. What judge and verifier wrote may quote them: it is in `TraceScore.reasons`,
which redacts itself.

    >>> reference = Reference("37+25=62 ###\\n62*3=186 ###\\n\\\\boxed{186}", "186")
    >>> scored = score("37+25=62 ###\\n62*3=186 ###\\n\\\\boxed{186}", reference, question="37+25, then times 3")
    >>> scored.outcome, [step.score for step in scored.steps], [step.credit for step in scored.steps]
    (1.0, [0.25, 0.5, 1.0], [-0.75, 0.25, 0.5])

What it refuses: a reference that is plain text (`DataError`). Unscored is never 0: an outcome or a step without a score is
None, says why, and has no credit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from exprl.advantages import process_advantages
from exprl.agents.outcome import Grader, Outcome, outcomes
from exprl.agents.result import Reasons, StepScore, TraceScore
from exprl.agents.trial import MARKER, Read, Trace, Trial, read_trial, submission
from exprl.config import Credit, SegmentConfig
from exprl.judge import Judge, MilestoneJudge
from exprl.rewards import segment_scores
from exprl.turns import Step, StepRule
from exprl.types import Domain, Reference, Verdict
from exprl.verify.evidence import Evidence

__all__ = ["score", "score_batch"]


def score(
    trace: Trace,
    reference: Reference,
    *,
    question: str = "",
    domain: Domain = "general",
    evidence: Sequence[Evidence] = (),
    truncated: bool = False,
    judge: Judge | None = None,
    verifier: Grader = "strongest",
    steps: StepRule = "turn",
    segments: SegmentConfig = MARKER,
    credit: Credit = "delta_norm",
) -> TraceScore:
    """Score one trace; `score_batch` says what the arguments mean. May be called where an event loop runs (a notebook).

    Raises:
        DataError, JudgeError, VerifierError: see `score_batch`.
    """
    trial = Trial(trace, reference, question, "", domain, evidence, truncated)
    asked = judge or MilestoneJudge()

    async def alone() -> list[TraceScore]:
        try:
            return await score_batch(
                [trial], judge=asked, verifier=verifier, steps=steps, segments=segments, credit=credit
            )
        finally:
            await asked.aclose()  # its connections belong to this loop, which ends here

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, alone()).result()[0]


async def score_batch(
    trials: Sequence[Trial],
    *,
    judge: Judge | None = None,
    verifier: Grader = "strongest",
    steps: StepRule = "turn",
    segments: SegmentConfig = MARKER,
    credit: Credit = "delta_norm",
    outcome_weight: float = 0.0,
) -> list[TraceScore]:
    """Score attempts; those of one problem are a group for the credits that compare.

    Args:
        judge: `MilestoneJudge()` by default, which needs no model and suits references that compute. The caller closes it.
        verifier: grades final answers; "strongest" takes the one that the reference's data allow (none for prose); None
            leaves the outcome to evidence and judge.
        steps: how conversations are cut.
        segments: how texts are cut.
        credit, outcome_weight: see `exprl.advantages.process_advantages`.
    Returns:
        One result a trial, in order.
    Raises:
        DataError: a reference that is none, messages that are none.
        VerifierError: the verifier cannot work here (a missing extra, no sandbox).
    """
    read = [read_trial(trial, number, steps, segments) for number, trial in enumerate(trials)]
    judge = judge or MilestoneJudge()
    prefixes = await judge.score([submission(one, "prefix") for one in read])
    words = await outcomes(read, judge, verifier)
    rows = [_last_replaced(row, word) for row, word in zip(prefixes, words, strict=True)]
    credits = _credits(read, rows, credit, outcome_weight)
    return [_result(*each) for each in zip(read, rows, prefixes, words, credits, strict=True)]


def _last_replaced(prefixes: Sequence[Verdict], outcome: Outcome) -> tuple[Verdict, ...]:
    return (*prefixes[:-1], outcome.verdict) if outcome.decided else tuple(prefixes)


def _credits(
    read: Sequence[Read], rows: Sequence[Sequence[Verdict]], credit: Credit, outcome_weight: float
) -> list[list[float]]:
    scored = segment_scores(rows)
    groups = {name: place for place, name in enumerate(dict.fromkeys(one.problem.id for one in read))}
    advantages_RS = process_advantages(
        scored.scores_RS,
        scored.count_R,
        [groups[one.problem.id] for one in read],
        truncated_R=[one.trial.truncated for one in read],
        credit=credit,
        outcome_weight=outcome_weight,
    )
    return [row[:count].tolist() for row, count in zip(advantages_RS, scored.count_R.tolist(), strict=True)]


def _result(
    one: Read, row: Sequence[Verdict], prefixes: Sequence[Verdict], outcome: Outcome, credits: Sequence[float]
) -> TraceScore:
    word = outcome.verdict
    spans = one.told.steps or (Step(0, len(one.told.text), "text", (), (0, 0)),)
    steps = tuple(
        StepScore(step, verdict.score, None if credit != credit else credit, verdict.unscored)
        for step, verdict, credit in zip(spans, row, credits, strict=True)
    )
    return TraceScore(
        outcome=word.score,
        unscored=word.unscored,
        decided_by=word.judge,
        steps=steps,
        usage=sum((verdict.usage for verdict in prefixes), word.usage),
        text=one.told.text,
        reasons=Reasons(prefixes, word),
    )
