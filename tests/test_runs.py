"""A run directory survives being killed at any byte, belongs to one configuration and to one process."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.config import RunConfig
from exprl.disk import lock as lock_module
from exprl.errors import RunError
from exprl.runs import (
    RunDir,
    append_jsonl,
    disk_room,
    environment,
    is_done,
    mark_done,
    read_json,
    read_jsonl,
    repair_jsonl,
    write_json,
    write_jsonl,
    write_text,
)
from exprl.types import Reference


def config(**changes: object) -> RunConfig:
    return RunConfig.model_validate({"name": "demo", "data": {"train": {"path": "train.jsonl"}}, **changes})


def llm(**changes: object) -> dict[str, object]:
    return {"type": "llm", "model": "m", **changes}


# -- files


def test_rows_come_back_as_they_were_appended(tmp_path: Path) -> None:
    path = tmp_path / "a" / "rows.jsonl"
    assert read_jsonl(path) == []
    append_jsonl(path, [{"n": 1}, {"text": "zwei\nlines \u2028 \ud800", "score": None}])
    append_jsonl(path, [])
    append_jsonl(path, [{"n": 3}], fsync=True)
    assert read_jsonl(path) == [{"n": 1}, {"text": "zwei\nlines \u2028 \ud800", "score": None}, {"n": 3}]
    assert len(path.read_bytes().splitlines()) == 3


@given(st.integers(min_value=0))
def test_a_file_cut_at_any_byte_loses_only_its_torn_row(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "rows.jsonl"
    rows: list[dict[str, object]] = [{"n": n, "text": "ä" * n} for n in range(5)]
    append_jsonl(path, rows)
    data = path.read_bytes()
    cut %= len(data) + 1
    path.write_bytes(data[:cut])
    whole = data[:cut].count(b"\n")
    assert read_jsonl(path) == rows[:whole]
    append_jsonl(path, [{"n": "next"}])
    assert read_jsonl(path) == [*rows[:whole], {"n": "next"}]


def test_repairing_says_how_much_was_dropped_even_of_a_long_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert repair_jsonl(path) == 0
    path.write_bytes(b'{"n":1}\n' + b"x" * 200_000)
    assert repair_jsonl(path) == 200_000
    assert repair_jsonl(path) == 0
    path.write_bytes(b"\0" * 100)  # what a power cut may leave
    assert repair_jsonl(path) == 100
    assert read_jsonl(path) == []


@pytest.mark.parametrize("line", ['{"secret": "CANARY"', '["CANARY"]', "\\xff"])
def test_a_malformed_line_is_named_and_not_quoted(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"n": 1}}\n{line}\n{{"n": 3}}\n')
    with pytest.raises(RunError, match=r"rows\.jsonl, line 2: malformed JSON") as caught:
        read_jsonl(path)
    assert "CANARY" not in str(caught.value)


def test_what_json_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with pytest.raises(RunError, match="an unscored value is written as None"):
        append_jsonl(path, [{"ok": 1}, {"reward": float("nan")}])
    with pytest.raises(TypeError, match="not JSON serializable"):
        append_jsonl(path, [{"reference": Reference("CANARY", None)}])
    assert not path.exists()


def test_json_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "summary.json"
    write_json(path, {"a": 1})

    def killed(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["summary.json"]


def test_text_and_row_files_are_replaced_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "report.html", "<p>ä \ud800</p>")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "<p>ä \\ud800</p>"
    append_jsonl(tmp_path / "rows.jsonl", [{"n": 1}])
    write_jsonl(tmp_path / "rows.jsonl", [{"n": 2}, {"n": 3}])
    assert read_jsonl(tmp_path / "rows.jsonl") == [{"n": 2}, {"n": 3}]


def test_reading_json_that_is_not_there_or_broken_is_a_run_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such file"):
        read_json(tmp_path / "x.json")
    (tmp_path / "x.json").write_text("[1]")
    with pytest.raises(RunError, match="expected an object, found list"):
        read_json(tmp_path / "x.json")


def test_a_full_disk_takes_back_the_batch_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.jsonl"
    append_jsonl(path, [{"n": 1}])
    write = os.write

    def nearly_full(handle: int, data: bytes) -> int:
        if len(data) <= 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data[:-4])

    monkeypatch.setattr(os, "write", nearly_full)
    with pytest.raises(RunError, match=r"no room on the disk for rows\.jsonl \(.*B free\).* --resume"):
        append_jsonl(path, [{"n": 2}, {"n": 3}])
    monkeypatch.undo()
    assert read_jsonl(path) == [{"n": 1}]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_that_is_really_full_is_reported() -> None:
    with pytest.raises(RunError, match="no room on the disk"), disk_room("/dev/full"), open("/dev/full", "wb") as file:
        file.write(b"x")


def test_other_disk_errors_pass_through(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), disk_room(tmp_path):
        raise PermissionError(errno.EACCES, "no")


# -- the directory


def test_a_new_run_holds_its_configuration_and_environment(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "runs" / "demo", config())
    assert RunDir.open(run.path) == run
    assert set(read_json(run.path / "environment.json")) >= {"python", "cpus", "packages"}


def test_files_lie_where_the_layout_says(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, config())
    stage = run.stage("process", 0, "stage1")
    assert stage.metrics.relative_to(tmp_path).as_posix() == "arms/process/seed-0/stage1/metrics.jsonl"
    assert stage.evaluation("aime26").samples.relative_to(stage.path).as_posix() == "eval/aime26/samples.jsonl"
    assert run.base("hard_train").samples.relative_to(tmp_path).as_posix() == "base/hard_train/samples.jsonl"
    with pytest.raises(RunError, match=r"'\.\./x' cannot be a folder's name"):
        run.base("../x")


def test_an_existing_run_is_not_created_again(tmp_path: Path) -> None:
    RunDir.create(tmp_path, config())
    with pytest.raises(RunError, match="with the same configuration; add --resume to continue it"):
        RunDir.create(tmp_path, config())
    with pytest.raises(RunError, match=r"seeds: \[0\] there, \[1, 2\] now; stage2: a table .*there, None now"):
        RunDir.create(tmp_path, config(seeds=[1, 2], stage2=None))


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match="exists and is no run directory"):
        RunDir.create(tmp_path, config())
    with pytest.raises(RunError, match=r"it has no config\.json"):
        RunDir.open(tmp_path)


def test_a_run_killed_while_being_made_can_be_made_again(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / "environment.json").write_text("{}")
    (tmp_path / ".config.json.12.tmp").write_text("{")
    RunDir.create(tmp_path, config())


def test_resuming_refuses_what_would_compute_something_else(tmp_path: Path) -> None:
    RunDir.create(tmp_path, config(judge=llm()))
    with pytest.raises(RunError, match=r"cannot be resumed.*judge\.model: 'm' there, 'n' now"):
        RunDir.resume(tmp_path, config(judge=llm(model="n")))
    with pytest.raises(RunError, match=r"arms\.mine: nothing there, a table of type sparse now"):
        RunDir.resume(tmp_path, config(judge=llm(), arms={"mine": {"type": "sparse"}}))


def test_resuming_allows_what_only_says_how_and_records_it(tmp_path: Path) -> None:
    RunDir.create(tmp_path, config(judge=llm()))
    changed = config(judge=llm(url="http://elsewhere/v1", concurrency=4), parallel=3, unscored_limit=0.5)
    assert RunDir.resume(tmp_path, changed).config == changed
    assert RunDir.open(tmp_path).config == changed


def test_a_configuration_of_another_version_is_named_by_key(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {**config().model_dump(mode="json"), "bogus": 1})
    with pytest.raises(RunError, match="not a configuration of this version: bogus"):
        RunDir.open(tmp_path)


def test_finished_work_is_marked(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, config())
    stage = run.stage("process", 0, "stage1")
    for path in (stage.path, run.filter):
        assert not is_done(path)
        mark_done(path, steps=3)
        assert is_done(path)
    assert json.loads((stage.path / "DONE.json").read_text()) == {"steps": 3}
    assert (run.path / "filter.DONE.json").exists()


# -- the lock


def test_one_process_at_a_time_and_the_next_after_it(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, config())
    with run.lock(), pytest.raises(RunError, match=f"process {os.getpid()} runs .* already"), run.lock():
        pass
    with run.lock():
        pass


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, config())
    hold = f"import sys, time; from exprl.runs import RunDir; run = RunDir.open({str(tmp_path)!r})\n"
    hold += "with run.lock(): print('held', flush=True); time.sleep(60)"
    owner = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    with owner, owner.stdout:
        assert owner.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match=f"process {owner.pid} runs"), run.lock():
            pass
        owner.kill()
        deadline = time.monotonic() + 10
        while lock_module._alive(owner.pid, lock_module._started(owner.pid)) and time.monotonic() < deadline:
            if lock_module._started(owner.pid) == -1:  # dead, not yet waited for: no owner either
                break
            time.sleep(0.01)
        with run.lock():
            pass


def test_a_process_id_used_again_is_no_owner(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, config())
    (tmp_path / "lock").write_text(json.dumps({**lock_module._myself(), "started": 1}))
    with run.lock():
        pass


def test_a_torn_lock_is_no_lock_and_another_machines_is_named(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, config())
    (tmp_path / "lock").write_text('{"pid": 1')
    with run.lock():
        pass
    (tmp_path / "lock").write_text(json.dumps({"pid": 1, "started": 1, "machine": "other"}))
    with pytest.raises(RunError, match=r"another machine runs .* delete .*lock"), run.lock():
        pass


def test_the_environment_names_versions_and_nobody() -> None:
    found = environment()
    assert found["packages"]["exprl"]
    assert found["python"] == sys.version.split()[0]
    text = json.dumps(found)
    for private in (str(Path.home()), os.getcwd(), sys.prefix, os.uname().nodename):
        assert private not in text


def test_resuming_allows_another_endpoint_of_a_panels_member_too(tmp_path: Path) -> None:
    def panel(**changed: object) -> dict[str, object]:
        return {"type": "panel", "members": {"one": {"judge": {"type": "llm", "model": "m", **changed}}}}

    RunDir.create(tmp_path, config(judge=panel()))
    RunDir.resume(tmp_path, config(judge=panel(url="http://elsewhere/v1")))
    with pytest.raises(RunError, match="cannot be resumed"):
        RunDir.resume(tmp_path, config(judge=panel(samples=3, temperature=1.0)))
