"""Rollouts that the environment can judge: programs of problems with tests take their reward from execution.

    share    R = share of the tests that pass              dense, and what a judge could only guess
    all      R = 1 if every test passes, else 0
    never    the judge scores them like any other trace     the paper's runs

A program has no prefix that could be run, so its credit is relative to the group and the same for the whole trace, under
Process too: A = (R - mean_group) / (std_group + 1e-6). The paper's mixed 8B run is why `share` is the default here: on code
execution ended at 55.0 and the judge at 41.9 (LiveCodeBench pass@1, the paper's numbers).

What it refuses: to reward a program that was not run. A rollout whose sandbox failed is unscored.
"""

from __future__ import annotations

import dataclasses

from exprl.config import Execution
from exprl.methods.batch import RolloutBatch
from exprl.types import Verdict

__all__ = ["executed"]


def executed(batch: RolloutBatch, how: Execution) -> dict[int, Verdict]:
    """The verdicts that stand in for a judge's, by the rollout's place in the batch.

    Only rollouts whose problem has tests that the verifier ran; truncated ones among them keep their word, since the
    reward of a truncated rollout is 0 whatever it says.
    """
    if how == "never":
        return {}
    return {
        place: _reward(word, how)
        for place, (problem, word) in enumerate(zip(batch.problems, batch.verified, strict=True))
        if problem.reference.has_tests and word.judge == "code"
    }


def _reward(word: Verdict, how: Execution) -> Verdict:
    if how == "share" and word.share is not None:
        return dataclasses.replace(word, score=word.share)
    return word
