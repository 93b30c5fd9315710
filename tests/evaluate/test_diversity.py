"""Diversity is counted as defined, compares arms with different numbers of right answers fairly, and never invents a 0."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.evaluate.diversity import MEASURES, approach, diversity, mean_over_problems


def rows(*samples: tuple[str, float | None], name: str = "p") -> list[dict[str, object]]:
    return [{"question_id": name, "text": text, "correct": correct} for text, correct in samples]


def measures(*samples: tuple[str, float | None]) -> dict[str, float]:
    return {key: float(values[0]) for key, values in diversity(rows(*samples), ["p"]).items()}


def test_the_same_calculation_in_other_words_is_the_same_approach() -> None:
    assert approach("First, 2 + 3 = 5.\nDoubled: 5*2 = 10") == approach("1) 2+3=5 ### 2) 5 * 2 = 10")
    assert approach("2+3=5\n5*2=10") != approach("5*2=10\n2+3=5")
    assert approach("it is clear") == ()


def test_answers_are_counted_by_hand() -> None:
    found = measures((r"\boxed{7}", 1.0), (r"\boxed{7}", 1.0), (r"\boxed{8}", 0.0), (r"\boxed{9}", 0.0), ("none", 0.0))
    assert found["distinct_answers"] == 3
    assert found["distinct_wrong"] == 2
    assert found["answer_entropy"] == pytest.approx(1.5)  # 1/2, 1/4, 1/4


def test_samples_without_a_verdict_are_passed_over() -> None:
    assert measures((r"\boxed{7}", 1.0), (r"\boxed{8}", None))["distinct_answers"] == 1


def test_ways_of_right_answers_are_compared_two_at_a_time() -> None:
    one, other = "1+1=2 so \\boxed{2}", "4/2=2 so \\boxed{2}"
    found = measures((one, 1.0), (one, 1.0), (other, 1.0), ("9-9=0 \\boxed{0}", 0.0))
    assert found["approaches"] == pytest.approx(2 / 3)  # two of the three pairs
    assert measures((one, 1.0), (one, 1.0))["wording"] == 0
    assert measures((one, 1.0), ("altogether something else entirely written", 1.0))["wording"] == 1


def test_where_there_is_nothing_to_measure_there_is_no_number() -> None:
    found = measures(("no answer at all", 0.0))
    assert all(math.isnan(found[key]) for key in MEASURES)
    assert math.isnan(measures((r"1+1=2 \boxed{2}", 1.0))["approaches"])
    assert all(math.isnan(end) for end in mean_over_problems(np.full((1, 3), np.nan)))


def test_more_right_answers_do_not_make_an_arm_more_diverse() -> None:
    """Two ways at even odds differ in half of the pairs, whether 4 or 16 answers are right."""
    generator = np.random.default_rng(0)
    few, many = (
        np.mean(
            [
                measures(*((f"{way}+1={way + 1} \\boxed{{3}}", 1.0) for way in generator.integers(0, 2, count)))[
                    "approaches"
                ]
                for _ in range(400)
            ]
        )
        for count in (4, 16)
    )
    assert few == pytest.approx(0.5, abs=0.04)
    assert many == pytest.approx(0.5, abs=0.04)


@given(st.lists(st.tuples(st.text(max_size=40), st.sampled_from([0.0, 1.0, None])), max_size=12))
def test_any_text_is_measured_within_bounds(samples: list[tuple[str, float | None]]) -> None:
    found = measures(*samples)
    scored = sum(correct is not None for _, correct in samples)
    for key in ("approaches", "wording"):
        assert math.isnan(found[key]) or 0 <= found[key] <= 1
    assert math.isnan(found["answer_entropy"]) or 0 <= found["answer_entropy"] <= math.log2(max(1, scored)) + 1e-9


def test_the_mean_has_an_interval_over_problems_and_seeds() -> None:
    values_SP = np.array([[1.0, 2.0, np.nan], [1.0, 4.0, 3.0]])
    interval = mean_over_problems(values_SP)
    assert interval.value == pytest.approx(11 / 5)
    assert interval.low < interval.value < interval.high
