"""Prefix scores against step labels, and against continuations."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from exprl.errors import DataError
from exprl.judge.calibrate.bootstrap import Resampling
from exprl.judge.calibrate.continuations import (
    Continuation,
    by_request,
    continue_prefixes,
    load_continuations,
    measure_continuations,
)
from exprl.judge.calibrate.process import ScoredTrace, measure_prefixes
from exprl.judge.calibrate.steps import load_references, load_traces
from exprl.types import Problem, Question, Reference, Rollout, Verdict

QUICK = Resampling(replicates=200)
CANARY = "CANARY-77aa"


def written(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_changes_before_at_and_after_the_first_error_worked_by_hand() -> None:
    found = measure_prefixes(
        [
            ScoredTrace((0.25, 0.5, 0.75, 0.5, 0.5), 3),  # before +.25 +.25, at -.25, after 0
            ScoredTrace((0.0, 0.5, 1.0), None),  # sound +.5 +.5
            ScoredTrace((0.5, 0.75), 0),  # its first step is wrong and changes nothing measurable; after +.25
        ],
        QUICK,
    )
    assert (found.traces, found.with_error, found.prefixes, found.unscored) == (3, 2, 10, 0)
    assert found.change_before.value == pytest.approx(0.25)
    assert found.change_at.value == pytest.approx(-0.25)
    assert found.change_after.value == pytest.approx(0.125)
    assert found.change_sound.value == pytest.approx(0.5)


def test_the_best_prefix_before_the_error_worked_by_hand() -> None:
    found = measure_prefixes(
        [
            ScoredTrace((0.25, 0.75, 0.75, 0.5), 2),  # as good before as after: yes
            ScoredTrace((0.25, 0.5, 0.75), 2),  # rises on the wrong step: no
            ScoredTrace((0.5, 0.5), 1),  # a constant score passes, and is counted as such
            ScoredTrace((0.5, 0.25), 0),  # nothing before it: not counted
            ScoredTrace((0.5, math.nan, 0.25), 1),  # not known: not counted
        ],
        QUICK,
    )
    assert (found.maximum_traces, found.maximum_flat) == (3, 1)
    assert found.maximum_before.value == pytest.approx(2 / 3)
    assert found.place == pytest.approx((2 / 4 + 2 / 3 + 1 / 2) / 3)
    assert found.unscored == 1


def test_auroc_of_prefixes_worked_by_hand() -> None:
    found = measure_prefixes([ScoredTrace((0.25, 0.5), None), ScoredTrace((0.25, 0.25), 1)], QUICK)
    # clean prefixes .25 .5 .25 against the wrong one's .25: two ties and a win of three
    assert found.auroc_prefix.value == pytest.approx(2 / 3)
    assert found.auroc_same_step.value == 1.0  # of two steps: .5 against .25
    assert found.auroc_whole.value == 1.0


def test_a_judge_of_mere_progress_is_found_out_by_prefixes_of_equal_length() -> None:
    rising = tuple(t / 10 for t in range(1, 11))
    traces = [ScoredTrace(rising, error) for error in (None, 3, 5, 7)]
    found = measure_prefixes(traces, QUICK)
    assert found.auroc_same_step.value == 0.5
    assert found.auroc_prefix.value < 0.5
    assert found.maximum_before.value == 0.0


def test_the_profile_stands_around_the_first_error() -> None:
    found = measure_prefixes([ScoredTrace((0.5, 0.75, 0.25), 1), ScoredTrace((1.0, 1.0), None)], QUICK)
    assert [(p.step, p.prefixes, p.score.value) for p in found.profile] == [(-1, 1, 0.5), (0, 1, 0.75), (1, 1, 0.25)]


def test_no_traces_and_silent_traces_measure_nothing() -> None:
    for traces in ([], [ScoredTrace((math.nan, math.nan), 1)]):
        found = measure_prefixes(traces, QUICK)
        assert math.isnan(found.auroc_prefix.value)
        assert found.place is None


def test_traces_find_their_reference_by_the_problems_text(tmp_path: Path) -> None:
    problems = written(tmp_path / "p.jsonl", {"id": "p", "problem": "What is  3+4?", "solution": CANARY, "answer": "7"})
    path = written(
        tmp_path / "t.jsonl",
        {"id": "a", "problem": "what is 3 + 4 ?", "steps": ["3+4", "=7"], "label": -1},
        {"id": "b", "problem": "And 5?", "steps": ["5"], "label": 0},
    )
    found = load_traces(path, load_references([problems], "math"), "math")
    assert found.without_reference == 1
    (trace,) = found.traces
    assert trace.first_error is None
    assert trace.submission.text == "3+4\n\n=7"
    assert trace.submission.cuts == (3, 7)
    assert CANARY not in repr(trace)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"steps": ["a"]}, "t.jsonl, line 1: no column 'label'; it has id, problem, steps"),
        ({"label": 0}, "no column 'steps'"),
        ({"steps": [], "label": -1}, "column 'steps': expected a list of at least one text"),
        ({"steps": ["a", 1], "label": -1}, "column 'steps': expected a list of at least one text"),
        ({"steps": ["a"], "label": 1}, "the index of the first wrong step, -1 to 0, found 1"),
        ({"steps": ["a"], "label": True}, "-1 to 0, found True"),
        ({"steps": ["a"], "label": "0"}, "found str"),
    ],
)
def test_a_trace_that_cannot_be_used_is_named(tmp_path: Path, row: dict[str, object], said: str) -> None:
    path = written(tmp_path / "t.jsonl", {"id": "a", "problem": "p"} | row)
    with pytest.raises(DataError, match="line 1") as raised:
        load_traces(path, {}, "math")
    assert said in str(raised.value)


def prefix(name: str, text: str, rate: float | None = None) -> Continuation:
    return Continuation(name, Problem(name, f"problem {name}", Reference("a solution", "7")), text, rate)


def test_scores_are_compared_with_success_rates() -> None:
    prefixes = [prefix(str(i), "x", rate) for i, rate in enumerate((0.0, 0.25, 0.5, 1.0, None, 0.1))]
    found = measure_continuations([0.0, 0.25, 0.5, 0.75, 1.0, None], prefixes, QUICK)
    assert (found.prefixes, found.unscored) == (4, 1)
    assert found.spearman.value == pytest.approx(1.0)
    assert math.isnan(measure_continuations([0.0, 1.0], prefixes[:2], QUICK).spearman.value)


def test_prefixes_with_rates_are_read_and_bad_ones_named(tmp_path: Path) -> None:
    row = {"id": "a", "problem": "p", "reference": CANARY, "prefix": "first", "rate": 0.5}
    found, total = load_continuations(
        written(tmp_path / "c.jsonl", row, row | {"id": "b", "reference": None}), {}, "math"
    )
    assert total == 2
    assert [(c.id, c.prefix, c.rate) for c in found] == [("a", "first", 0.5)]
    with pytest.raises(DataError, match=r"c\.jsonl, line 1, column 'rate': expected a share from 0 to 1, found 7"):
        load_continuations(written(tmp_path / "c.jsonl", row | {"rate": 7}), {}, "math")


class FakeSampler:
    """Goes on rightly in one sample of two, and keeps what it was asked."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def sample(
        self,
        questions: Sequence[Question],
        n: int,
        *,
        temperature: float,
        max_tokens: int,
        seed: int,
        done: Collection[str] = (),
    ) -> Iterator[Rollout]:
        self.read += [question.text for question in questions]
        for question in questions:
            for i in range(n):
                yield Rollout(f"{question.id}/{i}", question.id, " good" if i % 2 else " bad", 1, truncated=False)


class FakeVerifier:
    """Grades the whole trace; what says "mute" cannot be graded."""

    name = "fake"

    def verify(self, pairs: Sequence[tuple[Problem, str]]) -> list[Verdict]:
        return [
            Verdict(None, unscored="no answer") if "mute" in text else Verdict(float(text == "so far good"))
            for _, text in pairs
        ]

    def close(self) -> None:
        pass


def test_continuations_are_sampled_and_graded_as_one_trace() -> None:
    sampler = FakeSampler()
    go_on = partial(continue_prefixes, sampler, FakeVerifier(), n=4, temperature=1.0, max_tokens=8, seed=0)
    found = go_on([prefix("a", "so far"), prefix("b", "mute")])
    assert [c.rate for c in found] == [0.5, None]
    assert sampler.read == ["problem a\n\nso far", "problem b\n\nmute"]
    go_on([prefix("a", "so far")], opening=by_request)
    assert sampler.read[-1].endswith("do not start again.\n\nso far")
    assert "a solution" not in sampler.read[-1]
