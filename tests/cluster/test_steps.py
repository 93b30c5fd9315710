"""A step on paper: every formula by hand with a tiny model on a tiny GPU, and what must hold whatever the numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exprl.cluster.assumptions import Assumptions, assume
from exprl.cluster.memory import memory
from exprl.cluster.shape import Shape, shape_of
from exprl.cluster.step import StepTime, collect_time, decoding, decoding_steps, step_time
from exprl.cluster.workload import Judging, Workload

TINY = Shape(
    layers=2, hidden=4, heads=2, kv_heads=1, head_size=2, feed_forward=8, vocabulary=10
)  # 656 bytes, 656 + 32c
GPU = Assumptions(
    gpu_flops=1000,
    gpu_bandwidth=656,
    gpu_memory=10_000,
    gpu_link=656,
    host_link=328,
    bandwidth_reached=1,
    decode_reached=1,
    prefill_reached=1,
    update_reached=1,
    decode_overhead=0.5,
    sampler_memory=1,
    judge_memory=1,
    cache_kept=1,
    step_overhead=7,
)
JUDGING = Judging("j", calls=2, sent=40, floor=30, reply=3)
WORK = Workload(
    name="w",
    policy="p",
    steps=10,
    problems=2,
    group=2,
    updates=1,
    prompt=4,
    response=10,
    longest=16,
    forwards=1,
    frozen_copy=False,
    judging=JUDGING,
)
QWEN = shape_of("Qwen/Qwen3-4B-Instruct-2507")


def test_a_decoding_step_by_hand() -> None:
    line = decoding(TINY, 41, 1, GPU)
    assert line.alpha == 656 / 656 + 0.5
    assert line.beta == pytest.approx(16 * 41 / 656 + (656 + 32 * 41) / 1000)
    assert decoding(TINY, 41, 2, GPU).beta == pytest.approx(line.beta / 2)


def test_full_batches_and_then_the_tail() -> None:
    assert decoding_steps(4, 10, 16, 1, 4) == 16  # all at once: the longest
    assert decoding_steps(4, 10, 16, 1, 2) == 20 + 6
    assert decoding_steps(4, 10, 10, 2, 1) == 20


def test_sampling_by_hand() -> None:
    time = step_time(WORK, TINY, None, 1, 0, GPU)
    alpha, beta = decoding(TINY, 4 + 5, 1, GPU)
    prefill = 2 * 4 * (656 + 32 * 2) / 1000
    assert time.sample == pytest.approx(alpha * 16 + beta * 40 + prefill)
    assert time.longest == pytest.approx((alpha + beta) * 16)
    assert (time.judge, time.tail) == (0, 0)


def test_with_more_copies_than_rollouts_the_longest_is_what_is_left() -> None:
    time = step_time(WORK, TINY, None, 1000, 0, GPU)
    assert time.sample == pytest.approx(time.longest, rel=0.01)
    assert time.sample >= time.longest


def test_judging_by_hand() -> None:
    time = step_time(WORK, TINY, TINY, 1, 2, GPU)
    alpha, beta = decoding(TINY, 20, 1, GPU)
    token = (656 + 32 * 10) / 1000
    slots = 4 * 2 / 2
    assert time.judge == pytest.approx(4 * (30 * token + 2 * 3 * (alpha / slots + beta)) / 2)
    assert time.tail == pytest.approx(16 * token + 2 * 3 * (alpha + beta * 2))


def test_update_and_weights_by_hand() -> None:
    time = step_time(WORK, TINY, None, 2, 0, GPU)
    token = 5 * (656 + 32 * 7) / 1000  # forward, again, backward as two; one set of log-probabilities
    assert time.update == pytest.approx(max(4 * 14 / 2, 20) * token)
    assert time.sync == pytest.approx(656 / 656 + 2 * 18 * 328 / 2 / 328)
    longest_alone = step_time(WORK, TINY, None, 8, 0, GPU)
    assert longest_alone.update == pytest.approx(20 * token)


def test_a_slow_network_is_what_an_update_waits_for() -> None:
    slow = GPU.model_copy(update={"network": 1.0})
    time = step_time(WORK, TINY, None, 2, 0, slow, machines=2)
    assert time.update == pytest.approx(2 * 3 * 656 / 2)  # two micro-batches of one longest sequence
    assert time.sync == pytest.approx(656 + 18)


def test_rates_that_are_given_replace_those_that_are_reckoned() -> None:
    measured = GPU.model_copy(
        update={"policy_tokens_per_s": 0.5, "judge_tokens_per_s": 5.0, "update_tokens_per_s": 4.0}
    )
    time = step_time(WORK, TINY, TINY, 1, 1, measured)
    alpha, beta = decoding(TINY, 20, 1, GPU)
    assert time.sample == pytest.approx(40 / 0.5 + decoding(TINY, 9, 1, GPU).alpha * 6)
    assert time.judge == pytest.approx(4 * (30 / 5 + 6 * (alpha / 8 + beta)))
    assert time.update == pytest.approx(4 * 14 / 4)


def test_the_bottleneck_is_the_longest_thing_waited_for() -> None:
    base = StepTime(sample=10, longest=1, judge=5, tail=1, update=2, sync=1, overhead=100)
    assert base.total == 10 + 1 + 2 + 1 + 100
    assert base.bottleneck == "sampling"
    assert replace(base, longest=6).bottleneck == "the longest rollout"
    assert replace(base, judge=11).bottleneck == "judging"
    assert replace(base, judge=11).total == base.total + 1
    assert replace(base, update=30).bottleneck == "update"
    assert replace(base, tail=30).bottleneck == "the last rollout's judging"
    assert replace(base, sync=30).bottleneck == "weights"
    assert collect_time(3, 2, 1) == 4


def test_memory_by_hand() -> None:
    held = memory(WORK, TINY, TINY, 2, GPU)
    logits = 20 * 10 * 6
    assert held.train == 18 * 328 / 2 + 20 * 4 * (2 * 2 + 34) + logits
    assert held.cache_tokens == held.judge_cache_tokens == (10_000 - 656) / 16
    assert held.weights == 656
    assert held.fits
    assert memory(replace(WORK, frozen_copy=True), TINY, None, 2, GPU).train == held.train + 328


def test_what_does_not_fit_says_so() -> None:
    small = GPU.model_copy(update={"gpu_memory": 900.0})
    problems = memory(WORK, TINY, TINY, 2, small).problems
    assert len(problems) == 3
    assert "training takes" in problems[0]
    assert "set policy_copy_gpus" in problems[1]
    assert "set judge_copy_gpus" in problems[2]


@settings(max_examples=50)
@given(st.integers(1, 512), st.integers(1, 512), st.integers(1, 64), st.floats(0.05, 1))
def test_more_gpus_never_slow_down_sampling_or_judging(gpus: int, judges: int, problems: int, share: float) -> None:
    work = replace(WORK, problems=problems, group=16, longest=16_384, response=share * 16_384)
    one = step_time(work, QWEN, QWEN, gpus, judges, Assumptions())
    more = step_time(work, QWEN, QWEN, gpus + 1, judges + 1, Assumptions())
    assert more.sample <= one.sample * (1 + 1e-9)
    assert more.judge <= one.judge * (1 + 1e-9)
    assert one.sample >= one.longest * (1 - 1e-9)
    assert one.total >= max(one.sample, one.judge, one.update)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("slts=3", "unknown assumption 'slts': did you mean 'slots'"),
        ("zzzz=3", "unknown assumption 'zzzz': they are gpu,"),
        ("slots=0", "slots='0'"),
        ("slots=many", "slots='many'"),
        ("cache_kept=1.5", "cache_kept='1.5'"),
        ("network=nan", "network='nan'"),
        ("gpu=Abacus", "gpu='Abacus'"),
        ("slots", "slots=''"),
    ],
)
def test_an_assumption_that_cannot_be_is_an_error(said: str, message: str) -> None:
    from exprl.errors import ConfigError

    with pytest.raises(ConfigError, match=message):
        assume([said])


def test_every_assumption_is_shown_with_its_meaning_and_can_be_set() -> None:
    rows = Assumptions().rows()
    assert all(meaning for _, _, meaning in rows)
    assert {name for name, _, _ in rows} == set(Assumptions.model_fields)
    shown = {name: value for name, value, _ in assume(["gpu=A100-80GB", "slots=8"]).rows()}
    assert (shown["gpu_flops"], shown["gpu_memory"], shown["slots"]) == (312e12, 80e9, 8)
    for name, value, _ in rows:
        assert getattr(assume([f"{name}={value}"]), name) == value
