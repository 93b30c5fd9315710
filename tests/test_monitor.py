"""The monitor's numbers by hand, quiet on sound data, and one alarm for each fault."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from exprl.config import Floor, Limit, MonitorConfig
from exprl.measures import Measure, Measures, group_rank, measure, read_measures
from exprl.methods import Credits, RolloutBatch
from exprl.monitor import Alarm, alarms, standings, watch
from exprl.types import Problem, Reference, Rollout, Segment, Verdict

NAN = float("nan")


@dataclass(frozen=True)
class One:
    """A rollout in what the monitor looks at."""

    score: float | None
    right: float | None = 0.0
    tokens: int = 100
    text: str = "a###b"
    segments: int = 2
    truncated: bool = False
    held_out: tuple[tuple[str, float | None], ...] = ()


def step_of(rows: Sequence[One], group: int, *, judged: bool = True) -> tuple[RolloutBatch, Credits]:
    problem = Problem("p", "?", Reference("SECRET", "1"))
    batch = RolloutBatch(
        problems=[problem] * len(rows),
        rollouts=[Rollout(str(i), "p", row.text, row.tokens, row.truncated) for i, row in enumerate(rows)],
        group_R=np.arange(len(rows)) // group,
        token_ends=[np.arange(1)] * len(rows),
        verified=[Verdict(row.right) if row.right is not None else Verdict(None, unscored="?") for row in rows],
    )
    verdicts = [
        (Verdict(row.score, unscored="down" if row.score is None else None, panel=row.held_out),) * row.segments
        for row in rows
    ]
    credits = Credits(
        segments=[(Segment(0, 1),) * row.segments for row in rows],
        rewards_R=np.array([0.0 if r.truncated else NAN if r.score is None else r.score for r in rows]),
        advantages_RS=np.zeros((len(rows), 1)),
        scores=[(row.score,) * row.segments for row in rows],
        verdicts=verdicts,
        judged=judged,
    )
    return batch, credits


def measured(rows: Sequence[One], group: int, *, judged: bool = True) -> dict[str, Measure]:
    return measure(*step_of(rows, group, judged=judged), marker="###")


# -- rank correlation


def test_ranks_are_correlated_within_groups_and_ties_share_theirs() -> None:
    # Ranks of x: 1 2.5 2.5 4; of y: 1 2 3 4. Centred: -1.5 0 0 1.5 and -1.5 -.5 .5 1.5; 4.5 / sqrt(4.5 * 5).
    first = group_rank(np.array([0.0, 0.5, 0.5, 1.0]), np.array([1.0, 2.0, 3.0, 4.0]), np.zeros(4, dtype=np.int64))
    assert first == (pytest.approx(4.5 / np.sqrt(22.5)), 4)
    x = np.array([0.0, 0.5, 0.5, 1.0, 0.0, 0.5, 1.0])
    y = np.array([1.0, 2.0, 3.0, 4.0, 30.0, 20.0, 10.0])  # the second group runs the other way, and is longer
    both = group_rank(x, y, np.array([0, 0, 0, 0, 1, 1, 1]))
    assert both == (pytest.approx((4 * 4.5 / np.sqrt(22.5) - 3) / 7), 7)


def test_a_group_of_two_or_without_variation_says_nothing() -> None:
    group = np.array([0, 0, 1, 1, 1, 2, 2, 2])
    x = np.array([0.0, 1.0, 0.5, 0.5, 0.5, 0.0, 1.0, NAN])
    assert group_rank(x, np.arange(8.0), group) is None


numbers = st.integers(0, 4).map(float) | st.just(NAN)


@given(st.lists(st.tuples(numbers, numbers, st.integers(0, 3)), max_size=20))
def test_a_rank_correlation_is_symmetric_bounded_and_blind_to_scale_and_order(
    rows: list[tuple[float, float, int]],
) -> None:
    x, y, group = (np.array([row[i] for row in rows]) for i in range(3))
    found = group_rank(x, y, group)
    assert found == (None if found is None else (pytest.approx(group_rank(y, x, group)[0]), found.n))  # type: ignore[index]
    if found is not None:
        assert -1 - 1e-9 <= found.value <= 1 + 1e-9
        assert group_rank(np.exp(x), y * 7 - 3, group) == (pytest.approx(found.value), found.n)
        assert group_rank(-x, y, group) == (pytest.approx(-found.value), found.n)
        back = np.arange(len(rows))[::-1]
        assert group_rank(x[back], y[back], group[back]) == (pytest.approx(found.value), found.n)


def test_rank_correlations_are_those_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    draw = np.random.default_rng(0)
    for _ in range(20):
        x, y = draw.integers(0, 5, 12).astype(float), draw.normal(size=12)
        found = group_rank(x, y, np.zeros(12, dtype=np.int64))
        assert found is not None
        assert found.value == pytest.approx(stats.spearmanr(x, y).statistic)


# -- one step


def test_a_step_is_measured_by_hand() -> None:
    rows = [
        One(1.0, right=0.0, tokens=30, text="a###b###c", segments=3, held_out=(("other", 0.5),)),
        One(0.75, right=1.0, tokens=20, held_out=(("other", 0.75),)),
        One(0.5, right=1.0, tokens=10, held_out=(("other", 0.25),)),
        One(0.25, right=0.0, tokens=40, held_out=(("other", None),)),
        One(None, right=1.0),
        One(0.0, right=None, tokens=10, held_out=(("other", 0.0),)),
        One(None, truncated=True, right=0.0, tokens=99, text="###" * 5, segments=6),
        One(0.5, right=None, tokens=20, held_out=(("other", 0.5),)),
    ]
    assert measured(rows, group=4) == {
        # Ranks of the scores 4 3 2 1 against those of the tokens 3 2 1 4; the second group has two scored rollouts only.
        "length": (pytest.approx(-0.2), 4),
        "markers": ((2 + 6 + 5) / 8, 8),
        "segments": ((3 + 12 + 6) / 8, 8),
        "unscored": (pytest.approx(1 / 7), 7),  # the truncated one was not asked about
        "truncated": (0.125, 8),
        "high_but_wrong": (0.5, 2),  # 1.0 of the two wrong ones with a score, not the truncated one
        "low_but_right": (0.5, 2),  # 0.5 of the two right ones with a score
        "held_out_gap:other": (pytest.approx((0.5 + 0 + 0.25 + 0 + 0) / 5), 5),
        "held_out_rank:other": (pytest.approx(0.5), 3),  # 3 2 1 against 2 3 1
    }


def test_what_cannot_be_measured_is_left_out_and_never_zero() -> None:
    nothing = measured([One(None, right=None)] * 4, group=4)
    assert set(nothing) == {"markers", "segments", "unscored", "truncated"}
    assert nothing["unscored"] == (1.0, 4)
    assert set(measured([One(None, right=None, truncated=True)] * 4, group=4)) == {"markers", "segments", "truncated"}


def test_a_verifier_is_not_compared_with_itself() -> None:
    rows = [One(1.0, right=1.0, tokens=i) for i in range(3)] + [One(0.0, right=0.0)]
    assert set(measured(rows, group=4, judged=False)) == {"length", "markers", "segments", "unscored", "truncated"}


# -- many steps


def history(name: str, values: Sequence[float], n: int = 100) -> list[tuple[int, Measures]]:
    return [(step, {name: Measure(value, n)}) for step, value in enumerate(values, 1)]


QUICK = MonitorConfig(window=2, minimum=200)


def test_the_last_steps_are_pooled_by_their_rollouts() -> None:
    steps: list[tuple[int, Measures]] = [
        (1, {"truncated": Measure(1.0, 100)}),
        (2, {"truncated": Measure(0.2, 50)}),
        (3, {"truncated": Measure(0.6, 150)}),
    ]
    (now,) = standings(steps, QUICK)
    assert (now.name, now.step, now.n) == ("truncated", 3, 200)
    assert now.value == pytest.approx((0.2 * 50 + 0.6 * 150) / 200)
    assert alarms(steps, QUICK) == [Alarm("truncated", "warn", 3, now.value, 0.3, now.words)]


def test_small_steps_wait_until_there_are_enough_rollouts() -> None:
    assert alarms(history("truncated", [1.0] * 24, n=8), QUICK) == []
    assert [alarm.step for alarm in alarms(history("truncated", [1.0] * 25, n=8), QUICK)] == [25]


def test_a_change_is_told_between_steps_that_do_not_overlap() -> None:
    gap = "held_out_gap:other"
    assert [s.name for s in standings(history(gap, [0.1, 0.1, 0.4]), QUICK)] == [gap]
    (level, growth) = standings(history(gap, [0.1, 0.1, 0.4, 0.2]), QUICK)
    assert (level.value, growth.name, growth.value) == (
        pytest.approx(0.3),
        "held_out_gap_growth:other",
        pytest.approx(0.2),
    )
    assert growth.words.endswith("(other)")


@pytest.mark.parametrize(("before", "now", "factor"), [(2, 6, 3), (6, 2, 3), (0, 5, 5), (0.1, 0.9, 1), (4, 4, 1)])
def test_markers_are_compared_by_the_factor_up_or_down(before: float, now: float, factor: float) -> None:
    (standing,) = standings(history("markers", [before, before, now, now]), QUICK)
    assert standing.value == pytest.approx(factor)


def test_an_alarm_is_about_the_latest_step_and_not_about_the_past() -> None:
    steps = [*history("truncated", [1.0] * 4), (5, {})]
    assert alarms(steps, QUICK) == []
    assert alarms([], QUICK) == []


def test_the_worse_level_is_the_one_that_is_raised() -> None:
    config = MonitorConfig(
        window=1, minimum=1, high_but_wrong=Limit(warn=0.5, stop=0.9), held_out_rank=Floor(warn=0.1, stop=-0.5)
    )
    levels = {
        (name, value): [alarm.level for alarm in alarms(history(name, [value]), config)]
        for name, value in [
            *[("high_but_wrong", v) for v in (0.49, 0.5, 0.9)],
            *[("held_out_rank:other", v) for v in (0.11, 0.1, -0.5)],
        ]
    }
    assert list(levels.values()) == [[], ["warn"], ["stop"]] * 2


def test_what_is_switched_off_raises_nothing() -> None:
    config = MonitorConfig.model_validate({"window": 1, "minimum": 1, "truncated": {"warn": False}})
    assert alarms(history("truncated", [1.0]), config) == []
    assert [s.name for s in standings(history("truncated", [1.0]), config)] == ["truncated"]


def test_measures_come_back_from_the_metrics_and_nothing_else_does() -> None:
    measures = {"length": Measure(-0.25, 40), "held_out_gap:a:b": Measure(0.1, 3)}
    assert read_measures(json.loads(json.dumps(measures))) == measures
    row = {"a": None, "b": [1.0], "c": [NAN, 3], "d": ["1", 3], "e": [0.5, 0], "f": [0.5, 2, 1]}
    assert read_measures(row) == read_measures(None) == read_measures([1, 2]) == {}


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 80)), max_size=30), st.integers(1, 6), st.integers(1, 150))
def test_what_stands_lies_within_what_was_measured_and_rests_on_enough(
    steps: list[tuple[float, int]], window: int, minimum: int
) -> None:
    past: list[tuple[int, Measures]] = [(i, {"truncated": Measure(*pair)}) for i, pair in enumerate(steps)]
    found = standings(past, MonitorConfig(window=window, minimum=minimum))
    assert bool(found) == (len(steps) >= window and sum(n for _, n in steps) >= minimum)
    for standing in found:
        assert standing.n >= minimum
        assert min(v for v, _ in steps) - 1e-12 <= standing.value <= max(v for v, _ in steps) + 1e-12


# -- whole runs: 40 steps of 6 groups of 8, drawn at random

STEPS, GROUPS, GROUP = 40, 6, 8
Fault = Callable[[One, float], One]


def sound(draw: np.random.Generator, growth: float) -> list[One]:
    """Rollouts of a run that goes well: more right, longer, better scored; a fair judge and a stricter one."""
    rows = []
    for _ in range(GROUPS):
        skill = draw.uniform(0.1, 0.3) + 0.3 * growth
        for _ in range(GROUP):
            right = draw.random() < skill
            merit = draw.beta(5, 2) if right else draw.beta(2, 4)
            score, other = (round(4 * float(np.clip(merit + draw.normal(0, 0.12) - s, 0, 1))) / 4 for s in (0, 0.1))
            score = 0.75 if right and score < 0.75 and draw.random() < 0.7 else score
            segments = int(draw.integers(5, 9) * (1 + 0.5 * growth))
            rows.append(
                One(
                    score=None if draw.random() < 0.01 else score,
                    right=float(right),
                    tokens=int(draw.normal(100 + 50 * growth + 20 * score, 25)),
                    text="x###" * segments,
                    segments=segments,
                    truncated=draw.random() < 0.08,
                    held_out=(("other", None if draw.random() < 0.05 else other),),
                )
            )
    return rows


def run(fault: Fault, seed: int) -> set[tuple[str, str]]:
    """Names and levels of all alarms of a run with a fault; the same seed draws the same sound run."""
    draw, past, found = np.random.default_rng(seed), list[tuple[int, Measures]](), set[tuple[str, str]]()
    for step in range(1, STEPS + 1):
        growth = step / STEPS
        rows = [fault(row, growth) for row in sound(draw, growth)]
        seen = watch(past, step, *step_of(rows, GROUP), MonitorConfig(), marker="###")
        past.append((step, seen.measures))
        found |= {(alarm.name, alarm.level) for alarm in seen.alarms}
    return found


def test_a_sound_run_gives_no_alarm_whatever_is_drawn() -> None:
    assert [run(lambda row, _: row, seed) for seed in range(4)] == [set()] * 4


def test_eight_rollouts_a_step_of_pure_noise_give_no_alarm_of_order() -> None:
    draw = np.random.default_rng(1)
    past: list[tuple[int, Measures]] = []
    for step in range(1, 301):
        rows = [One(float(draw.integers(0, 5)) / 4, right=None, tokens=int(draw.integers(50, 150))) for _ in range(8)]
        seen = watch(past, step, *step_of(rows, 4), MonitorConfig(), marker="###")
        past.append((step, seen.measures))
        assert seen.alarms == ()


def late(growth: float) -> bool:
    return growth > 0.5


def by_length(row: One, growth: float) -> One:
    # The reward follows the length wholly; both judges see it alike.
    score = float(np.clip(round((row.tokens - 60) / 25) / 4, 0, 1))
    return replace(row, score=score, right=None, held_out=(("other", max(0.0, score - 0.1)),))


def slowly_by_length(row: One, growth: float) -> One:
    return replace(row, tokens=int(row.tokens + (120 * (row.score or 0) if late(growth) else 0)))


def generous(row: One, growth: float) -> One:
    return replace(row, right=0.0 if (row.score or 0) >= 0.5 else None)


def yes_to_all(row: One, growth: float) -> One:
    return replace(row, score=1.0, right=0.0, held_out=())


def blind(row: One, growth: float) -> One:
    return replace(row, right=1.0 if (row.score or 0) < 0.75 else None)


def fooled(row: One, growth: float) -> One:
    # Only the rewarding judge can be talked into it, by a grade.
    score = row.score
    return replace(row, right=None, score=score if score is None or not late(growth) else min(1.0, score + 0.25))


def harsh_other(row: One, growth: float) -> One:
    return replace(row, right=None, score=None if row.score is None else 0.5 + row.score / 2, held_out=_less(row, 0.3))


def _less(row: One, by: float) -> tuple[tuple[str, float | None], ...]:
    return tuple((name, None if score is None else max(0.0, score - by)) for name, score in row.held_out)


def unrelated(row: One, growth: float) -> One:
    return replace(row, held_out=(("other", ((row.tokens * 7919) % 5) / 5),))


def spam(row: One, growth: float) -> One:
    return replace(row, text=row.text * (4 if late(growth) else 1))


def one_piece(row: One, growth: float) -> One:
    return replace(row, segments=1 if late(growth) else row.segments)


def failing(row: One, growth: float) -> One:
    return replace(row, score=None if late(growth) and row.tokens % 8 == 0 else row.score)


def cut_off(row: One, growth: float) -> One:
    return replace(row, truncated=row.truncated or (late(growth) and row.tokens % 3 == 0))


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        (by_length, {("length", "warn")}),
        (slowly_by_length, {("length", "warn"), ("length_growth", "warn")}),
        (generous, {("high_but_wrong", "warn")}),
        (yes_to_all, {("high_but_wrong", "stop")}),
        (blind, {("low_but_right", "warn")}),
        (fooled, {("held_out_gap_growth:other", "warn")}),
        (harsh_other, {("held_out_gap:other", "warn")}),
        (unrelated, {("held_out_rank:other", "warn")}),
        (spam, {("markers", "warn")}),
        (one_piece, {("segments", "warn")}),
        (failing, {("unscored", "warn")}),
        (cut_off, {("truncated", "warn")}),
    ],
)
def test_each_fault_gives_its_alarm_and_no_other(fault: Fault, wanted: set[tuple[str, str]]) -> None:
    assert run(fault, seed=0) == wanted


# -- thresholds


def test_who_sets_one_level_keeps_the_other() -> None:
    config = MonitorConfig.model_validate({"high_but_wrong": {"stop": False}, "length": {"stop": 0.8}})
    assert (config.high_but_wrong, config.length) == (Limit(warn=0.5), Limit(warn=0.5, stop=0.8))
    assert MonitorConfig.model_validate(config.model_dump(mode="json")) == config


def test_a_stop_before_the_warning_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"stop = 0\.4 would be reached before warn = 0\.5"):
        MonitorConfig.model_validate({"length": {"stop": 0.4}})
    with pytest.raises(ValidationError, match=r"stop = 0\.2 would be reached before warn = 0\.1"):
        MonitorConfig.model_validate({"held_out_rank": {"stop": 0.2}})


def test_only_a_judge_that_says_yes_to_everything_pauses_a_run_by_default() -> None:
    config = MonitorConfig()
    limits = {
        name: value for name in MonitorConfig.model_fields if isinstance(value := getattr(config, name), Limit | Floor)
    }
    assert all(limit.warn is not None for limit in limits.values())
    assert {name for name, limit in limits.items() if limit.stop is not None} == {"high_but_wrong"}
