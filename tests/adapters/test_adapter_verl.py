"""verl's reward function: called by the names that verl uses, and by verl's own loader where it is installed."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import pytest
from teas import CANARY, RIGHT, write_problems

from exprl.adapters.verl import compute_score
from exprl.errors import ConfigError, DataError, JudgeError
from loading import load


def asked(response: str, problems: Path, name: str = "teas", **more: object) -> dict[str, float]:
    return asyncio.run(
        compute_score(
            data_source="x", solution_str=response, ground_truth=name, extra_info={}, problems=str(problems), **more
        )  # type: ignore[arg-type]
    )


def test_a_response_is_rewarded_by_its_problems_reference(tmp_path: Path) -> None:
    problems = write_problems(tmp_path / "p.jsonl")
    assert asked(RIGHT, problems) == {"score": 1.0, "acc": 1.0}
    assert asked("3*4=12", problems) == {"score": 0.0, "acc": 0.0}
    assert asked("3*4=12", problems, verifier=None) == {"score": 0.25, "acc": 0.0}
    assert asked(RIGHT, problems, judge={"type": "milestone"}, verifier=None)["score"] == 1.0


def test_what_verl_adds_is_taken_and_not_read(tmp_path: Path) -> None:
    problems = write_problems(tmp_path / "p.jsonl")
    assert asked(RIGHT, problems, reward_router_address="x", reward_model_tokenizer=object())["acc"] == 1.0


def test_an_unscored_response_is_an_error_and_never_0(tmp_path: Path) -> None:
    problems = write_problems(tmp_path / "p.jsonl")
    with pytest.raises(JudgeError, match="problem 'law': a response is unscored") as caught:
        asked("Because.", problems, name="law")
    assert CANARY not in str(caught.value)


def test_wrong_ids_and_tables_are_refused(tmp_path: Path) -> None:
    problems = write_problems(tmp_path / "p.jsonl")
    with pytest.raises(DataError, match="verl asks for problem '17'"):
        asked(RIGHT, problems, name="17")  # an answer where the id belongs
    with pytest.raises(ConfigError, match=r"reward_kwargs\.judge: llm\.modell"):
        asked(RIGHT, problems, judge={"type": "llm", "model": "m", "modell": "m"})


def test_it_is_a_coroutine_with_the_names_that_verl_passes() -> None:
    assert inspect.iscoroutinefunction(compute_score)  # else verl would call it in a thread
    names = list(inspect.signature(compute_score).parameters)
    assert names[:4] == ["data_source", "solution_str", "ground_truth", "extra_info"]


def test_the_example_runs(tmp_path: Path) -> None:
    found = asyncio.run(load("verl_reward").rewards(tmp_path, ["3*4=12, 12+5=17, so \\boxed{17}", "3*4=12"]))
    assert [reward["score"] for reward in found] == [1.0, 0.25]


@pytest.mark.filterwarnings("default")
def test_verls_own_loader_finds_and_calls_it(tmp_path: Path) -> None:
    reward = pytest.importorskip("verl.trainer.ppo.reward", reason="verl is not installed")
    omegaconf = pytest.importorskip("omegaconf", reason="verl is not installed")
    problems = write_problems(tmp_path / "p.jsonl")
    config = omegaconf.OmegaConf.create(
        {
            "reward": {
                "custom_reward_function": {
                    "path": "pkg://exprl.adapters.verl",
                    "name": "compute_score",
                    "reward_kwargs": {"problems": str(problems), "judge": {"type": "milestone"}, "verifier": None},
                }
            }
        }
    )
    function = reward.get_custom_reward_fn(config)
    assert inspect.iscoroutinefunction(function)
    found = asyncio.run(function(data_source="x", solution_str="3*4=12", ground_truth="teas", extra_info={}))
    assert found == {"score": 0.25, "acc": 0.0}
