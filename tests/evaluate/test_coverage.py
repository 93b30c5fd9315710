"""pass@k is the unbiased estimator, exactly; intervals cover what they say and never claim certainty from nothing."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.errors import CoverageError
from exprl.evaluate import Counts, coverage, default_ks, paired_difference, pass_at_k
from exprl.evaluate.intervals import clopper_pearson_upper, draw_weights


def exact(n: int, c: int, k: int) -> Fraction:
    return 1 - Fraction(math.comb(n - c, k), math.comb(n, k))


# -- the estimator


def test_hand_worked_values() -> None:
    assert pass_at_k(4, 1, 1) == 0.25
    assert pass_at_k(4, 1, 2) == 0.5  # 3 of the 6 pairs hold the right one
    assert pass_at_k(4, 2, 2) == pytest.approx(5 / 6)
    assert pass_at_k(4, 2, 3) == 1.0  # only two are wrong
    assert pass_at_k(4, 0, 4) == 0.0


def test_every_problem_meets_every_k() -> None:
    values = pass_at_k([4, 8], [1, 8], [1, 2, 4])
    assert values.shape == (2, 3)
    np.testing.assert_allclose(values, [[0.25, 0.5, 1.0], [1.0, 1.0, 1.0]])


@given(st.data())
def test_it_equals_exact_arithmetic(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 2000))
    c = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, n))
    assert float(pass_at_k(n, c, k)) == pytest.approx(float(exact(n, c, k)), abs=1e-12, rel=0)


def test_it_is_exact_for_many_samples() -> None:
    for n, c, k in [(100_000, 3, 50_000), (100_000, 300, 1), (4096, 2048, 2048), (10_000, 1, 9_999)]:
        assert float(pass_at_k(n, c, k)) == pytest.approx(float(exact(n, c, k)), abs=1e-12, rel=0)


def test_it_is_the_mean_over_all_subsets() -> None:
    right = [True, False, True, False, False, False]
    hits = [any(chosen) for chosen in itertools.combinations(right, 3)]
    assert pass_at_k(6, 2, 3) == pytest.approx(sum(hits) / len(hits))


@given(st.integers(1, 300), st.data())
def test_it_rises_with_k_and_with_c(n: int, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, n - 1)) if n > 1 else 0
    ks = np.arange(1, n + 1)
    values = pass_at_k(n, c, ks)
    assert np.all(np.diff(values) >= -1e-12)
    assert np.all(pass_at_k(n, c + 1, ks) >= values - 1e-12)


@pytest.mark.parametrize(
    ("n", "c", "k", "message"),
    [
        (8, 0, 16, "got k=16 with n=8; draw more samples"),
        ([8, 4], [0, 0], 8, "got k=8 with n=4"),
        (8, 0, 0, "got k=0"),
        (0, 0, 1, "1 of 1 problems have no samples"),
        (4, 5, 1, "5 of 4 samples cannot be"),
        ([4, 4], [0, -1], 1, r"-1 of 4 samples cannot be \(problem 1\)"),
        ([4, 4], [0], 1, "shapes"),
        (4.0, 1, 1, "n is a count, got float64"),
        (4, float("nan"), 1, "c is a count"),
    ],
)
def test_what_cannot_be_is_refused(n: object, c: object, k: object, message: str) -> None:
    with pytest.raises(CoverageError, match=message):
        pass_at_k(n, c, k)  # type: ignore[arg-type]


def test_default_ks_are_powers_of_two_and_n() -> None:
    assert [default_ks(n) for n in (1, 2, 3, 64)] == [[1], [1, 2], [1, 2, 3], [1, 2, 4, 8, 16, 32, 64]]
    with pytest.raises(CoverageError, match="at least one sample"):
        default_ks(0)


# -- counting


def test_a_sample_without_a_verdict_is_no_sample() -> None:
    counts = Counts.of_verdicts([[1.0, 0.0, np.nan, np.nan], [0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(counts.pass_at(1), [[0.5, 0.0]])
    np.testing.assert_array_equal(counts.pass_at(4), [[np.nan, 0.0]])
    result = coverage(counts, [1, 2, 4])
    assert (result.problems, result.excluded) == ((2, 2, 1), (0, 0, 1))
    assert result.at(1).value == 0.25
    assert result.at(4).value == 0.0


def test_rows_are_counted_per_problem() -> None:
    rows = [{"question_id": q, "correct": c} for q, c in [("b", 1.0), ("a", 0.0), ("b", None), ("x", 1.0), ("b", 0.0)]]
    counts = Counts.of_rows(rows, ["a", "b"])
    assert [column.tolist() for column in (counts.n_SP, counts.correct_SP, counts.unscored_SP)] == [
        [[1, 3]],
        [[0, 1]],
        [[0, 1]],
    ]
    with pytest.raises(CoverageError, match="1 problems have no samples: c; finish sampling first"):
        Counts.of_rows(rows, ["a", "c"])


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(CoverageError, match="cannot be"):
        Counts.of([4], [3], [2])
    with pytest.raises(CoverageError, match="different numbers of problems"):
        Counts.of_seeds([Counts.of([4], [1]), Counts.of([4, 4], [1, 1])])


def test_more_than_was_drawn_is_an_error_and_more_than_was_scored_is_not_counted() -> None:
    counts = Counts.of([4, 4], [1, 0], [1, 2])
    with pytest.raises(CoverageError, match="pass@8 of 4 samples a problem does not exist; draw at least 8"):
        coverage(counts, [8])
    result = coverage(counts)
    assert result.ks == (1, 2, 4)
    assert result.problems == (2, 2, 0)
    assert math.isnan(result.at(4).value)
    assert result.summary()["pass@4"] == {"value": None, "low": None, "high": None}


# -- intervals


def test_the_interval_is_the_bootstraps_over_problems() -> None:
    generator = np.random.default_rng(1)
    correct = generator.integers(0, 17, size=200)
    interval = coverage(Counts.of(16, correct), [1], bootstrap=4000).at(1)
    assert interval.value == pytest.approx(correct.mean() / 16)
    error = (correct / 16).std() / math.sqrt(200)
    assert interval.low == pytest.approx(interval.value - 1.96 * error, abs=0.15 * error)
    assert interval.high == pytest.approx(interval.value + 1.96 * error, abs=0.15 * error)


def test_the_same_seed_gives_the_same_interval_and_a_lower_level_a_narrower_one() -> None:
    counts = Counts.of(8, [0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 0, 4])
    one, again, narrow = coverage(counts), coverage(counts), coverage(counts, level=0.5)
    assert one == again
    assert narrow.at(1).high - narrow.at(1).low < one.at(1).high - one.at(1).low


def test_nothing_solved_is_not_certainty() -> None:
    interval = coverage(Counts.of(64, [0] * 50), [1, 64]).at(64)
    assert interval.value == interval.low == 0.0
    assert interval.high == pytest.approx(1 - 0.025 ** (1 / 50))  # 7 %: two-sided rule of three
    everything = coverage(Counts.of(64, [64] * 50), [1]).at(1)
    assert (everything.value, everything.high) == (1.0, 1.0)
    assert everything.low == pytest.approx(0.025 ** (1 / 50))


def test_seeing_a_first_success_does_not_narrow_the_interval() -> None:
    highs = [coverage(Counts.of(64, [1] * hits + [0] * (50 - hits)), [1]).at(1).high for hits in range(4)]
    assert highs == sorted(highs)


def test_one_problem_says_nothing_about_others() -> None:
    interval = coverage(Counts.of(4, [2]), [1]).at(1)
    assert (interval.value, interval.low, interval.high) == (0.5, 0.0, 1.0)


@pytest.mark.parametrize(("hits", "trials", "upper"), [(0, 10, 0.3085), (1, 10, 0.4450), (3, 20, 0.3789), (2, 2, 1.0)])
def test_clopper_pearson_against_tables(hits: int, trials: int, upper: float) -> None:
    assert clopper_pearson_upper(hits, trials, 0.95) == pytest.approx(upper, abs=1e-4)


@given(st.data())
def test_an_interval_holds_its_value(data: st.DataObject) -> None:
    problems = data.draw(st.integers(1, 12))
    correct = data.draw(st.lists(st.integers(0, 4), min_size=problems, max_size=problems))
    interval = coverage(Counts.of(4, correct), [2], bootstrap=200).at(2)
    assert 0 <= interval.low <= interval.value + 1e-12
    assert interval.value - 1e-12 <= interval.high <= 1


def test_seeds_are_averaged_and_widen_the_interval_when_they_differ() -> None:
    generator = np.random.default_rng(2)
    agreeing = np.tile(generator.integers(4, 13, size=100), (3, 1))
    differing = agreeing + np.array([[-4], [0], [4]])
    same = coverage(Counts.of(np.full((3, 100), 16), agreeing), [1]).at(1)
    apart = coverage(Counts.of_seeds([Counts.of(16, row) for row in differing]), [1]).at(1)
    alone = coverage(Counts.of(16, agreeing[0]), [1]).at(1)
    assert same.value == pytest.approx(apart.value)
    assert same.high - same.low == pytest.approx(alone.high - alone.low, rel=0.1)
    assert apart.high - apart.low > 2 * (same.high - same.low)


def test_a_pair_is_compared_problem_by_problem() -> None:
    generator = np.random.default_rng(3)
    before = generator.integers(0, 13, size=60)
    gain = generator.integers(1, 4, size=60)
    interval = paired_difference(Counts.of(16, before + gain), Counts.of(16, before), 1)
    assert interval.value == pytest.approx(gain.mean() / 16)
    assert 0 < interval.low < interval.value < interval.high < interval.value + 0.03


def test_a_pair_that_never_differs_is_not_certain_and_seeds_are_averaged() -> None:
    counts = Counts.of(16, [4] * 20)
    interval = paired_difference(counts, Counts.of_seeds([counts, counts]), 1)
    assert interval.value == 0.0
    assert interval.high == pytest.approx(1 - 0.025 ** (1 / 20))
    assert interval.low == -interval.high


def test_a_pair_needs_the_same_problems_and_something_to_compare() -> None:
    with pytest.raises(CoverageError, match="the same problems, got 2 and 1"):
        paired_difference(Counts.of([4, 4], [1, 1]), Counts.of([4], [1]), 1)
    with pytest.raises(CoverageError, match="no problem has 4 scored samples on both sides"):
        paired_difference(Counts.of([4], [1], [1]), Counts.of([4], [1]), 4)
    interval = paired_difference(Counts.of([4, 4], [2, 1], [0, 3]), Counts.of([4, 4], [1, 1]), 2)
    assert interval.value == pytest.approx(5 / 6 - 1 / 2)


def test_intervals_of_a_thousand_problems_take_about_a_second() -> None:
    import time

    counts = Counts.of(np.full((3, 1000), 128), np.random.default_rng(0).integers(0, 129, size=(3, 1000)))
    start = time.perf_counter()
    coverage(counts)
    assert time.perf_counter() - start < 8


# -- as quick as it is: problems alike are reckoned once


@given(st.data())
def test_problems_that_are_alike_get_what_each_would_get_alone(data: st.DataObject) -> None:
    n = np.array(data.draw(st.lists(st.integers(4, 9), min_size=1, max_size=30)))
    c = np.array([data.draw(st.integers(0, total)) for total in n.tolist()])
    alone = [[1 - math.comb(a - b, k) / math.comb(a, k) for k in (1, 2, 4)] for a, b in zip(n, c, strict=True)]
    np.testing.assert_allclose(pass_at_k(n, c, [1, 2, 4]), alone, rtol=0, atol=1e-12)


def test_the_bootstrap_over_kinds_is_the_bootstrap_over_problems() -> None:
    """The loop over problems, given what was drawn, has the same intervals to 1e-12."""
    c = np.random.default_rng(4).integers(0, 17, size=200)
    result = coverage(Counts.of(16, c), [1, 4], bootstrap=100)
    _, first_U, sizes_U = np.unique(c, return_index=True, return_counts=True)
    drawn_BU = draw_weights(1, sizes_U, 100, 0).problems_BU.astype(int)
    for k in (1, 4):
        each = [1 - math.comb(16 - right, k) / math.comb(16, k) for right in c.tolist()]
        means = [np.mean([each[i] for i in np.repeat(first_U, row_U)]) for row_U in drawn_BU]
        ends = (result.at(k).low, result.at(k).high)
        assert ends == pytest.approx((np.percentile(means, 2.5), np.percentile(means, 97.5)), abs=1e-12)
        assert {len(np.repeat(first_U, row_U)) for row_U in drawn_BU} == {200}


def test_seeds_of_two_arms_are_resampled_apart_and_those_of_one_arm_together() -> None:
    generator = np.random.default_rng(5)
    before = generator.integers(2, 8, size=(3, 80)) + np.array([[-2], [0], [2]])
    after = before + 3  # each seed gains as much: linked, seeds add nothing
    counts = [Counts.of(np.full((3, 80), 16), correct) for correct in (after, before)]
    linked = paired_difference(*counts, 1, linked=True)
    apart = paired_difference(*counts, 1)
    assert linked.value == apart.value == pytest.approx(3 / 16)
    assert linked.high - linked.low == pytest.approx(0, abs=1e-9)
    assert apart.high - apart.low > 0.1
    with pytest.raises(CoverageError, match="linked seeds come in pairs, got 3 and 1"):
        paired_difference(counts[0], Counts.of(16, before[0]), 1, linked=True)
