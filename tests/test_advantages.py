"""Credit follows the equations, and the cases that they leave open are closed as documented."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import ArrayLike

from exprl.advantages import outcome_advantages, process_advantages, token_advantages
from exprl.errors import ConfigError

NAN = np.nan
ROOT_HALF = 0.5**0.5
LIKERT = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


def outcome(
    rewards: ArrayLike, group: ArrayLike, truncated: ArrayLike | None = None, *, std: bool = True
) -> np.ndarray:
    cut = np.zeros(np.shape(rewards), bool) if truncated is None else truncated
    return outcome_advantages(rewards, group, truncated_R=cut, normalise_std=std)


def process(
    scores: ArrayLike,
    count: ArrayLike,
    credit: str = "delta_norm",
    *,
    group: ArrayLike | None = None,
    truncated: ArrayLike | None = None,
    weight: float = 0.0,
) -> np.ndarray:
    zeros = np.zeros(np.shape(count), int)
    return process_advantages(
        scores,
        count,
        zeros if group is None else group,
        truncated_R=zeros.astype(bool) if truncated is None else truncated,
        credit=credit,
        outcome_weight=weight,
    )


def close(actual: np.ndarray, expected: ArrayLike) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)


# --- outcome


def test_outcome_is_the_distance_from_the_groups_mean_in_unbiased_deviations():
    # mean 1/2; deviations -1/2, 0, 1/2; variance (1/4 + 0 + 1/4) / 2 = 1/4, so std = 1/2
    close(outcome([0.0, 0.5, 1.0], [7, 7, 7]), np.array([-0.5, 0.0, 0.5]) / (0.5 + 1e-6))


def test_outcome_without_std_is_the_distance_alone():
    close(outcome([0.0, 0.5, 1.0], [7, 7, 7], std=False), [-0.5, 0.0, 0.5])


def test_groups_may_come_in_any_order():
    # group 9: rewards 0 and 1, std sqrt(1/2); group -4: rewards 1/4 and 3/4, std sqrt(1/8)
    expected = [
        -0.5 / (ROOT_HALF + 1e-6),
        -0.25 / (0.125**0.5 + 1e-6),
        0.5 / (ROOT_HALF + 1e-6),
        0.25 / (0.125**0.5 + 1e-6),
    ]
    close(outcome([0.0, 0.25, 1.0, 0.75], [9, -4, 9, -4]), expected)


def test_an_unscored_rollout_leaves_the_loss_and_the_groups_statistics():
    np.testing.assert_array_equal(outcome([0.75, 0.75, 0.75, NAN], [0, 0, 0, 0]), [0.0, 0.0, 0.0, NAN])
    close(outcome([0.0, 1.0, NAN], [0, 0, 0])[:2], np.array([-0.5, 0.5]) / (ROOT_HALF + 1e-6))


def test_a_truncated_rollout_is_a_zero_inside_the_group_judged_or_not():
    expected = np.array([0.5, -0.5]) / (ROOT_HALF + 1e-6)
    close(outcome([1.0, 0.75], [0, 0], [False, True]), expected)
    close(outcome([1.0, NAN], [0, 0], [False, True]), expected)


def test_a_group_of_equals_gets_exactly_nothing():
    assert outcome([0.1] * 3 + [0.7] * 7, [0] * 3 + [1] * 7).tolist() == [0.0] * 10


def test_a_rollout_alone_gets_nothing():
    np.testing.assert_array_equal(outcome([0.25, 0.75, NAN, NAN], [0, 1, 1, 2]), [0.0, 0.0, NAN, NAN])


def test_no_rollouts_have_no_advantages():
    assert outcome([], []).shape == (0,)


@given(hnp.arrays(float, 24, elements=LIKERT | st.just(NAN)), hnp.arrays(int, 24, elements=st.integers(0, 5)))
def test_outcome_agrees_with_the_equation_group_by_group(rewards: np.ndarray, group: np.ndarray):
    actual = outcome(rewards, group)
    for g in np.unique(group):
        mine = rewards[(group == g) & ~np.isnan(rewards)]
        std = mine.std(ddof=1) if len(mine) > 1 else 0.0
        expected = (mine - mine.mean()) / (std + 1e-6) if len(mine) else mine
        np.testing.assert_allclose(actual[(group == g) & ~np.isnan(rewards)], expected, atol=1e-9)
    assert (np.isnan(actual) == np.isnan(rewards)).all()


# --- process


def test_delta_norm_credits_the_step_and_charges_the_first_with_the_end():
    close(process([[0.25, 0.75, 0.5]], [3]), [[0.25 - 0.5, 0.5, -0.25]])


def test_end_norm_compares_with_the_end_and_gives_the_end_its_score():
    close(process([[0.25, 0.75, 0.5]], [3], "end_norm"), [[-0.25, 0.25, 0.5]])


def test_group_norm_compares_with_the_mean_of_the_rollouts_means():
    # means 1/2 (of two), 1/4 (of one) -> baseline 3/8; the padding counts for nothing
    close(process([[0.25, 0.75], [0.25, NAN]], [2, 1], "group_norm"), [[-0.125, 0.375], [-0.125, 0.0]])


def test_group_norm_keeps_to_the_group():
    close(process([[0.25], [0.75], [1.0]], [1, 1, 1], "group_norm", group=[4, 4, 2]), [[-0.25], [0.25], [0.0]])


@pytest.mark.parametrize(("credit", "expected"), [("delta_norm", 0.0), ("end_norm", 0.75), ("group_norm", 0.0)])
def test_a_single_segment(credit: str, expected: float):
    close(process([[0.75, NAN, NAN]], [1], credit), [[expected, 0.0, 0.0]])


def test_padding_is_never_read_and_gets_nothing():
    close(process([[0.25, 0.5, 99.0], [0.0, 0.5, 1.0]], [2, 3]), [[-0.25, 0.25, 0.0], [-1.0, 0.5, 0.5]])


@pytest.mark.parametrize("credit", ["delta_norm", "end_norm", "group_norm"])
def test_one_missing_score_takes_the_whole_rollout_out(credit: str):
    advantages = process([[0.25, NAN, 0.5], [0.5, 0.5, 0.5]], [3, 3], credit)
    assert np.isnan(advantages[0]).all()
    assert not np.isnan(advantages[1]).any()


def test_an_unscored_rollout_leaves_group_norms_baseline():
    close(process([[0.25, 0.75], [1.0, NAN]], [2, 2], "group_norm")[0], [-0.25, 0.25])


def test_a_rollout_without_segments_is_unscored():
    assert np.isnan(process([[NAN, NAN]], [0])).all()


@pytest.mark.parametrize("credit", ["delta_norm", "end_norm", "group_norm"])
@pytest.mark.parametrize("scores", [[0.25, 1.0], [NAN, NAN]])
def test_a_truncated_rollout_gets_no_process_credit_and_stays_in_the_loss(credit: str, scores: list[float]):
    close(process([scores], [2], credit, truncated=[True]), [[0.0, 0.0]])


def test_a_truncated_rollout_is_not_in_group_norms_baseline():
    close(process([[0.25, 0.75], [1.0, 1.0]], [2, 2], "group_norm", truncated=[False, True])[0], [-0.25, 0.25])


@pytest.mark.parametrize("credit", ["delta_norm", "group_norm"])
def test_equal_scores_give_exactly_nothing(credit: str):
    assert not process(np.full((3, 7), 0.1), [7, 3, 5], credit).any()


def test_the_combination_adds_the_groups_view_of_the_final_score():
    # final scores 1/2 and 1: mean 3/4, std sqrt(1/8)
    group_credit = 2.0 * 0.25 / (0.125**0.5 + 1e-6)
    expected = [[-0.25 - group_credit, 0.25 - group_credit], [0.0 + group_credit, 0.0]]
    close(process([[0.25, 0.5], [1.0, NAN]], [2, 1], weight=2.0), expected)


def test_in_the_combination_a_truncated_rollout_ends_at_zero():
    # final scores 1 and (truncated) 0: mean 1/2, std sqrt(1/2)
    group_credit = 0.5 / (ROOT_HALF + 1e-6)
    expected = [[-0.5 + group_credit, 0.5 + group_credit], [-group_credit, -group_credit]]
    close(process([[0.5, 1.0], [NAN, NAN]], [2, 2], truncated=[False, True], weight=1.0), expected)


def test_in_the_combination_an_unscored_rollout_stays_out():
    advantages = process([[0.5, 1.0], [NAN, 1.0]], [2, 2], weight=1.0)
    close(advantages[0], [-0.5, 0.5])
    assert np.isnan(advantages[1]).all()


def test_a_credit_that_does_not_exist_names_those_that_do():
    with pytest.raises(ConfigError, match="credit = 'delta' does not exist; choose 'delta_norm'"):
        process([[0.5]], [1], "delta")


SCORES = hnp.arrays(float, (6, 5), elements=LIKERT)
COUNTS = hnp.arrays(int, 6, elements=st.integers(1, 5))


@given(SCORES, COUNTS)
def test_delta_norm_sums_to_zero_within_every_rollout(scores: np.ndarray, count: np.ndarray):
    close(process(scores, count).sum(axis=1), np.zeros(6))


@given(SCORES, COUNTS, st.sampled_from(["delta_norm", "end_norm", "group_norm"]))
def test_process_agrees_with_the_equations_rollout_by_rollout(scores: np.ndarray, count: np.ndarray, credit: str):
    group = np.array([0, 1, 0, 1, 1, 2])
    actual = process(scores, count, credit, group=group)
    for r in range(6):
        s = scores[r, : count[r]]
        mean = np.mean([scores[k, : count[k]].mean() for k in range(6) if group[k] == group[r]])
        expected = {
            "delta_norm": [s[0] - s[-1], *np.diff(s)],
            "end_norm": [*(s[:-1] - s[-1]), s[-1]],
            "group_norm": s - mean,
        }[credit]
        close(actual[r, : count[r]], expected)
        assert not actual[r, count[r] :].any()


# --- tokens


def test_every_token_gets_its_segments_credit_and_padding_gets_nothing():
    tokens = token_advantages([[0.5, -0.5], [1.0, 2.0]], [[0, 0, 1, 1], [0, 1, -1, -1]])
    assert tokens.tolist() == [[0.5, 0.5, -0.5, -0.5], [1.0, 2.0, 0.0, 0.0]]


def test_a_rollout_out_of_the_loss_stays_visible_on_its_tokens():
    np.testing.assert_array_equal(token_advantages([[NAN, NAN]], [[0, 1, -1]]), [[NAN, NAN, 0.0]])


def test_segments_may_be_without_tokens_and_rollouts_too():
    assert token_advantages([[1.0, 2.0, 3.0]], [[0, 2]]).tolist() == [[1.0, 3.0]]
    assert token_advantages(np.zeros((2, 3)), np.zeros((2, 0), int)).shape == (2, 0)
    assert token_advantages(np.zeros((0, 3)), np.zeros((0, 4), int)).shape == (0, 4)


@pytest.mark.parametrize("segment", [2, -2])
def test_a_segment_without_an_advantage_is_refused(segment: int):
    with pytest.raises(ValueError, match="segments run from"):
        token_advantages([[1.0, 2.0]], [[segment, segment]])


@given(hnp.arrays(float, (3, 4), elements=st.floats(-5, 5)), hnp.arrays(int, (3, 9), elements=st.integers(-1, 3)))
def test_tokens_are_spread_one_by_one(advantages: np.ndarray, segment: np.ndarray):
    expected = [[advantages[r, s] if s >= 0 else 0.0 for s in row] for r, row in enumerate(segment)]
    assert token_advantages(advantages, segment).tolist() == expected


@pytest.mark.parametrize("name", ["count_R", "group_R", "truncated_R"])
def test_arrays_of_other_lengths_are_refused(name: str):
    arrays = {"count_R": [1, 1], "group_R": [0, 0], "truncated_R": [False, False]} | {name: [0]}
    with pytest.raises(ValueError, match=rf"{name} has shape \(1,\)"):
        process_advantages([[0.5], [0.5]], **arrays)
