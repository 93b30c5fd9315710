"""A method turns rollouts and verdicts into credit; every number here is worked by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from exprl.config import OutcomeConfig, ProcessConfig, SegmentConfig, SparseConfig, Stage2Config
from exprl.errors import ConfigError
from exprl.methods import Credits, RolloutBatch, build_method, needs_judge
from exprl.methods.batch import unscored_rollouts
from exprl.types import Problem, Reference, Rollout, Segment, Submission, Verdict

THREE = "a = 1 ###\nb = 2 ###\nc = 3"
ENDS = (9, 19, 25)
NAN = float("nan")


class FakeJudge:
    """Gives what it was told to for each rollout, one number a cut; None is unscored. Remembers what it was asked."""

    name = "fake"
    template_hash = "fake-1"

    def __init__(self, scores: Mapping[str, Sequence[float | None]]) -> None:
        self._scores = scores
        self.asked: list[Submission] = []

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        self.asked += submissions
        rows = []
        for submission in submissions:
            scores = self._scores[submission.rollout_id]
            assert len(scores) == len(submission.cuts), "one score a cut"
            rows.append(tuple(Verdict(score, None if score is not None else "no reply") for score in scores))
        return rows

    async def aclose(self) -> None:
        return None


def batch(
    *texts: str, truncated: Sequence[int] = (), group: int = 4, verified: Sequence[float | None] | None = None
) -> RolloutBatch:
    """Rollouts r0, r1, ... in groups of `group`; their tokens are their characters."""
    rollouts = [
        Rollout(f"r{i}", f"p{i // group}", text, len(text), truncated=i in truncated) for i, text in enumerate(texts)
    ]
    words = verified or [0.0] * len(texts)
    return RolloutBatch(
        problems=[Problem(r.question_id, "?", Reference("1", "1")) for r in rollouts],
        rollouts=rollouts,
        group_R=np.arange(len(texts)) // group,
        token_ends=[np.arange(1, len(text) + 1) for text in texts],
        verified=[Verdict(word, None if word is not None else "timeout") for word in words],
    )


async def outcome(judge: FakeJudge, given: RolloutBatch, *, normalise_std: bool = True) -> Credits:
    return await build_method(OutcomeConfig(normalise_std=normalise_std), judge, SegmentConfig()).credit(given)


async def process(judge: FakeJudge, given: RolloutBatch, **settings: object) -> Credits:
    config = ProcessConfig.model_validate({"type": "process", **settings})
    return await build_method(config, judge, SegmentConfig()).credit(given)


def close(actual: object, expected: object) -> None:
    np.testing.assert_allclose(actual, expected, atol=1e-5)  # type: ignore[arg-type]


# -- outcome


async def test_outcome_is_the_score_of_the_whole_trace_relative_to_its_group() -> None:
    judge = FakeJudge({"r0": [1.0], "r1": [0.5], "r2": [0.25], "r3": [0.25]})
    credits = await outcome(judge, batch(THREE, "b", "c", "d"))
    # mean .5, deviations .5 0 -.25 -.25, unbiased variance (.25 + .0625 + .0625) / 3 = .125, std .353553
    close(credits.advantages_RS, [[1.414214], [0.0], [-0.707107], [-0.707107]])
    close(credits.rewards_R, [1.0, 0.5, 0.25, 0.25])
    assert credits.segments == [(Segment(0, 25),), (Segment(0, 1),), (Segment(0, 1),), (Segment(0, 1),)]
    assert [s.cuts for s in judge.asked] == [(25,), (1,), (1,), (1,)]
    assert {s.scope for s in judge.asked} == {"outcome"}


async def test_outcome_without_std_normalisation_is_the_deviation() -> None:
    credits = await outcome(FakeJudge({"r0": [1.0], "r1": [0.0]}), batch("a", "b", group=2), normalise_std=False)
    close(credits.advantages_RS, [[0.5], [-0.5]])


async def test_groups_do_not_touch_each_other() -> None:
    judge = FakeJudge({"r0": [1.0], "r1": [0.5], "r2": [0.25], "r3": [0.25]})
    credits = await outcome(judge, batch("a", "b", "c", "d", group=2))
    close(credits.advantages_RS, [[0.707105], [-0.707105], [0.0], [0.0]])


async def test_a_truncated_rollout_is_worth_0_within_its_group_and_costs_no_judge_call() -> None:
    judge = FakeJudge({"r0": [1.0], "r1": [0.5]})
    given = batch("a", "b", "c", truncated=[2], group=3)
    credits = await outcome(judge, given)
    assert [s.rollout_id for s in judge.asked] == ["r0", "r1"]
    close(credits.rewards_R, [1.0, 0.5, 0.0])
    close(credits.advantages_RS, [[1.0], [0.0], [-1.0]])  # mean .5, std .5
    assert credits.scores == [(1.0,), (0.5,), (None,)]
    assert credits.verdicts[2][0].unscored == "truncated: not sent to the judge"
    assert not unscored_rollouts(credits, given.truncated_R).any(), "nobody asked for that score"
    assert not credits.dropped_R.any()


async def test_a_rollout_without_a_score_leaves_the_loss_and_the_groups_statistics() -> None:
    judge = FakeJudge({"r0": [0.75], "r1": [0.75], "r2": [0.75], "r3": [None]})
    given = batch("a", "b", "c", "d")
    credits = await outcome(judge, given)
    np.testing.assert_array_equal(credits.advantages_RS, [[0.0], [0.0], [0.0], [NAN]])  # as a 0 it would give .5s
    np.testing.assert_array_equal(credits.rewards_R, [0.75, 0.75, 0.75, NAN])
    assert credits.dropped_R.tolist() == [False, False, False, True]
    assert unscored_rollouts(credits, given.truncated_R).tolist() == [False, False, False, True]


async def test_a_batch_that_is_truncated_throughout_asks_nothing_and_learns_nothing() -> None:
    judge = FakeJudge({})
    for credit in (outcome, process):
        credits = await credit(judge, batch("a", "b ### c", truncated=[0, 1], group=2))
        assert not credits.advantages_RS.any()
        assert credits.rewards_R.tolist() == [0.0, 0.0]
    assert judge.asked == []


async def test_an_empty_text_is_judged_as_any_other() -> None:
    credits = await outcome(FakeJudge({"r0": [0.0], "r1": [1.0]}), batch("", "b", group=2))
    assert credits.segments[0] == (Segment(0, 0),)
    close(credits.advantages_RS, [[-0.707105], [0.707105]])
    judge = FakeJudge({"r0": [0.0], "r1": [0.5, 1.0]})
    credits = await process(judge, batch("", "a ### b", group=2))
    assert [s.cuts for s in judge.asked] == [(0,), (5, 7)]
    close(credits.advantages_RS, [[0.0, 0.0], [-0.5, 0.5]])


# -- process


async def test_process_credits_each_segment_with_the_progress_it_made() -> None:
    judge = FakeJudge({"r0": [0.25, 0.75, 0.5], "r1": [1.0]})
    credits = await process(judge, batch(THREE, "b", group=2))
    # delta_norm: A_1 = s_1 - s_3, A_2 = s_2 - s_1, A_3 = s_3 - s_2; a single segment has nothing to compare with
    close(credits.advantages_RS, [[-0.25, 0.5, -0.25], [0.0, 0.0, 0.0]])
    close(credits.rewards_R, [0.5, 1.0])
    assert credits.segments[0] == (Segment(0, 9), Segment(9, 19), Segment(19, 25))
    assert credits.scores == [(0.25, 0.75, 0.5), (1.0,)]
    assert judge.asked[0].cuts == ENDS
    assert {s.scope for s in judge.asked} == {"prefix"}


async def test_process_scores_isolated_segments_where_told_to() -> None:
    judge = FakeJudge({"r0": [0.25, 0.75, 0.5], "r1": [1.0]})
    await process(judge, batch(THREE, "b", group=2), scope="segment")
    assert {s.scope for s in judge.asked} == {"segment"}


async def test_the_other_credits_of_process() -> None:
    scores = {"r0": [0.25, 0.75, 0.5], "r1": [1.0]}
    ends = await process(FakeJudge(scores), batch(THREE, "b", group=2), credit="end_norm")
    close(ends.advantages_RS, [[-0.25, 0.25, 0.5], [1.0, 0.0, 0.0]])
    groups = await process(FakeJudge(scores), batch(THREE, "b", group=2), credit="group_norm")
    # the group's baseline is the mean of .5 and 1
    close(groups.advantages_RS, [[-0.5, 0.0, -0.25], [0.25, 0.0, 0.0]])


async def test_outcome_weight_says_which_rollout_was_better() -> None:
    scores = {"r0": [0.25, 0.75, 0.5], "r1": [1.0]}
    credits = await process(FakeJudge(scores), batch(THREE, "b", group=2), outcome_weight=2.0)
    # final scores .5 and 1: outcome credit -+ .25 / .353553 = -+ .707105, twice that is added to every segment
    close(credits.advantages_RS, [[-1.66421, -0.91421, -1.66421], [1.41421, 0.0, 0.0]])


async def test_one_missing_prefix_score_takes_the_whole_rollout_out() -> None:
    given = batch(THREE, "b", group=2)
    credits = await process(FakeJudge({"r0": [0.25, None, 0.5], "r1": [1.0]}), given, outcome_weight=1.0)
    assert np.isnan(credits.advantages_RS[0]).all()
    close(credits.advantages_RS[1], [0.0, 0.0, 0.0])  # alone in what is left of its group
    np.testing.assert_array_equal(credits.rewards_R, [NAN, 1.0])
    assert credits.dropped_R.tolist() == [True, False]
    assert unscored_rollouts(credits, given.truncated_R).tolist() == [True, False]
    assert credits.scores[0] == (0.25, None, 0.5)


async def test_a_truncated_rollout_of_process_has_no_credit_on_any_segment() -> None:
    judge = FakeJudge({"r1": [0.0, 1.0]})
    given = batch(THREE, "b ### c", truncated=[0], group=2)
    credits = await process(judge, given)
    assert [s.rollout_id for s in judge.asked] == ["r1"]
    close(credits.advantages_RS, [[0.0, 0.0, 0.0], [-1.0, 1.0, 0.0]])
    close(credits.rewards_R, [0.0, 1.0])
    assert len(credits.verdicts[0]) == 3
    assert not unscored_rollouts(credits, given.truncated_R).any()


async def test_segments_by_tokens_use_the_ends_of_the_tokens() -> None:
    judge = FakeJudge({"r0": [0.0, 0.5, 1.0], "r1": [0.0]})
    rule = SegmentConfig(rule="tokens", token_budget=2)
    credits = await build_method(ProcessConfig(), judge, rule).credit(batch("abcde", "f", group=2))
    assert credits.segments[0] == (Segment(0, 2), Segment(2, 4), Segment(4, 5))


# -- sparse


async def test_sparse_is_the_verifiers_word_and_asks_no_judge() -> None:
    given = batch("a", "b", "c", "d", verified=[1.0, 0.0, 0.0, 0.0])
    credits = await build_method(SparseConfig(), None, SegmentConfig()).credit(given)
    close(credits.advantages_RS, [[1.5], [-0.5], [-0.5], [-0.5]])  # mean .25, std .5
    close(credits.rewards_R, [1.0, 0.0, 0.0, 0.0])
    second = await build_method(Stage2Config(), None, SegmentConfig()).credit(given)
    close(second.advantages_RS, [[0.75], [-0.25], [-0.25], [-0.25]])  # Stage II: no std


async def test_a_group_that_is_all_wrong_or_all_right_has_no_signal() -> None:
    credits = await build_method(SparseConfig(), None, SegmentConfig()).credit(
        batch("a", "b", "c", "d", group=2, verified=[0.0, 0.0, 1.0, 1.0])
    )
    assert not credits.advantages_RS.any()


async def test_sparse_leaves_out_what_the_verifier_could_not_tell_and_gives_0_to_what_was_cut_off() -> None:
    given = batch("a", "b", "c", truncated=[2], group=3, verified=[1.0, None, 1.0])
    credits = await build_method(SparseConfig(), None, SegmentConfig()).credit(given)
    np.testing.assert_array_equal(credits.rewards_R, [1.0, NAN, 0.0])
    close(credits.advantages_RS[[0, 2]], [[0.707105], [-0.707105]])
    assert credits.dropped_R.tolist() == [False, True, False]


# -- which method


def test_methods_are_built_by_their_type_and_say_whether_they_need_a_judge() -> None:
    judge = FakeJudge({})
    configs = (OutcomeConfig(), ProcessConfig(), SparseConfig(), Stage2Config())
    assert [build_method(config, judge, SegmentConfig()).name for config in configs] == [
        *("outcome", "process", "sparse", "sparse")
    ]
    assert [needs_judge(config) for config in configs] == [True, True, False, False]


def test_a_method_that_needs_a_judge_is_not_built_without_one() -> None:
    for config in (OutcomeConfig(), ProcessConfig()):
        with pytest.raises(ConfigError, match=f"'{config.type}' needs a judge"):
            build_method(config, None, SegmentConfig())
