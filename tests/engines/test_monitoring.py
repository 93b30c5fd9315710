"""The monitor in the engine: measured every step, written with it, and heard before the update."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import (
    BARE,
    FakeJudge,
    FakeVerifier,
    hashed,
    outcome,
    process,
    records,
    same_weights,
    save_policy,
    some_problems,
)

from exprl.config import Limit, MethodConfig, MonitorConfig, PolicyConfig, SegmentConfig, SparseConfig
from exprl.engines.trl.train import Stage, train_stage
from exprl.errors import MonitorStopError
from exprl.measures import read_measures
from exprl.methods import build_method
from exprl.runs import read_jsonl
from exprl.types import Submission, Verdict

QUIET = MonitorConfig()
WATCHFUL = MonitorConfig(window=1, minimum=1, high_but_wrong=Limit(warn=0.9, stop=0.99))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy"))


class Watched(FakeJudge):
    """As a panel would: with a word of a held-out judge, and the reference in its raw reply."""

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        rows = await super().score(submissions)
        return [tuple(replace(v, panel=(("other", 0.25),), raw="it quotes SECRET") for v in row) for row in rows]


def yes_to_all_at(*steps: int) -> FakeJudge:
    def scores(submission: Submission) -> list[float | None]:
        yes = int(submission.rollout_id.split("-")[0]) in steps
        return [1.0 if yes else min(hashed(submission, cut), 0.5) for cut in submission.cuts]

    return FakeJudge(scores)


def train(
    base: Path, folder: Path, method: MethodConfig, monitor: MonitorConfig, judge: FakeJudge | None = None
) -> Path:
    stage = Stage(str(base), method, some_problems(5), folder, seed=3, monitor=monitor, marker="+")
    credit = build_method(method, judge or FakeJudge(), SegmentConfig(rule="tokens", token_budget=3))
    policy = PolicyConfig(model=str(base), dtype="float32", device="cpu")
    return train_stage(stage, credit, FakeVerifier(), policy, BARE)


def test_every_step_carries_what_the_monitor_measured(base: Path, tmp_path: Path) -> None:
    train(base, tmp_path, process(steps=2), QUIET, Watched())
    metrics, rollouts, verdicts = records(tmp_path)
    for row in metrics:
        measures = read_measures(row["monitor"])
        mine = [r for r in rollouts if r["step"] == row["step"]]
        whole = [r for r in mine if not r["truncated"]]
        assert measures["truncated"] == (1 - len(whole) / 8, 8)
        assert measures["markers"].value == sum(str(r["text"]).count("+") for r in mine) / 8
        assert measures["held_out_gap:other"] == (
            pytest.approx(sum(r["scores"][-1] - 0.25 for r in whole) / len(whole)),  # type: ignore[index]
            len(whole),
        )
        wrong = [r for r in whole if r["correct"] == 0.0]
        assert measures["high_but_wrong"] == (
            pytest.approx(sum(r["scores"][-1] >= 0.75 for r in wrong) / len(wrong)),  # type: ignore[index]
            len(wrong),
        )
    judged = [row for row in verdicts if row["unscored"] is None]
    assert {json.dumps(row["panel"]) for row in judged} == {'{"other": 0.25}'}
    assert "SECRET" not in (tmp_path / "metrics.jsonl").read_text()
    assert not (tmp_path / "alarms.jsonl").exists()


def test_a_sparse_arm_is_watched_for_what_applies_to_it(base: Path, tmp_path: Path) -> None:
    settings = SparseConfig.model_validate(outcome(steps=1).model_dump(exclude={"execution"}) | {"type": "sparse"})
    train(base, tmp_path, settings, QUIET)
    (row,) = read_jsonl(tmp_path / "metrics.jsonl")
    assert {"truncated", "unscored", "markers"} <= set(read_measures(row["monitor"]))
    assert not {"high_but_wrong", "low_but_right"} & set(read_measures(row["monitor"]))


def test_a_warning_is_written_with_its_step_and_training_goes_on(base: Path, tmp_path: Path) -> None:
    warns = MonitorConfig(window=1, minimum=1, high_but_wrong=Limit(warn=0.9))
    train(base, tmp_path, outcome(steps=3), warns, yes_to_all_at(2))
    found = [row for row in read_jsonl(tmp_path / "alarms.jsonl") if row["name"] == "high_but_wrong"]
    assert found == [
        {
            "step": 2,
            "name": "high_but_wrong",
            "level": "warn",
            "value": 1.0,
            "threshold": 0.9,
            "words": "answers that were verified wrong get a high score from the judge",
        }
    ]
    assert [row["step"] for row in read_jsonl(tmp_path / "metrics.jsonl")] == [1, 2, 3]


def test_a_stop_comes_before_the_update_and_the_mended_run_is_as_if_nothing_had_been(
    base: Path, tmp_path: Path
) -> None:
    settings = outcome(steps=4, kl=0.1, updates_per_step=2, save_every=50)
    whole = train(base, tmp_path / "whole", settings, WATCHFUL, yes_to_all_at())
    with pytest.raises(MonitorStopError) as caught:
        train(base, tmp_path / "paused", settings, WATCHFUL, yes_to_all_at(3))
    assert str(caught.value) == (
        "step 3: alarm high_but_wrong: answers that were verified wrong get a high score from the judge: 1 (stop at "
        "0.99). No update was made. Look at the rollouts and at the judge; to go on, mend it or raise "
        "monitor.high_but_wrong.stop (false: never), then run the same command with --resume"
    )
    metrics, rollouts, _ = records(tmp_path / "paused")
    assert [row["step"] for row in metrics] == [1, 2]
    assert {row["step"] for row in rollouts} == {1, 2}
    assert [path.name for path in (tmp_path / "paused" / "checkpoints").iterdir()] == ["step-000002"]
    stops = [row for row in read_jsonl(tmp_path / "paused" / "alarms.jsonl") if row["level"] == "stop"]
    assert [(row["step"], row["name"]) for row in stops] == [(3, "high_but_wrong")]
    resumed = train(base, tmp_path / "paused", settings, WATCHFUL, yes_to_all_at())
    assert same_weights(whole, resumed)
    assert records(tmp_path / "whole") == records(tmp_path / "paused")
    assert read_jsonl(tmp_path / "whole" / "alarms.jsonl") == read_jsonl(tmp_path / "paused" / "alarms.jsonl")


def test_a_run_of_an_earlier_version_is_gone_on_with(base: Path, tmp_path: Path) -> None:
    settings = outcome(steps=4, save_every=2)
    with pytest.raises(MonitorStopError):
        train(base, tmp_path, settings, WATCHFUL, yes_to_all_at(3))
    rows = [{k: v for k, v in row.items() if k != "monitor"} for row in read_jsonl(tmp_path / "metrics.jsonl")]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "alarms.jsonl").unlink()
    train(base, tmp_path, settings, QUIET)
    assert ["monitor" in row for row in read_jsonl(tmp_path / "metrics.jsonl")] == [False, False, True, True]
