"""`exprl run` from the command line: everything is made, nothing is made twice, and no kill changes a number."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_run import (
    children_of,
    command,
    exprl,
    files_of,
    rows_of,
    summary_of,
    wait_until_gone,
    write_config,
    write_problems,
)

from exprl.runs import read_jsonl


def test_a_run_makes_samples_training_summary_and_report(finished: Any) -> None:
    run: Path = finished.path
    assert [row["kept"] for row in read_jsonl(run / "filter.jsonl")] == [True] * 3
    assert [row["set"] for row in read_jsonl(run / "problems.jsonl")] == ["hard_train"] * 3 + ["held_out"]
    for stage in ("stage1", "stage2"):
        folder = run / "arms" / "process" / "seed-0" / stage
        assert [row["step"] for row in read_jsonl(folder / "metrics.jsonl")] == [1, 2]
        assert len(read_jsonl(folder / "rollouts.jsonl")) == 8
        assert (folder / "final" / "model.safetensors").is_file()
        assert len(read_jsonl(folder / "eval" / "hard_train" / "samples.jsonl")) == 6
        assert len(read_jsonl(folder / "eval" / "held_out" / "samples.jsonl")) == 2
    assert read_jsonl(run / "arms/process/seed-0/stage1/metrics.jsonl")[0]["judge_calls"] != 0
    assert read_jsonl(run / "arms/process/seed-0/stage2/metrics.jsonl")[0]["judge_calls"] == 0
    assert (run / "report.html").read_text().startswith("<!doctype html>")


def test_the_summary_holds_every_arm_stage_and_set(finished: Any) -> None:
    arms: Any = summary_of(finished.config)["arms"]
    assert {arm: sorted(stages) for arm, stages in arms.items()} == {
        "base": ["stage1"],
        "process": ["stage1", "stage2"],
    }
    for stages in arms.values():
        for sets in stages.values():
            assert sorted(sets) == ["hard_train", "held_out"]
            for numbers in sets.values():
                assert {"value", "low", "high"} <= numbers["pass@2"].keys()
                assert 0 <= numbers["pass@1"]["low"] <= numbers["pass@1"]["value"] <= numbers["pass@1"]["high"] <= 1


def test_away_from_a_terminal_a_run_prints_one_line_a_piece_and_no_bars(finished: Any) -> None:
    assert finished.stderr == ""
    lines = finished.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:4]] == [
        "filter, hard_train",
        "base, evaluation",
        "process, seed 0, Stage I",
        "process, seed 0, Stage II",
    ]
    assert not any(sign in finished.stdout for sign in ("\r", "\x1b", "%|"))


def test_resuming_a_finished_run_does_nothing_again(finished: Any) -> None:
    kept = [path for path in files_of(finished.path) if path.name not in {"lock", "summary.json", "report.html"}]
    before = {path: path.stat().st_mtime_ns for path in kept}
    summary = summary_of(finished.config)
    again = exprl("run", finished.config, "--resume")
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    assert summary_of(finished.config) == summary


# -- kills


def kill_when(condition: Callable[[], bool], config: Path) -> None:
    """Start or go on with a run, kill -9 its process once the condition holds, and see that its workers end as well."""
    with subprocess.Popen(command("run", config, "--resume"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
        end = time.monotonic() + 300
        while not condition():
            assert run.poll() is None, f"the run ended before it could be killed: {run.stdout and run.stdout.read()!r}"
            assert time.monotonic() < end
            time.sleep(0.05)
        workers = children_of(run.pid)
        run.send_signal(signal.SIGKILL)
    assert workers
    wait_until_gone(workers)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for workers in /proc")
@pytest.mark.parametrize("parallel", [1, 2])
def test_a_run_killed_twice_ends_with_the_numbers_of_an_uninterrupted_one(
    tmp_path: Path, policy: Path, parallel: int
) -> None:
    configs = []
    for name in ("whole", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        configs.append(
            write_config(
                folder / "run.toml", policy, write_problems(tmp_path / "problems.jsonl"), parallel=parallel, steps=3
            )
        )
    whole, killed = configs
    done = exprl("run", whole)
    assert done.returncode == 0, done.stderr
    arms = killed.parent / "runs" / "tiny" / "arms"

    def rows(pattern: str) -> int:
        return sum(path.read_bytes().count(b"\n") for path in arms.glob(pattern))

    kill_when(lambda: rows("process/*/stage1/metrics.jsonl") >= 2, killed)
    kill_when(lambda: rows("*/*/stage2/metrics.jsonl") >= 1, killed)
    done = exprl("run", killed, "--resume")
    assert done.returncode == 0, done.stderr
    assert summary_of(killed) == summary_of(whole)
    assert rows_of(arms.parent) == rows_of(whole.parent / "runs" / "tiny")
    for stage in ("process/seed-0/stage1", "process/seed-0/stage2", "sparse/seed-0/stage2"):
        one, other = (
            config.parent / "runs" / "tiny" / "arms" / stage / "final" / "model.safetensors" for config in configs
        )
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_the_environment_of_a_run_is_that_of_its_command(finished: Any) -> None:
    stored = json.loads((finished.path / "config.json").read_text())
    assert stored["name"] == "tiny"
    assert not any(value in json.dumps(stored) for key, value in os.environ.items() if key.endswith("API_KEY"))
