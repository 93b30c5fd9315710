"""verifiers itself runs the reward and the judge; the trace that it saves holds no reference."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from teas import CANARY, PROBLEMS

from loading import EXAMPLES, load

pytest.importorskip("verifiers.v1", reason="verifiers is not installed: pip install 'exprl[verifiers]'")
pytestmark = pytest.mark.filterwarnings("default")  # the package's own warnings are not ours to mend

import verifiers.v1 as vf  # noqa: E402

from exprl.adapters.verifiers import judge_class, outcome_reward  # noqa: E402
from exprl.types import Submission, Verdict  # noqa: E402


class Quotes:
    """A judge that quotes the reference and has one score to give."""

    name = template_hash = "quotes"

    def __init__(self, score: float | None) -> None:
        self._score = score

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        unscored = "timeout" if self._score is None else None
        return [(Verdict(self._score, unscored, raw=CANARY, judge=self.name),) * len(one.cuts) for one in submissions]

    async def aclose(self) -> None:
        """Nothing."""


class Marked(vf.Task[vf.TaskData, vf.State, vf.TaskConfig]):  # type: ignore[misc]
    reward = outcome_reward(PROBLEMS, Quotes(0.5), verifier=None, weight=2.0)


class Silent(vf.Task[vf.TaskData, vf.State, vf.TaskConfig]):  # type: ignore[misc]
    reward = outcome_reward(PROBLEMS, Quotes(None), verifier=None)


def trace_of(task: Any) -> Any:
    example = load("verifiers_reward")
    return example.traced(task, example.conversation("The answer is 17."))


async def test_the_example_rewards_what_is_right_and_shows_the_steps() -> None:
    example = load("verifiers_reward")
    right, wrong = await example.scored("12+5=17. The answer is 17."), await example.scored("The answer is 12.")
    assert (right.rewards["exprl_outcome"].score, wrong.rewards["exprl_outcome"].score) == (1.0, 0.0)
    assert [step["score"] for step in right.info["exprl"]["steps"]] == [0.25, 1.0]
    assert [step["tools"] for step in right.info["exprl"]["steps"]] == [["calculate"], []]


async def test_a_judge_is_plugged_by_its_modules_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    sys.modules.pop("verifiers_reward", None)
    config = vf.TaskConfig(judges=[{"id": "verifiers_reward", "weight": 0.5}])
    trace = await load("verifiers_reward").scored("The answer is 17.", config)
    assert trace.rewards["verifiers_reward"].weight == 0.5
    assert trace.rewards["verifiers_reward"].score == 0.25  # the judge alone: one of three milestones


async def test_what_verifiers_saves_holds_no_reference_and_no_word_of_the_judge() -> None:
    task = Marked(vf.TaskData(id="teas", prompt=PROBLEMS[0].text))
    trace = trace_of(task)
    await task.score(trace)
    assert trace.rewards["exprl_outcome"].value == 1.0  # 0.5, weight 2
    assert CANARY not in trace.model_dump_json()
    assert CANARY not in json.dumps(trace.to_record())


async def test_an_unscored_trace_is_an_error_and_its_reward_stays_unset() -> None:
    task = Silent(vf.TaskData(id="teas", prompt=PROBLEMS[0].text))
    trace = trace_of(task)
    with pytest.raises(vf.TaskError, match="the trace is unscored"):
        await task.score(trace)
    assert trace.rewards["exprl_outcome"] is None
    assert trace.info["exprl"]["unscored"] == "timeout"


async def test_a_task_without_a_known_id_is_an_error() -> None:
    task = Marked(vf.TaskData(prompt="?"))
    with pytest.raises(vf.TaskError, match="verifiers asks for problem None"):
        await task.score(trace_of(task))


def test_a_judge_class_is_one_of_verifiers_own() -> None:
    assert issubclass(judge_class(PROBLEMS), vf.Judge)
