"""What attempts say should be done next, and when they say nothing."""

from __future__ import annotations

import numpy as np
import pytest

from exprl.errors import CoverageError
from exprl.evaluate.advice import advise
from exprl.evaluate.coverage import Counts


def test_covered_but_rarely_right_is_for_search() -> None:
    advice = advise(Counts.of([8] * 50, [1] * 40 + [0] * 10))
    assert advice.next == "search"
    assert advice.k == 8
    assert advice.pass_1.value == pytest.approx(0.1)
    assert advice.pass_k.value == pytest.approx(0.8)
    assert advice.gain.value == pytest.approx(0.7)
    assert "search or verify will pay, up to 0.70" in advice.text


def test_what_is_not_covered_is_for_priming() -> None:
    advice = advise(Counts.of([16] * 60, [0] * 59 + [1]))
    assert advice.next == "prime"
    assert "prime first" in advice.text


def test_in_between_is_for_both_and_says_how_much_of_each() -> None:
    advice = advise(Counts.of([8] * 100, [2] * 40 + [0] * 60))
    assert advice.next == "both"
    assert "the 0.60 that is not covered" in advice.text


def test_what_is_right_already_is_for_neither() -> None:
    assert advise(Counts.of([4] * 60, [4] * 58 + [3] * 2)).next == "neither"


def test_few_problems_say_nothing() -> None:
    assert advise(Counts.of([8] * 3, [1, 0, 8])).next == "unclear"
    assert advise(Counts.of([1] * 40, [1] * 20 + [0] * 20)).next == "unclear"  # one attempt: no gain to measure


def test_attempts_without_a_verdict_are_no_attempts() -> None:
    counts = Counts.of([8] * 50, [1] * 50, [4] * 50)
    assert advise(counts).k == 4
    assert advise(counts).pass_1.value == pytest.approx(0.25)


def test_the_gain_is_never_below_zero_and_is_that_of_the_same_problems() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        advice = advise(Counts.of([6] * 12, rng.integers(0, 7, 12)), bootstrap=100)
        assert advice.gain.value == pytest.approx(advice.pass_k.value - advice.pass_1.value)
        assert advice.gain.value >= -1e-12
        assert 0.0 <= advice.gain.low <= advice.gain.high <= 1.0


def test_more_attempts_than_there_are_is_an_error() -> None:
    with pytest.raises(CoverageError):
        advise(Counts.of([4], [1]), 5)
    with pytest.raises(CoverageError, match="no problem has 2 scored attempts"):
        advise(Counts.of([4], [0], [4]), 2)


def test_it_is_plain_json_with_none_for_no_number() -> None:
    import json

    shown = advise(Counts.of([8] * 10, [1] * 10)).as_dict()
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown


def test_exprl_eval_says_it_beside_its_numbers() -> None:
    from exprl.evaluate.coverage import coverage
    from exprl.pipeline.policy import Evaluated

    counts = Counts.of([8] * 50, [1] * 40 + [0] * 10)
    summary = Evaluated(coverage(counts, [1]), advise(counts)).summary()
    assert summary["pass@1"]["value"] == pytest.approx(0.1)  # type: ignore[index]
    assert summary["advice"]["next"] == "search"  # type: ignore[index]
    assert Evaluated(coverage(counts, [1]), None).summary()["advice"] is None
