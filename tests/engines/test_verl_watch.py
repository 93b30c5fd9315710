"""What verl logs and its workers write becomes the run directory's rows, a kill between the two included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from verl_batches import GROUP, METHODS, make_case, on_a_cluster

from exprl.config import RunConfig
from exprl.engines.verl.record import Attempt
from exprl.engines.verl.train import ClusterStage, _Watcher, verl_log
from exprl.errors import MonitorStopError
from exprl.runs import append_jsonl, read_jsonl, write_text

NUMBERS = {"actor/pg_loss": 0.5, "actor/grad_norm": 2.0, "actor/entropy": 1.0, "timing_s/step": 3.0}


def stage(folder: Path, **monitor: Any) -> ClusterStage:
    source = {"train": {"path": "world:chain/easy"}}
    config = RunConfig.model_validate({"name": "run", "engine": "verl", "data": source, "monitor": monitor})
    method: Any = METHODS["outcome"]
    return ClusterStage(config, "policy", method, make_case(0).problems, folder, 0, {})


def sampled(folder: Path, name: str, *steps: int) -> Attempt:
    """An attempt whose workers have judged these steps."""
    attempt = Attempt(name, folder.resolve() / "parts")
    rows: list[dict[str, object]] = []
    on_a_cluster(make_case(0), METHODS["outcome"], rows)
    for step in steps:
        append_jsonl(attempt.parts / f"{name}.jsonl", [{**row, "attempt": name, "step": step} for row in rows])
    write_text(folder / f"verl-{name}.log", "")
    return attempt


def test_a_step_is_written_once_when_verl_has_logged_it(tmp_path: Path) -> None:
    attempt = sampled(tmp_path, "one", 1, 2)
    seen: list[dict[str, object]] = []
    watcher = _Watcher(stage(tmp_path), attempt, seen.append)
    watcher.look()
    assert seen == []
    append_jsonl(verl_log(tmp_path.resolve(), attempt), [{"step": 1, "data": NUMBERS}])
    watcher.look()
    watcher.look()
    assert [(row["step"], row["loss"], row["grad_norm"], row["seconds"]) for row in seen] == [(1, 0.5, 2.0, 3.0)]
    assert read_jsonl(tmp_path / "metrics.jsonl") == seen
    assert len(read_jsonl(tmp_path / "rollouts.jsonl")) == 6 * GROUP


def test_a_step_that_was_saved_and_not_written_is_caught_up_with(tmp_path: Path) -> None:
    first = sampled(tmp_path, "one", 1, 2, 3)
    append_jsonl(verl_log(tmp_path.resolve(), first), [{"step": 1, "data": NUMBERS}])
    _Watcher(stage(tmp_path), first, lambda row: None).look()
    write_text(tmp_path / "verl" / "latest_checkpointed_iteration.txt", "2")  # killed before step 2 was logged
    seen: list[dict[str, object]] = []
    watcher = _Watcher(stage(tmp_path), sampled(tmp_path, "two"), seen.append)
    watcher.catch_up()
    assert [(row["step"], row["loss"]) for row in seen] == [(2, None)]
    assert [row["step"] for row in read_jsonl(tmp_path / "metrics.jsonl")] == [1, 2]


def test_an_alarm_that_stops_ends_the_attempt(tmp_path: Path) -> None:
    attempt = sampled(tmp_path, "one", 1)
    append_jsonl(verl_log(tmp_path.resolve(), attempt), [{"step": 1, "data": NUMBERS}])
    alarmed = stage(tmp_path, truncated={"warn": 0.0, "stop": 0.0}, minimum=1, window=1)
    with pytest.raises(MonitorStopError, match="alarm truncated"):
        _Watcher(alarmed, attempt, lambda row: None).look()
