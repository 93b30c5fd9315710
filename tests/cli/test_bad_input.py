"""Bad input, through the command line: exit code 2 and one line on standard error that says what, where and what to do.

Every reference holds a marker, and no output holds it. Nothing here samples or loads a model.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from exprl import cli
from exprl.runs import RunDir, read_jsonl

CANARY = "CANARY-09be"
TOML = """
name = "run"
[policy]
model = "owner/never-loaded"
[data]
train = { path = "train.jsonl" }
evaluate.held = { path = "held.jsonl" }
"""

Row = dict[str, object]


def row(name: str, text: str, **changes: object) -> Row:
    given: Row = {"id": name, "problem": text, "solution": f"{CANARY} \\boxed{{7}}", "answer": f"7 {CANARY}"}
    return {key: value for key, value in (given | changes).items() if value is not None}


TRAIN = [row("a", "What is 3 + 4?"), row("b", "What is 5 + 2?")]
HELD = [row("h", "What is 1 + 6?")]


class Cli:
    """The command line in a folder of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        (folder / "config.toml").write_text(TOML, "utf-8")
        self.write("train.jsonl", TRAIN)
        self.write("held.jsonl", HELD)

    def write(self, name: str, rows: Sequence[Row | str]) -> Path:
        path = self.folder / name
        path.write_text("".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in rows), "utf-8")
        return path

    def __call__(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """Standard output and standard error."""
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        out, err = self._capsys.readouterr()
        assert (ended.value.code or 0) == code, err
        assert CANARY not in out + err
        return out, err

    def refused(self, *arguments: str) -> str:
        """The one line on standard error, without its `error: `."""
        out, err = self(*arguments, code=2)
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err.removeprefix("error: ").rstrip("\n")


@pytest.fixture
def exprl(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)
    return Cli(tmp_path, capsys)


# -- in a process of its own


def test_the_real_command_ends_with_code_2_and_one_line(exprl: Cli) -> None:
    command = str(Path(sys.executable).with_name("exprl"))
    for arguments, said in (
        (("run", "config.toml", "--sedes=3"), "config.toml: unknown key 'sedes': did you mean 'seeds'?"),
        (("run",), 'Command "run" parameter --config requires an argument.'),
    ):
        ended = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=120, check=False)
        assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"error: {said}\n")


# -- usage and configuration


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rnu", "config.toml"), 'Unknown command "rnu"'),
        (("report",), "requires an argument"),
        (("report", "x", "--jsno"), "Unknown option: --jsno. Did you mean --json?"),
        (("run", "config.toml", "seeds=3"), "expected a flag such as --judge.model, got 'seeds=3'"),
        (("sample", "config.toml", "--out", "s.jsonl", "--n", "0"), "Must be >= 1"),
        (("eval", "config.toml", "--k", "0"), "Must be >= 1"),
        (("overlap", "train.jsonl", "held.jsonl", "--ngram", "0"), "Must be >= 1"),
        (("prime", "config.toml", "--arm", "porcess"), "no arm 'porcess' in config.toml; its arms are sparse, outcome"),
        (("run", "config.toml", "--arm", "porcess"), "no arm 'porcess' in config.toml; its arms are sparse, outcome"),
        (("amplify", "config.toml", "--stage2=false"), "has no Stage II"),
        (
            ("sample", "config.toml", "--out", "s.jsonl", "--set", "hold", "--dry-run"),
            "no set 'hold'; there are hard_train",
        ),
    ],
)
def test_wrong_usage(exprl: Cli, arguments: tuple[str, ...], said: str) -> None:
    assert said in exprl.refused(*arguments)


def test_an_unknown_key_in_the_file_says_what_was_meant(exprl: Cli) -> None:
    (exprl.folder / "config.toml").write_text(TOML.replace("model =", "modle ="), "utf-8")
    assert exprl.refused("run", "config.toml") == "config.toml: unknown key 'policy.modle': did you mean 'model'?"


def test_a_configuration_that_is_not_there(exprl: Cli) -> None:
    assert exprl.refused("run", "nothing.toml").startswith("nothing.toml: no such file; shipped configurations: ")


# -- data


@pytest.mark.parametrize("command", [("run",), ("run", "--dry-run"), ("filter",), ("prime",), ("eval", "--dry-run")])
def test_a_malformed_line_is_named_by_every_command(exprl: Cli, command: tuple[str, ...]) -> None:
    exprl.write("train.jsonl", [TRAIN[0], f'{{"id": "b", "problem": "x", "solution": {CANARY}}}'])
    said = exprl.refused(command[0], "config.toml", *command[1:])
    assert said.startswith("train.jsonl, line 2: malformed JSON at character 41")


def test_an_id_that_is_used_twice(exprl: Cli) -> None:
    exprl.write("train.jsonl", [TRAIN[0], row("a", "Another?")])
    assert exprl.refused("run", "config.toml") == (
        "train.jsonl, line 2: id 'a' is already used at train.jsonl, line 1; ids must be unique"
    )


def test_a_problem_without_a_reference_solution_in_stage_1(exprl: Cli) -> None:
    exprl.write("train.jsonl", [TRAIN[0], row("b", "And?", solution=None)])
    said = exprl.refused("run", "config.toml")
    assert said.startswith("Stage I needs a reference solution for every problem, and 1 of 2 have none: b; ")
    # Sparse RL asks no judge and needs none.
    exprl("run", "config.toml", "--arms", '{ sparse = { type = "sparse" } }', "--dry-run")


def test_a_problem_without_an_answer_names_the_set(exprl: Cli) -> None:
    exprl.write("held.jsonl", [row("h", "What is 1 + 6?", answer=None)])
    assert exprl.refused("run", "config.toml").startswith(
        "grading held: 1 of 1 problems cannot be graded (no tests and no stored answer, but a reference: only a judge can "
        "grade them): h; name the column that holds it"
    )


def test_an_evaluation_problem_that_is_a_training_problem(exprl: Cli) -> None:
    exprl.write("held.jsonl", [*HELD, row("again", "what is 3+4 ?")])
    for command in (("run",), ("run", "--dry-run"), ("prime",)):
        said = exprl.refused(command[0], "config.toml", *command[1:])
        assert said.startswith("1 problems of 'held' are also training problems (held = training: again = a)")
    out, _ = exprl("overlap", "train.jsonl", "held.jsonl", code=1)
    assert "exact  again = a" in out


def test_a_file_of_problems_that_is_not_there(exprl: Cli) -> None:
    assert "trian.jsonl" in exprl.refused("run", "config.toml", "--data.train.path=trian.jsonl")


def test_a_run_that_cannot_start_leaves_nothing_in_the_way_of_the_next(exprl: Cli) -> None:
    exprl.write("train.jsonl", ["{"])
    exprl.refused("run", "config.toml")
    exprl.refused("run", "config.toml", "--judge", '{type = "llm", model = "m", url = "localhost:80"}')
    assert not (exprl.folder / "runs").exists()


# -- coverage


def test_more_samples_asked_for_than_there_are_is_said_before_sampling(exprl: Cli) -> None:
    for more in ((), ("--dry-run",)):
        said = exprl.refused("eval", "config.toml", "--k", "128", "--evaluate.n", "64", *more)
        assert said.startswith("pass@128 needs at least 128 samples a problem, and evaluate.n is 64; ")


def test_nothing_to_evaluate_on(exprl: Cli) -> None:
    (exprl.folder / "config.toml").write_text(TOML.replace("evaluate.held", "#"), "utf-8")
    assert exprl.refused("eval", "config.toml", "--evaluate.train_problems=false").startswith("nothing to evaluate on")


# -- the judge


JUDGE = ("--judge", '{type = "llm", model = "m", url = "http://127.0.0.1:9/v1", retries = 0, timeout = 5}')


@pytest.fixture
def samples(exprl: Cli) -> Path:
    texts = {"a": "3 + 4 = 7", "b": "5 + 2 = 7 ### so 7"}
    return exprl.write("s.jsonl", [{"id": f"{p}/0", "question_id": p, "text": text} for p, text in texts.items()])


def test_a_judge_that_cannot_be_reached_stops_judging_and_leaves_nothing_to_mend(exprl: Cli, samples: Path) -> None:
    judge = ("judge", "config.toml", "--samples", str(samples), "--out", "v.jsonl")
    said = exprl.refused(*judge, *JUDGE)
    assert "2 of 2 traces could not be scored (limit 20%); most often: judge unreachable: " in said
    assert "127.0.0.1:9" in said
    assert read_jsonl("v.jsonl") == []
    out, _ = exprl(*judge, "--json")
    assert json.loads(out)["traces"] == 2


def test_the_doctor_finds_a_judge_that_cannot_be_reached(exprl: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = exprl("doctor", "config.toml", *JUDGE, code=1)
    assert err == ""
    failed = [line for line in out.splitlines() if line.startswith("FAIL")]
    assert failed == ["FAIL judge: m: judge unreachable: ClientConnectorError at 127.0.0.1:9"]
    out, _ = exprl("doctor", "config.toml", *JUDGE, "--json", code=1)
    assert [finding["what"] for finding in json.loads(out) if not finding["ok"]] == ["judge"]


def test_the_doctor_finds_what_a_run_would_refuse(exprl: Cli) -> None:
    exprl.write("train.jsonl", [TRAIN[0], TRAIN[0]])
    out, _ = exprl("doctor", "config.toml", "--policy.model=world:chian", code=1)
    failed = [line.partition(":")[0] for line in out.splitlines() if line.startswith("FAIL")]
    assert failed == ["FAIL policy", "FAIL data"]


def test_samples_that_are_none(exprl: Cli) -> None:
    exprl.write("s.jsonl", [{"a": 1}])
    assert exprl.refused("judge", "config.toml", "--samples", "s.jsonl", "--out", "v.jsonl").startswith(
        "s.jsonl, line 1: "
    )


# -- checkpoints


def folder_without_settings(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def folder_with_damaged_settings(folder: Path) -> None:
    weights(folder)
    (folder / "config.json").write_text('{"model_type": ', "utf-8")


def folder_with_other_settings(folder: Path) -> None:
    weights(folder)
    (folder / "config.json").write_text('{"name": "a run"}', "utf-8")


def folder_with_pickled_weights(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "llama"}', "utf-8")
    (folder / "pytorch_model.bin").write_bytes(b"")


def folder_with_half_the_weights(folder: Path) -> None:
    weights(folder)
    (folder / "config.json").write_text('{"model_type": "llama"}', "utf-8")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def weights(folder: Path) -> None:
    header = json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            folder_without_settings,
            "not a checkpoint: config.json is missing; give the folder that save_pretrained wrote",
        ),
        (folder_with_damaged_settings, "config.json is damaged: "),
        (folder_with_other_settings, "config.json names no model_type"),
        (folder_with_pickled_weights, "no *.safetensors in it; pickled weights are not loaded"),
        (folder_with_half_the_weights, "damaged weights"),
    ],
)
def test_a_folder_that_is_no_checkpoint(exprl: Cli, make: Callable[[Path], None], said: str) -> None:
    folder = exprl.folder / "model"
    folder.mkdir()
    make(folder)
    assert said in exprl.refused("run", "config.toml", "--policy.model=./model")
    assert said in exprl.refused("sample", "config.toml", "--out=s.jsonl", "--policy", "./model")


def test_a_path_that_is_not_there(exprl: Cli) -> None:
    assert exprl.refused("run", "config.toml", "--policy.model=./nothing").startswith(
        "./nothing: no such folder; give "
    )
    assert exprl.refused("eval", "config.toml", "--policy", "/no/thing").startswith("/no/thing: no such folder; give ")


def test_a_world_that_is_not_there(exprl: Cli) -> None:
    assert exprl.refused("run", "config.toml", "--policy.model=world:chian").startswith("world:chian: no such world; ")


def test_a_hub_id_that_cannot_be_fetched(exprl: Cli) -> None:
    said = exprl.refused("sample", "config.toml", "--out", "s.jsonl")
    assert said.startswith("owner/never-loaded: cannot be loaded (OSError: ")
    assert not (exprl.folder / "s.jsonl").exists()


# -- run directories


@pytest.fixture
def started(exprl: Cli) -> RunDir:
    from exprl.cli.settings import load_config

    return RunDir.create(exprl.folder / "runs" / "run", load_config(Path("config.toml")))


def test_a_run_that_is_there_already_is_not_started_again(exprl: Cli, started: RunDir) -> None:
    assert exprl.refused("run", "config.toml") == (
        "runs/run exists already, with the same configuration; add --resume to continue it, or give the run another name"
    )


def test_a_run_is_not_resumed_with_another_configuration(exprl: Cli, started: RunDir) -> None:
    before = (started.path / "config.json").read_bytes()
    said = exprl.refused("run", "config.toml", "--resume", "--arms.process.steps=7", "--evaluate.n=3")
    assert said.startswith("runs/run cannot be resumed: it exists with another configuration (")
    assert "arms.process.steps: 230 there, 7 now" in said
    assert "evaluate.n: 128 there, 3 now" in said
    assert (started.path / "config.json").read_bytes() == before


def test_a_run_that_another_process_works_on(exprl: Cli, started: RunDir) -> None:
    with started.lock():
        assert f"process {os.getpid()} runs" in exprl.refused("run", "config.toml", "--resume")


def test_stage_2_without_stage_1(exprl: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    said = exprl.refused("amplify", "config.toml", "--data.filter=false")
    assert "stage1/final is missing: Stage II starts from it; run `exprl prime` first" in said


def test_a_report_of_what_is_no_run(exprl: Cli) -> None:
    assert exprl.refused("report", "nothing").startswith("nothing is not a run directory: it has no config.json; ")


# -- the disk


def test_a_disk_without_room(exprl: Cli, samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, room = os.write, [50]  # the disk is full in the middle of the first row

    def write(handle: int, data: bytes) -> int:
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, data[: room.pop()])

    judge = ("judge", "config.toml", "--samples", str(samples), "--out", "v.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr("exprl.disk.files.os.write", write)
        said = exprl.refused(*judge)
    assert not room
    assert said.startswith("no room on the disk for v.jsonl (")
    assert said.endswith("free); make some and run again with --resume: all finished work is kept")
    assert (exprl.folder / "v.jsonl").read_bytes() == b""
    exprl(*judge)
    assert len(read_jsonl("v.jsonl")) == 3


def test_a_disk_that_is_full_when_a_run_is_made(exprl: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    said = exprl.refused("run", "config.toml")
    assert said.startswith("no room on the disk for ")
    assert not (exprl.folder / "runs" / "run" / "config.json").exists()


def test_a_full_disk_is_recognised_in_the_words_of_the_libraries_that_write_checkpoints() -> None:
    from safetensors import SafetensorError

    from exprl.errors import RunError
    from exprl.runs import disk_room

    for error in (
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
    ):
        with pytest.raises(RunError, match="no room on the disk"), disk_room("x"):
            raise error
    with pytest.raises(RuntimeError, match="another"), disk_room("x"):
        raise RuntimeError("another fault")


def test_a_folder_that_cannot_be_written(exprl: Cli) -> None:
    (exprl.folder / "file").write_text("")
    assert "file" in exprl.refused("run", "config.toml", "--output", "file")


def test_a_plan_of_one_arm_is_of_that_arm_and_of_the_stage_that_is_asked_for(exprl: Cli) -> None:
    def planned(*arguments: str) -> set[str]:
        out, _ = exprl(*arguments, "--dry-run", "--json")
        return {row["what"] for row in json.loads(out)["plan"]["rows"]}

    assert not any("sparse" in what for what in planned("run", "config.toml", "--arm", "outcome"))
    assert any("sparse" in what for what in planned("run", "config.toml"))
    primed, amplified = planned("prime", "config.toml"), planned("amplify", "config.toml")
    assert any(what.endswith("Stage I") for what in primed)
    assert not any(what.endswith("Stage II") for what in primed)
    assert any(what.endswith("Stage II") for what in amplified)
    assert not any(what.endswith("Stage I") for what in amplified)
