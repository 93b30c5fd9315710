"""Rates with exact intervals, which grow where cases repeat each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.judge.attacks.rates import rate


def names(count: int, prefix: str) -> list[str]:
    return [f"{prefix}{i}" for i in range(count)]


def test_intervals_of_independent_cases_are_those_of_clopper_and_pearson() -> None:
    nothing = rate([False] * 50, names(50, "v"), names(50, "p"))
    assert (nothing.n, nothing.successes, nothing.rate, nothing.low) == (50, 0, 0.0, 0.0)
    assert nothing.high == pytest.approx(1 - 0.025 ** (1 / 50), abs=1e-9)
    # Tabulated: 3 of 20 gives 0.0321 to 0.3789.
    some = rate([True] * 3 + [False] * 17, names(20, "v"), names(20, "p"))
    assert (some.low, some.high) == (pytest.approx(0.0321, abs=1e-4), pytest.approx(0.3789, abs=1e-4))
    everything = rate([True] * 10, names(10, "v"), names(10, "p"))
    assert (everything.low, everything.high) == (pytest.approx(0.6915, abs=1e-4), 1.0)


def test_thousands_of_cases_have_an_interval_whatever_came_of_them() -> None:
    for hits in (0, 1, 2500, 4999, 5000):
        found = rate([True] * hits + [False] * (5000 - hits), names(5000, "v"), names(5000, "p"))
        mirrored = rate([False] * hits + [True] * (5000 - hits), names(5000, "v"), names(5000, "p"))
        assert (found.low, found.high) == (
            pytest.approx(1 - (mirrored.high or 0)),
            pytest.approx(1 - (mirrored.low or 0)),
        )
    # Half of 5000: the normal approximation gives 0.5 -+ 1.96 * sqrt(0.25 / 5000), and exactness 1/(2n) more.
    half = rate([True] * 2500 + [False] * 2500, names(5000, "v"), names(5000, "p"))
    assert half.low == pytest.approx(0.5 - 0.01386 - 0.0001, abs=5e-5)


def test_without_a_scored_case_there_is_no_rate() -> None:
    assert rate([], [], [], unscored=4) == (0, 0, None, None, None, 4)


def test_one_idea_that_works_on_every_problem_counts_as_one_idea() -> None:
    successes = [variant == 0 for _ in range(20) for variant in range(5)]
    variants = [f"v{variant}" for _ in range(20) for variant in range(5)]
    problems = [f"p{problem}" for problem in range(20) for _ in range(5)]
    clustered = rate(successes, variants, problems)
    independent = rate(successes, names(100, "v"), names(100, "p"))
    assert clustered.rate == independent.rate == 0.2
    # d = 5/4 (16^2 + 4 * 4^2) / 100^2 / (0.16 / 99) = 24.75, so 4 trials are left of 100
    assert clustered.high == pytest.approx(rate([True, False, False, False], names(4, "v"), names(4, "p")).high)
    assert clustered.high > 0.7 > 0.3 > independent.high


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.sampled_from("pqr")), min_size=1))
def test_the_rate_lies_in_its_interval_and_the_interval_in_0_to_1(cases: list[tuple[bool, str, str]]) -> None:
    found = rate([c[0] for c in cases], [c[1] for c in cases], [c[2] for c in cases])
    assert found.rate is not None
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.rate + 1e-9
    assert found.rate <= found.high + 1e-9 <= 1 + 2e-9
