"""Programs with tests are rewarded by running them, each group by itself; every number here is worked by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from exprl.config import Execution, OutcomeConfig, ProcessConfig, SegmentConfig
from exprl.measures import measure
from exprl.methods import Credits, RolloutBatch, build_method
from exprl.types import Problem, Reference, Rollout, Submission, Verdict

CODE = Problem("c", "f?", Reference(None, None, "{}"), "code")
MATHS = Problem("m", "?", Reference("1", "1"))
SHARES = (1.0, 0.5, 0.0, 0.5)


class Judge:
    """Gives every cut 0.25, and remembers whom it was asked about."""

    name, template_hash = "fake", "1"

    def __init__(self) -> None:
        self.asked: list[Submission] = []

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        self.asked += submissions
        return [tuple(Verdict(0.25, judge=self.name) for _ in one.cuts) for one in submissions]

    async def aclose(self) -> None:
        pass


def batch(*, failed: Sequence[int] = (), truncated: Sequence[int] = ()) -> RolloutBatch:
    """Four programs that pass the SHARES of their tests, then four traces of mathematics."""
    words = [
        Verdict(None, "the sandbox failed", judge="code")
        if place in failed
        else Verdict(float(share == 1.0), judge="code", share=share)
        for place, share in enumerate(SHARES)
    ]
    texts = ["def f(): ...###more"] * 4 + ["a###b"] * 4
    problems = [CODE] * 4 + [MATHS] * 4
    return RolloutBatch(
        problems=problems,
        rollouts=[
            Rollout(f"r{i}", p.id, text, len(text), i in truncated)
            for i, (p, text) in enumerate(zip(problems, texts, strict=True))
        ],
        group_R=np.repeat([0, 1], 4),
        token_ends=[np.arange(1, len(text) + 1) for text in texts],
        verified=[*words, *(Verdict(0.0, judge="math"),) * 4],
    )


async def credit(given: RolloutBatch, judge: Judge, kind: str, execution: Execution = "share") -> Credits:
    config = {"outcome": OutcomeConfig, "process": ProcessConfig}[kind](execution=execution)
    return await build_method(config, judge, SegmentConfig()).credit(given)


@pytest.mark.parametrize("kind", ["outcome", "process"])
async def test_a_programs_reward_is_the_share_of_its_tests_and_no_judge_is_asked(kind: str) -> None:
    judge = Judge()
    credits = await credit(batch(), judge, kind)
    assert credits.rewards_R.tolist() == [*SHARES, 0.25, 0.25, 0.25, 0.25]
    assert {one.rollout_id for one in judge.asked} == {"r4", "r5", "r6", "r7"}
    # mean .5, unbiased variance (.25 + 0 + .25 + 0) / 3, std .408248
    np.testing.assert_allclose(credits.advantages_RS[:4, 0], [1.224742, 0, -1.224742, 0], atol=1e-5)


async def test_a_program_is_one_segment_under_process_whatever_markers_it_holds() -> None:
    credits = await credit(batch(), Judge(), "process")
    assert [len(spans) for spans in credits.segments] == [1] * 4 + [2] * 4
    assert [len(row) for row in credits.verdicts] == [1] * 4 + [2] * 4


async def test_all_or_nothing_counts_only_programs_that_pass_everything() -> None:
    credits = await credit(batch(), Judge(), "outcome", "all")
    assert credits.rewards_R.tolist()[:4] == [1.0, 0.0, 0.0, 0.0]


async def test_never_leaves_programs_to_the_judge() -> None:
    judge = Judge()
    credits = await credit(batch(), judge, "outcome", "never")
    assert len(judge.asked) == 8
    assert credits.rewards_R.tolist() == [0.25] * 8


@pytest.mark.parametrize("kind", ["outcome", "process"])
async def test_a_program_that_could_not_be_run_leaves_the_loss_and_the_groups_mean(kind: str) -> None:
    credits = await credit(batch(failed=[2]), Judge(), kind)
    assert credits.dropped_R.tolist() == [False, False, True, False, False, False, False, False]
    # 1, .5, .5: mean 2/3, std .288675
    np.testing.assert_allclose(credits.advantages_RS[[0, 1, 3], 0], [1.154696, -0.577348, -0.577348], atol=1e-5)


@pytest.mark.parametrize("kind", ["outcome", "process"])
async def test_a_truncated_program_has_reward_0_whatever_passed(kind: str) -> None:
    credits = await credit(batch(truncated=[0]), Judge(), kind)
    assert credits.rewards_R[0] == 0.0


async def test_the_monitor_does_not_hold_a_programs_reward_against_the_judge() -> None:
    given = batch()
    found = measure(given, await credit(given, Judge(), "outcome"), marker="###")
    assert found["high_but_wrong"].n == 4, "the four traces of mathematics, and no program"
