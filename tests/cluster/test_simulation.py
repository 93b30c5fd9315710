"""The simulated step: small ones by hand, and what must hold of all; its benchmark on real processes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exprl.cluster.simulate import Copies, JudgeSpeed, Sampled, Step, simulate
from loading import loaded_benchmark

ONE = Step(
    policy=Copies(1, 1),
    token=0.1,
    judge=Copies(1, 1),
    speed=JudgeSpeed(prefill=100, decode=1, reply=1),
    rubric=20,
    head=100,
    closing=0,
)


def test_one_rollout_by_hand() -> None:
    found = simulate(ONE, [Sampled("p", 10, (100,))])
    assert found.sampled == pytest.approx(1.0)
    assert found.collected == pytest.approx(1.0 + 200 / 100 + 1)
    assert (found.calls, found.sent, found.cached) == (1, 200, 0)


def test_a_second_rollout_is_sampled_meanwhile_and_finds_the_head_in_whole_blocks() -> None:
    found = simulate(ONE, [Sampled("p", 10, (100,)), Sampled("p", 10, (100,))])
    assert found.sampled == pytest.approx(2.0)
    assert found.cached == 96
    assert found.collected == pytest.approx(4.0 + (200 - 96) / 100 + 1)


def test_another_problem_finds_the_rubric() -> None:
    assert simulate(ONE, [Sampled("p", 10, (100,)), Sampled("q", 10, (100,))]).cached == 16


def test_prefixes_find_the_trace_that_the_longest_one_left() -> None:
    found = simulate(ONE, [Sampled("p", 10, (50, 100))])
    assert found.cached == (100 + 50) // 16 * 16
    assert found.collected == pytest.approx(1 + 3 + (150 - 144) / 100 + 1)


def test_slots_and_copies_work_side_by_side() -> None:
    rollouts = [Sampled(f"p{n}", 10, ()) for n in range(8)]
    assert simulate(ONE, rollouts).sampled == pytest.approx(8.0)
    assert simulate(ONE._replace(policy=Copies(2, 2)), rollouts).sampled == pytest.approx(2.0)
    assert simulate(ONE._replace(policy=Copies(2, 2)), rollouts).calls == 0


def test_the_client_lets_no_more_calls_out_than_it_may() -> None:
    step = ONE._replace(policy=Copies(8, 1), judge=Copies(4, 4), concurrency=2)
    rollouts = [Sampled(f"p{n}", 10, (100,)) for n in range(8)]
    quick = simulate(step._replace(concurrency=64), rollouts)
    assert quick.collected == pytest.approx(1 + 3)
    assert simulate(step, rollouts).collected >= 1 + 4 * 2.8


def test_sticky_calls_find_more_than_calls_in_turn() -> None:
    step = ONE._replace(policy=Copies(4, 8), judge=Copies(4, 8))
    rollouts = [Sampled(f"p{n % 8}", 10 + n, (40, 80, 120)) for n in range(64)]
    sticky, turns = simulate(step, rollouts), simulate(step._replace(sticky=False), rollouts)
    assert sticky.sent == turns.sent
    assert sticky.cached > turns.cached
    assert sticky.collected < turns.collected


@given(
    st.lists(
        st.builds(
            lambda problem, tokens, cuts: Sampled(problem, tokens, tuple(sorted(cuts))),
            st.sampled_from("abc"),
            st.integers(1, 50),
            st.lists(st.integers(1, 200), max_size=4),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 8),
    st.booleans(),
)
@settings(max_examples=50)
def test_nothing_is_lost_and_nothing_is_done_faster_than_it_can_be(
    rollouts: list[Sampled], policies: int, judges: int, concurrency: int, sticky: bool
) -> None:
    step = ONE._replace(policy=Copies(policies, 2), judge=Copies(judges, 2), concurrency=concurrency, sticky=sticky)
    found = simulate(step, rollouts)
    assert found.calls == sum(len(rollout.cuts) for rollout in rollouts)
    assert 0 <= found.cached <= found.sent
    assert found.collected >= found.sampled >= max(rollout.tokens for rollout in rollouts) * 0.1 - 1e-9
    assert found.sampled >= sum(rollout.tokens for rollout in rollouts) * 0.1 / (policies * 2) - 1e-9
    work = (found.sent - found.cached) / 100 + found.calls
    assert found.collected >= work / min(judges * 2, concurrency) - 1e-9


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModuleType]:
    with loaded_benchmark("cluster_model") as module:
        yield module


@pytest.mark.slow
def test_real_processes_take_no_less_and_find_as_much_in_their_caches(benchmark: ModuleType) -> None:
    setting = benchmark.BASE._replace(problems=3, group=2, prefixes=3)
    with benchmark.replicas(2, benchmark.POLICY) as policies, benchmark.replicas(2, benchmark.JUDGE) as judges:
        row = benchmark.compare(setting, 0, policies, judges)
        assert sum(server.seen().calls for server in judges) == row.simulated.calls == 18
    assert row.measured.lost == 0
    assert row.measured.collected > 0.9 * row.simulated.collected
    assert row.measured.usage.prompt_tokens == pytest.approx(row.simulated.sent, rel=0.02)
    assert math.isclose(row.measured.usage.cached_tokens, row.simulated.cached, rel_tol=0.1)
