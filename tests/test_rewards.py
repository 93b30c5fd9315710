"""Verdicts become padded arrays; unscored is NaN and never 0."""

from __future__ import annotations

import numpy as np
import pytest

from exprl.rewards import final_scores, outcome_rewards, segment_scores, sparse_rewards
from exprl.types import Verdict

NAN = np.nan
TIMEOUT = Verdict(None, unscored="timeout")


def verdicts(*scores: float) -> list[Verdict]:
    return [TIMEOUT if np.isnan(score) else Verdict(score) for score in scores]


def test_segment_scores_are_padded_with_nan():
    scored = segment_scores([verdicts(0.25, 0.5, 1.0), verdicts(0.75), []])
    np.testing.assert_array_equal(scored.scores_RS, [[0.25, 0.5, 1.0], [0.75, NAN, NAN], [NAN, NAN, NAN]])
    assert scored.count_R.tolist() == [3, 1, 0]


def test_a_rollout_lacks_a_score_if_one_segment_does_or_there_are_none():
    scored = segment_scores([verdicts(0.25, 0.5), verdicts(0.25, NAN), verdicts(1.0), []])
    assert scored.unscored_R.tolist() == [False, True, False, True]


def test_no_rollouts_at_all_are_an_empty_array():
    scored = segment_scores([])
    assert scored.scores_RS.shape == (0, 1)
    assert outcome_rewards([], []).shape == (0,)


def test_final_scores_are_the_last_segments():
    scored = segment_scores([verdicts(0.25, 0.5), verdicts(1.0), verdicts(NAN, 0.5), verdicts(0.5, 0.75), []])
    final_R = final_scores(scored, [False, False, False, True, False])
    np.testing.assert_array_equal(final_R, [0.5, 1.0, NAN, 0.0, NAN])


def test_an_outcome_reward_is_zero_where_truncated_scored_or_not():
    rewards_R = outcome_rewards(verdicts(0.75, NAN, 1.0, NAN), [False, False, True, True])
    np.testing.assert_array_equal(rewards_R, [0.75, NAN, 0.0, 0.0])


def test_a_sparse_reward_is_the_verifiers_word():
    np.testing.assert_array_equal(sparse_rewards(verdicts(1.0, 0.0, NAN)), [1.0, 0.0, NAN])
    np.testing.assert_array_equal(sparse_rewards(verdicts(1.0, 0.0, NAN), [True, False, False]), [0.0, 0.0, NAN])


def test_a_sparse_reward_is_never_partial():
    with pytest.raises(ValueError, match=r"verdict 1 has score 0\.75"):
        sparse_rewards(verdicts(1.0, 0.75))


def test_truncation_of_another_number_of_rollouts_is_refused():
    with pytest.raises(ValueError, match="2 rollouts, but truncated_R has shape"):
        outcome_rewards(verdicts(1.0, 0.0), [True])
