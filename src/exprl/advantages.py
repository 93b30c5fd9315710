"""Rewards to credit: how much each segment of each rollout is praised or blamed (ExpRL, arXiv 2606.17024).

Outcome (and sparse), over the group g of rollouts of one prompt:

    A = (R - mean_g) / (std_g + 1e-6)                unbiased std; R = 0 where truncated

Process, over the scores s_1..s_T of one rollout's segments:

    delta_norm   A_1 = s_1 - s_T,  A_t = s_t - s_{t-1}                           (the paper's default; sums to 0)
    end_norm     A_t = s_t - s_T for t < T,  A_T = s_T
    group_norm   A_t = s_t - (1/K) sum_k (1/T_k) sum_t s_t^k                     over the K rollouts of the prompt

Beyond the paper: DeltaNorm sums to zero within every rollout, so it never says that one rollout beat another. With
`outcome_weight` w > 0 every segment gets A_t + w * (s_T - mean_g) / (std_g + 1e-6) instead; w = 0 is the paper.

The cases that the equations leave open:

    unscored      a rollout with one missing score is NaN throughout: out of the group's statistics and out of the loss
    truncated     outcome: R = 0, inside the group, whether it was judged or not. Process: A = 0 on all its segments and
                  not in group_norm's baseline, so it need not be judged; it stays in the loss, where KL acts on it. In
                  the combination its final score counts as 0, as in outcome.
    one segment   delta_norm gives 0: it has nothing to compare with. end_norm gives s_1.
    all equal     outcome gives exactly 0, not rounding noise divided by 1e-6
    one rollout   (in the group, or left of it) outcome gives 0; its std is undefined and its deviation is 0

    >>> outcome_advantages([0.75, 0.75, 0.75, np.nan], [5, 5, 5, 5], truncated_R=[False] * 4)
    array([ 0.,  0.,  0., nan])
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exprl.config import Credit
from exprl.errors import ConfigError

__all__ = ["EPSILON", "outcome_advantages", "process_advantages", "token_advantages"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

EPSILON = 1e-6


def outcome_advantages(
    rewards_R: ArrayLike, group_R: ArrayLike, *, truncated_R: ArrayLike, normalise_std: bool = True
) -> Floats:
    """Credit each rollout by how far it lies above its group.

    Args:
        rewards_R: (R,) rewards; NaN where unscored.
        group_R: (R,) whole number that names the prompt of each rollout, in any order.
        truncated_R: (R,) whether a rollout ran into the token budget: its reward counts as 0.
        normalise_std: divide by the group's unbiased standard deviation + 1e-6.
    Returns:
        (R,) advantages; NaN = out of the loss. They sum to 0 over every group.
    Raises:
        ValueError: arrays whose lengths differ.
    """
    truncated = _of_length(truncated_R, np.shape(rewards_R), "truncated_R").astype(bool)
    group = _of_length(group_R, np.shape(rewards_R), "group_R")
    rewards = np.where(truncated, 0.0, np.asarray(rewards_R, dtype=np.float64))
    scored = ~np.isnan(rewards)
    advantages = np.full(rewards.shape, np.nan)
    advantages[scored] = _group_relative(rewards[scored], group[scored], normalise_std)
    return advantages


def process_advantages(
    scores_RS: ArrayLike,
    count_R: ArrayLike,
    group_R: ArrayLike,
    *,
    truncated_R: ArrayLike,
    credit: Credit = "delta_norm",
    outcome_weight: float = 0.0,
) -> Floats:
    """Credit each segment by the progress that it made.

    Args:
        scores_RS: (R, S) score in [0, 1] of each segment (or of the prefix that it ends); NaN where unscored. What lies
            beyond a rollout's count is padding and never read.
        count_R: (R,) number of segments of each rollout. None at all = unscored.
        group_R: (R,) whole number that names the prompt of each rollout, in any order.
        truncated_R: (R,) whether a rollout ran into the token budget.
        credit: which equation.
        outcome_weight: weight of the group-relative outcome credit of the final score; 0 = the paper.
    Returns:
        (R, S) advantages, 0 on padding. A row of NaN is out of the loss.
    Raises:
        ValueError: arrays whose lengths differ.
        ConfigError: a credit that does not exist.
    """
    scores = np.asarray(scores_RS, dtype=np.float64)
    rollouts = scores.shape[:1]
    count = _of_length(count_R, rollouts, "count_R").astype(np.int64)
    truncated = _of_length(truncated_R, rollouts, "truncated_R").astype(bool)
    group = _of_length(group_R, rollouts, "group_R")
    real = np.arange(scores.shape[1]) < count[:, None]
    unscored = (count == 0) | (np.isnan(scores) & real).any(axis=1)
    known = np.where(real & ~unscored[:, None], scores, 0.0)
    advantages = _process_credit(known, count, group, unscored | truncated, credit)
    advantages[truncated] = 0.0
    if outcome_weight:
        final = np.where(unscored, np.nan, _final(known, count))
        advantages += outcome_weight * outcome_advantages(final, group, truncated_R=truncated)[:, None]
    advantages[~real] = 0.0
    advantages[unscored & ~truncated] = np.nan
    return advantages


def token_advantages(advantages_RS: ArrayLike, segment_RT: ArrayLike) -> Floats:
    """Spread the credit of each segment over its tokens.

    Args:
        advantages_RS: (R, S) advantage of each segment.
        segment_RT: (R, T) segment index of each token, -1 on padding.
    Returns:
        (R, T) advantage of each token, 0 on padding. A rollout that is out of the loss keeps its NaN on its tokens:
        mask it out and set it to 0 before it meets a tensor, since NaN times a mask of 0 is NaN.
    Raises:
        ValueError: numbers of rollouts that differ, or a segment index for which there is no advantage.
    """
    advantages = np.asarray(advantages_RS, dtype=np.float64)
    segment = _of_length(segment_RT, advantages.shape[:1], "segment_RT")
    # A segment's tokens lie side by side: one look-up a run of equal indices, not one a token.
    is_first = np.ones(segment.shape, dtype=bool)
    np.not_equal(segment[:, 1:], segment[:, :-1], out=is_first[:, 1:])
    row, column = np.nonzero(is_first)
    index = segment[row, column]
    if index.size and not -1 <= index.min() <= index.max() < advantages.shape[1]:
        raise ValueError(f"segments run from {index.min()} to {index.max()}, advantages have shape {advantages.shape}")
    padded = np.pad(advantages, ((0, 0), (0, 1)))  # index -1 finds the 0 at the end
    length = np.diff(row * segment.shape[1] + column, append=segment.size)
    return np.repeat(padded[row, index], length).reshape(segment.shape)


def _process_credit(scores_RS: Floats, count_R: Ints, group_R: Ints, out_R: Bools, credit: Credit) -> Floats:
    """(R, S) credit by one of the paper's three equations; padding and rollouts in `out_R` hold no meaning."""
    if credit == "delta_norm":
        return np.diff(scores_RS, axis=1, prepend=_final(scores_RS, count_R)[:, None])
    if credit == "end_norm":
        is_last = np.arange(scores_RS.shape[1]) == count_R[:, None] - 1
        return scores_RS - np.where(is_last, 0.0, _final(scores_RS, count_R)[:, None])
    if credit == "group_norm":
        return scores_RS - _group_baseline(scores_RS, count_R, group_R, ~out_R)[:, None]
    raise ConfigError(f"credit = {credit!r} does not exist; choose 'delta_norm', 'end_norm' or 'group_norm'")


def _final(scores_RS: Floats, count_R: Ints) -> Floats:
    """(R,) score of each rollout's last segment; 0 where it has none."""
    if scores_RS.shape[1] == 0:
        return np.zeros(len(count_R))
    return np.where(count_R > 0, scores_RS[np.arange(len(count_R)), np.maximum(count_R - 1, 0)], 0.0)


def _group_baseline(scores_RS: Floats, count_R: Ints, group_R: Ints, kept_R: Bools) -> Floats:
    """(R,) mean over a group's kept rollouts of their mean score; 0 for the rollouts that are not kept."""
    baseline = np.zeros(len(count_R))
    kept, count = scores_RS[kept_R], count_R[kept_R]
    real = np.arange(scores_RS.shape[1]) < count[:, None]
    shift = kept[:, :1]  # measured from the first score, the mean of equal scores is that score exactly
    mean = shift[:, 0] + np.where(real, kept - shift, 0.0).sum(axis=1) / count
    baseline[kept_R] = mean - _deviation(mean, group_R[kept_R])
    return baseline


def _deviation(values_N: Floats, group_N: Ints) -> Floats:
    """(N,) deviation from the group's mean; measured from its first member, so that equal values give exactly 0."""
    _, first, member, size = np.unique(group_N, return_index=True, return_inverse=True, return_counts=True)
    shifted = values_N - values_N[first][member]
    return shifted - (np.bincount(member, shifted) / size)[member]


def _group_relative(values_N: Floats, group_N: Ints, normalise_std: bool) -> Floats:
    deviation = _deviation(values_N, group_N)
    if not normalise_std:
        return deviation
    _, member, size = np.unique(group_N, return_inverse=True, return_counts=True)
    variance = np.bincount(member, deviation**2) / np.maximum(size - 1, 1)
    return deviation / (np.sqrt(variance) + EPSILON)[member]


def _of_length(array: ArrayLike, rollouts: tuple[int, ...], name: str) -> Ints:
    values = np.asarray(array)
    if values.shape[:1] != rollouts:
        raise ValueError(f"{name} has shape {values.shape}, but there are {rollouts} rollouts; give one row a rollout")
    return values
