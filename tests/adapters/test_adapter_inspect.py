"""Inspect itself runs the scorer, writes its log and reads it back; no reference is in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from teas import CANARY, PROBLEMS

from loading import load

pytest.importorskip("inspect_ai", reason="inspect_ai is not installed: pip install 'exprl[inspect]'")
pytestmark = pytest.mark.filterwarnings("default")  # the package's own warnings are not ours to mend

from inspect_ai import Task, eval  # noqa: E402
from inspect_ai.dataset import Sample  # noqa: E402
from inspect_ai.log import read_eval_log  # noqa: E402
from inspect_ai.model import ModelOutput, ModelUsage, get_model  # noqa: E402

from exprl.adapters.inspect import hidden_reference  # noqa: E402
from exprl.types import Submission, Verdict  # noqa: E402


class Quotes:
    """A judge that quotes the reference, and cannot score prose."""

    name = template_hash = "quotes"

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        return [tuple(self._verdict(one) for _ in one.cuts) for one in submissions]

    def _verdict(self, one: Submission) -> Verdict:
        if one.problem.id == "law":
            return Verdict(None, unscored="timeout", raw=CANARY)
        return Verdict(0.5, raw=CANARY, judge=self.name)

    async def aclose(self) -> None:
        """Nothing."""


def test_the_example_runs_and_its_log_reads_back_with_steps_and_credit(tmp_path: Path) -> None:
    log = load("inspect_scorer").run(str(tmp_path))
    assert log.status == "success"
    again = read_eval_log(log.location)
    scores: dict[str, Any] = {str(sample.id): sample.scores["exprl"] for sample in again.samples or []}
    assert {name: score.value for name, score in scores.items()} == {"teas": 1.0, "cups": 0.0}
    steps = scores["teas"].metadata["steps"]
    assert [(step["tools"], step["score"]) for step in steps] == [(["times"], 0.25), ([], 1.0)]
    assert [step["credit"] for step in steps] == [-0.75, 0.75]
    assert again.results.scores[0].metrics["mean"].value == 0.5


def test_a_log_holds_no_reference_and_no_word_of_the_judge(tmp_path: Path) -> None:
    outputs = [ModelOutput.from_content("mockllm/model", "The answer is 17.") for _ in PROBLEMS]
    for output in outputs:
        output.usage = ModelUsage()
    task = Task(
        dataset=[Sample(id=problem.id, input=problem.text) for problem in PROBLEMS],
        scorer=hidden_reference(PROBLEMS, Quotes(), verifier=None),
    )
    (log,) = eval(
        task,
        model=get_model("mockllm/model", custom_outputs=outputs),
        log_dir=str(tmp_path),
        display="none",
        log_format="json",
    )
    assert log.status == "success"
    assert [file for file in tmp_path.rglob("*") if file.is_file() and CANARY in file.read_text("utf-8")] == []
    law = next(sample for sample in log.samples or [] if sample.id == "law").scores["exprl"]
    assert math.isnan(float(law.value))  # unscored, as Inspect has it
    assert law.explanation == "timeout"
    assert log.results.scores[0].metrics["mean"].value == 0.5  # over what was scored


def test_a_sample_without_a_problem_fails_and_says_which(tmp_path: Path) -> None:
    task = Task(dataset=[Sample(id="tees", input="?")], scorer=hidden_reference(PROBLEMS))
    output = ModelOutput.from_content("mockllm/model", "hm")
    output.usage = ModelUsage()
    model = get_model("mockllm/model", custom_outputs=[output])
    (log,) = eval(task, model=model, log_dir=str(tmp_path), display="none")
    assert log.status == "error"
    assert log.error is not None
    assert "Inspect asks for problem 'tees'" in log.error.message
