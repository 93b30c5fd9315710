"""Rates, AUROC, curve, correlations and their intervals: hand-worked numbers, and what holds for any scores."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exprl.evaluate.intervals import clopper_pearson_upper
from exprl.judge.calibrate.bootstrap import Floats, Resampling, bootstrap, mean_of
from exprl.judge.calibrate.measure import (
    curve,
    length_correlation,
    measure,
    misplacement_difference,
    repeatability,
)
from exprl.judge.calibrate.ranks import auroc, auroc_within, spearman

QUICK = Resampling(replicates=200)
LEVELS = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


def once(rows: int) -> Floats:
    return np.ones((1, rows))


# five correct answers (scores 1, .75, .75, .5, 0), four wrong ones (.75, .25, 0, 0), one unscored wrong one
SCORES = np.array([1.0, 0.75, 0.75, 0.5, 0.0, 0.75, 0.25, 0.0, 0.0, math.nan])
CORRECT = np.array([True] * 5 + [False] * 5)
APART = np.arange(10)


def test_rates_worked_by_hand() -> None:
    rates = measure(SCORES, CORRECT, APART, QUICK)
    assert (rates.rows, rates.problems, rates.correct, rates.wrong, rates.unscored) == (10, 10, 5, 5, 1)
    assert rates.fpr.value == pytest.approx(1 / 4)  # .75 of the four scored wrong ones
    assert rates.fnr.value == pytest.approx(2 / 5)  # .5 and 0
    assert rates.misplacement.value == pytest.approx((1 / 4 + 2 / 5) / 2)
    # pairs won: 1.0 beats 4; .75 beats 3 and ties 1, twice; .5 beats 3; 0 ties 2: 4 + 3.5 + 3.5 + 3 + 1 of 20
    assert rates.auroc.value == pytest.approx(15 / 20)
    assert rates.unscored_rate.value == pytest.approx(0.1)


def test_four_of_five_counts_as_predicted_correct_and_less_does_not() -> None:
    rates = measure(np.array([0.75, 0.7499]), np.array([True, True]), np.arange(2), QUICK)
    assert rates.fnr.value == 0.5


def test_a_perfect_judge_of_few_answers_is_not_certain() -> None:
    right = np.array([True] * 20 + [False] * 20)
    rates = measure(right.astype(np.float64), right, np.arange(40), QUICK)
    bound = clopper_pearson_upper(0, 20, 0.95)
    assert rates.fpr == pytest.approx((0.0, 0.0, bound))
    assert rates.fnr == pytest.approx((0.0, 0.0, bound))
    assert rates.misplacement == pytest.approx((0.0, 0.0, math.sqrt(2) * bound / 2))
    assert rates.auroc == pytest.approx((1.0, 1 - bound, 1.0))
    assert rates.unscored_rate == pytest.approx((0.0, 0.0, clopper_pearson_upper(0, 40, 0.95)))


def test_the_rows_of_one_problem_are_one_piece_of_evidence() -> None:
    generator = np.random.default_rng(0)
    hit = (generator.random(40) < 0.4).astype(np.float64)
    wrong = np.zeros(400, dtype=np.bool_)
    copies = measure(np.repeat(hit, 10), wrong, np.repeat(np.arange(40), 10), QUICK).fpr
    single = measure(hit, wrong[:40], np.arange(40), QUICK).fpr
    assert copies == pytest.approx(single)
    apart = measure(np.repeat(hit, 10), wrong, np.arange(400), QUICK).fpr
    assert apart.high - apart.low < (copies.high - copies.low) / 2


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide() -> None:
    values = np.random.default_rng(1).random(300)
    found = bootstrap({"mean": mean_of(values)}, np.arange(300), Resampling())["mean"]
    expected = 1.96 * statistics.stdev(values) / math.sqrt(300)
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.1)


def test_a_silent_judge_has_no_rates_and_is_counted() -> None:
    rates = measure(np.full(4, math.nan), np.array([True, False, True, False]), np.arange(4), QUICK)
    assert rates.unscored == 4
    assert rates.unscored_rate.value == 1.0
    assert all(math.isnan(rate.value) for rate in (rates.fpr, rates.fnr, rates.misplacement, rates.auroc))
    assert curve(np.full(4, math.nan), np.array([True] * 4), np.arange(4), QUICK) == ()


def test_answers_of_one_label_only_have_no_misplacement() -> None:
    rates = measure(np.array([1.0, 0.0]), np.array([True, True]), np.arange(2), QUICK)
    assert rates.fnr.value == 0.5
    assert math.isnan(rates.fpr.value)
    assert math.isnan(rates.misplacement.value)


def test_the_difference_of_two_conditions_is_paired() -> None:
    correct = np.array([True, False] * 20)
    base = correct.astype(np.float64)
    same = misplacement_difference(base, base, correct, np.arange(40), QUICK)
    assert same.value == 0.0
    assert same.low < 0 < same.high  # no row differs: little is known, not nothing
    flipped = misplacement_difference(1 - base, base, correct, np.arange(40), QUICK)
    assert flipped.value == 1.0
    assert 0.5 < flipped.low < 1.0


def test_the_difference_looks_only_at_rows_that_both_scored() -> None:
    correct = np.array([True, True, False, False])
    base = np.array([1.0, 0.0, 0.0, 0.0])
    other = np.array([1.0, math.nan, 1.0, 0.0])  # without the second row: FNR 0 and 0, FPR 1/2 and 0
    assert misplacement_difference(other, base, correct, np.arange(4), QUICK).value == pytest.approx(0.25)


def test_the_curve_gives_the_share_that_is_correct_at_each_score() -> None:
    points = curve(SCORES, CORRECT, APART, QUICK)
    assert [(p.score, p.rows, round(p.correct.value, 3)) for p in points] == [
        (0.0, 3, 0.333),
        (0.25, 1, 0.0),
        (0.5, 1, 1.0),
        (0.75, 3, 0.667),
        (1.0, 1, 1.0),
    ]
    assert all(0 <= p.correct.low <= p.correct.value <= p.correct.high <= 1 for p in points)


def test_many_different_scores_are_put_into_ten_bins() -> None:
    scores = np.linspace(0, 1, 101)
    points = curve(scores, scores > 0.5, np.arange(101), QUICK)
    assert [p.rows for p in points] == [10] * 9 + [11]
    assert points[0].score == pytest.approx(0.045)


def test_spearman_worked_by_hand_with_ties() -> None:
    # midranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5)
    rho = spearman(np.array([1.0, 2.0, 2.0, 9.0]), np.array([1.0, 2.0, 3.0, 4.0]))(once(4))
    assert rho == pytest.approx([4.5 / math.sqrt(22.5)])
    assert np.isnan(spearman(np.zeros(3), np.arange(3.0))(once(3))).all()


def test_length_is_looked_at_within_a_label() -> None:
    scores = np.array([0.0, 0.25, 0.5, 1.0, 0.0, math.nan])
    lengths = np.array([1, 2, 3, 4, 99, 5])
    within = np.array([True, True, True, True, False, True])
    assert length_correlation(scores, lengths, within, np.arange(6), QUICK).value == pytest.approx(1.0)
    assert math.isnan(length_correlation(scores, lengths, ~within, np.arange(6), QUICK).value)


def test_repeatability_worked_by_hand() -> None:
    found = repeatability(np.array([1, 0.5, 0, math.nan]), np.array([1, 0.75, math.nan, math.nan]), np.arange(4), QUICK)
    assert (found.pairs, found.lost) == (2, 1)
    assert found.equal.value == 0.5
    assert found.mean_difference.value == pytest.approx(0.125)


def test_within_strata_only_equals_are_compared() -> None:
    scores = np.array([0.0, 1.0, 2.0, 3.0])
    positive = np.array([False, True, True, False])
    assert auroc(scores, positive)(once(4)) == pytest.approx([0.5])
    assert auroc_within(scores, positive, np.array([0, 0, 1, 1]))(once(4)) == pytest.approx([0.5])
    assert auroc_within(scores, positive, np.array([0, 0, 1, 2]))(once(4)) == pytest.approx([1.0])


@given(st.lists(st.tuples(LEVELS, st.booleans(), st.integers(0, 3)), min_size=1, max_size=12))
def test_auroc_is_its_pairwise_definition_with_weights_as_copies(rows: list[tuple[float, bool, int]]) -> None:
    scores, labels = np.array([score for score, _, _ in rows]), np.array([label for _, label, _ in rows])
    weights = np.array([[float(weight) for _, _, weight in rows]])
    copies = [(score, label) for score, label, weight in rows for _ in range(weight)]
    won = [(a > b) + (a == b) / 2 for a, mine in copies if mine for b, other in copies if not other]
    found = auroc(scores, labels)(weights)[0]
    assert math.isnan(found) if not won else found == pytest.approx(sum(won) / len(won))


@given(st.lists(st.tuples(LEVELS, LEVELS, st.integers(0, 3)), min_size=2, max_size=10))
def test_spearman_takes_weights_as_copies(rows: list[tuple[float, float, int]]) -> None:
    left, right = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    weights = np.array([row[2] for row in rows])
    if weights.sum() < 2:
        return
    many = spearman(np.repeat(left, weights), np.repeat(right, weights))(once(int(weights.sum())))
    assert spearman(left, right)(weights[None, :].astype(np.float64)) == pytest.approx(many, nan_ok=True)


@settings(max_examples=25)
@given(st.lists(st.tuples(LEVELS | st.just(math.nan), st.booleans(), st.integers(0, 4)), min_size=1, max_size=25))
def test_every_interval_holds_its_value_and_stays_in_range(rows: list[tuple[float, bool, int]]) -> None:
    scores, correct, problems = (np.array(column) for column in zip(*rows, strict=True))
    rates = measure(scores, correct, problems, Resampling(replicates=50))
    for name in ("fpr", "fnr", "misplacement", "auroc", "unscored_rate"):
        value, low, high = getattr(rates, name)
        assert math.isnan(value) or 0 <= low <= high <= 1
    if not math.isnan(rates.misplacement.value):
        assert rates.misplacement.value == pytest.approx((rates.fpr.value + rates.fnr.value) / 2)
