"""A judge as the verifier of last resort, for answers that nothing else can grade.

It reads the whole trace (outcome scope) and calls it right from grade 4 of 5 on, the line at which the paper calibrates its
judges (METHOD 6):

    score 1.0   s >= 0.75        score 0.0   s < 0.75        unscored   the judge could not score it

The judge's own score is kept in `Verdict.likert`. How often such a word is wrong is what `exprl calibrate` measures; read
that card before a run rests on it. A configuration has to ask for it (`verifier.judge = true`), since it costs calls.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from exprl.judge.protocol import RIGHT, Judge
from exprl.types import Problem, Submission, Verdict

__all__ = ["JudgeVerifier"]


class JudgeVerifier:
    """Right or wrong by a judge's score of the whole trace.

    Args:
        build: makes the judge; called with the first pair.
        name: what stands in `Verdict.judge`.
    """

    def __init__(self, build: Callable[[], Judge], name: str = "judge") -> None:
        self.name = name
        self._build = build
        self._judge: Judge | None = None

    def verify(self, pairs: Sequence[tuple[Problem, str]]) -> list[Verdict]:
        """Grade traces; see `exprl.verify.Verifier.verify`.

        Raises:
            JudgeError: the judge cannot be built.
        """
        if not pairs:
            return []
        # A loop of its own, in a thread of its own: the caller may stand in a running loop.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, self._ask(pairs)).result()

    def close(self) -> None:
        """Nothing to stop: connections are let go after every batch."""

    async def _ask(self, pairs: Sequence[tuple[Problem, str]]) -> list[Verdict]:
        if self._judge is None:
            self._judge = self._build()
        submissions = [
            Submission(problem, f"{problem.id}/{place}", text, (len(text),), "outcome")
            for place, (problem, text) in enumerate(pairs)
        ]
        try:
            judged = await self._judge.score(submissions)
        finally:
            await self._judge.aclose()
        return [self._word(verdicts[-1]) for verdicts in judged]

    def _word(self, verdict: Verdict) -> Verdict:
        if verdict.score is None:
            return dataclasses.replace(verdict, judge=self.name)
        return dataclasses.replace(verdict, score=float(verdict.score >= RIGHT), judge=self.name)
