"""A mark in every reference is seen by the judge, in the judge's record, and nowhere else."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from rich.console import Console
from tiny_run import exprl, files_of, judge_server, write_config, write_problems

from conftest import MARKS, canary
from exprl.cli.settings import load_config
from exprl.errors import UnscoredLimitError
from exprl.pipeline.jobs import Job, run_job
from exprl.pipeline.run import open_run, prepare
from exprl.runs import RunDir, read_jsonl

EVALUATORS = {"verdicts.jsonl", "report.html", "judge.sqlite", "judge.sqlite-wal"}


def marked(data: bytes) -> list[str]:
    return [mark for mark in MARKS if mark.encode() in data]


def test_the_mark_reaches_the_judge_and_its_record(finished: Any) -> None:
    raw = [row["raw"] for row in read_jsonl(finished.path / "arms/process/seed-0/stage1/verdicts.jsonl")]
    assert sum(all(mark in str(text) for mark in MARKS) for text in raw) >= 1


def test_no_file_of_the_policys_side_holds_the_mark(finished: Any) -> None:
    files = files_of(finished.path)
    kinds = {path.suffix for path in files}
    assert {".json", ".jsonl", ".safetensors", ".html", ".pt", ".pth"} <= kinds
    leaks = {
        str(path.relative_to(finished.path)): marked(path.read_bytes()) for path in files if marked(path.read_bytes())
    }
    assert {Path(name).name for name in leaks} <= EVALUATORS
    assert not any("stage2" in name for name in leaks)


def test_the_report_holds_the_mark_in_the_evaluators_section_only(finished: Any) -> None:
    class Sections(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.inside: list[str | None] = [None]
            self.found: set[str | None] = set()

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "section":
                self.inside.append(dict(attrs)["data-side"])
            if any(mark in (value or "") for _, value in attrs for mark in MARKS):
                self.found.add("an attribute")

        def handle_endtag(self, tag: str) -> None:
            if tag == "section":
                self.inside.pop()

        def handle_data(self, data: str) -> None:
            if any(mark in data for mark in MARKS):
                self.found.add(self.inside[-1])

    reader = Sections()
    reader.feed((finished.path / "report.html").read_text())
    assert reader.found == {"evaluator"}


def test_no_process_of_the_run_shows_the_mark(finished: Any) -> None:
    assert not marked((finished.stdout + finished.stderr).encode())
    assert not marked(finished.environments)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that a tokenizer encodes, that a dataset holds, and that a model reads, as text."""
    import datasets
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    from exprl.worlds.tokenizer import make_tokenizer

    seen: list[str] = []
    tokenizer = make_tokenizer()

    def spy(owner: type, name: str, read: Any) -> None:
        before = getattr(owner, name)

        def wrapped(*args: Any, **more: Any) -> Any:
            seen.append(read(*args, **more))
            return before(*args, **more)

        monkeypatch.setattr(owner, name, wrapped)

    spy(PreTrainedTokenizerFast, "__call__", lambda self, *args, **more: f"encoded {args} {more}")
    spy(PreTrainedTokenizerFast, "encode", lambda self, *args, **more: f"encoded {args} {more}")
    before = LlamaForCausalLM.forward

    def forward(self: Any, *args: Any, **more: Any) -> Any:
        ids: torch.Tensor = more["input_ids"]
        if ids.shape[1] > 1:
            seen.extend(f"read {text}" for text in tokenizer.batch_decode(ids))
        return before(self, *args, **more)

    forward.__wrapped__ = before  # type: ignore[attr-defined]
    monkeypatch.setattr(LlamaForCausalLM, "forward", forward)
    from_list = datasets.Dataset.from_list
    monkeypatch.setattr(
        datasets.Dataset, "from_list", lambda rows, *args: seen.append(f"dataset {rows}") or from_list(rows, *args)
    )
    return seen


def prepared(tmp_path: Path, policy: Path, judge: str = "") -> RunDir:
    """A run in this process, filtered and ready for its jobs."""
    problems = write_problems(tmp_path / "problems.jsonl", canary)
    config = load_config(write_config(tmp_path / "run.toml", policy, problems, arms=("process",), judge=judge))
    run = open_run(config, resume=False)
    with (tmp_path / "out.txt").open("w") as out:
        prepare(run, Console(file=out))
    assert not marked((tmp_path / "out.txt").read_bytes())
    return run


def test_the_policy_reads_no_mark(tmp_path: Path, policy: Path, shown: list[str]) -> None:
    run = prepared(tmp_path, policy)
    for job in (
        Job(run.path, "base"),
        Job(run.path, "train", "process"),
        Job(run.path, "train", "process", 0, "stage2"),
    ):
        run_job(job)
    assert {text.split()[0] for text in shown} == {"encoded", "read", "dataset"}
    assert sum("steps from" in text for text in shown) > 20
    assert not [text for text in shown if any(mark in text for mark in MARKS)]


def broken(asked: list[str]) -> Callable[[str], web.Response]:
    """A server that fails and quotes what it was asked."""

    def reply(prompt: str) -> web.Response:
        asked.append(prompt)
        return web.Response(status=500, text=f"cannot read: {prompt}")

    return reply


def test_the_error_of_a_judge_that_fails_and_quotes_holds_no_mark(
    tmp_path: Path, policy: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []
    with judge_server(broken(asked)) as judge:
        run = prepared(tmp_path, policy, judge)
        with pytest.raises(UnscoredLimitError) as caught:
            run_job(Job(run.path, "train", "process"))
    assert any(MARKS[0] in prompt for prompt in asked)
    told = "".join([*traceback.format_exception(caught.value), *capfd.readouterr(), caplog.text])
    assert not marked(told.encode())
    assert not [path for path in files_of(run.path) if marked(path.read_bytes())]


@pytest.mark.slow
def test_a_judge_that_fails_and_quotes_stops_the_run_without_a_mark(tmp_path: Path, policy: Path) -> None:
    problems = write_problems(tmp_path / "problems.jsonl", canary)
    with judge_server(broken([])) as judge:
        config = write_config(tmp_path / "run.toml", policy, problems, arms=("process",), judge=judge)
        done = exprl("run", config)
    assert done.returncode == 2
    assert done.stderr.startswith("error: step 1: ")
    assert "--resume" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not marked((done.stdout + done.stderr).encode())
    assert not [path for path in files_of(tmp_path / "runs") if marked(path.read_bytes())]
