"""A dry run fetches nothing: sets that are not here count with their `limit`, and are said to be assumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exprl.cli.settings import load_config
from exprl.config import RunConfig
from exprl.errors import DataError
from exprl.pipeline.context import load_sets
from exprl.pipeline.sizes import planned_sizes


def config(train: dict[str, object], **evaluate: dict[str, object]) -> RunConfig:
    return RunConfig.model_validate({"name": "x", "data": {"train": train, "evaluate": evaluate}})


@pytest.fixture
def here(tmp_path: Path) -> str:
    path = tmp_path / "here.jsonl"
    rows = [{"id": f"p{i}", "problem": f"what is {i}?", "solution": str(i), "answer": str(i)} for i in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_what_is_here_is_counted_and_what_is_on_the_hub_is_assumed(here: str) -> None:
    sizes = planned_sizes(config({"path": here}, held={"path": "owner/name", "limit": 30}))
    assert sizes.sets == {"hard_train": 3, "held": 30}
    assert sizes.assumed == ("held",)
    assert "held: 30 problems assumed (data.evaluate.held.limit)" in sizes.warnings[0]
    assert "does not fetch owner/name" in sizes.warnings[0]


def test_a_file_that_is_not_there_yet_is_assumed_with_a_limit_and_names_its_key(tmp_path: Path) -> None:
    missing = str(tmp_path / "later.jsonl")
    sizes = planned_sizes(config({"path": missing, "limit": 40}))
    assert sizes.sets == {"hard_train": 40}
    assert sizes.problem_tokens == 8192
    assert "set data.train.path before the run" in sizes.warnings[0]
    with pytest.raises(DataError, match=r"no such file.*\(set data\.train\.path\)"):
        planned_sizes(config({"path": missing}))


def test_a_run_assumes_nothing(here: str, tmp_path: Path) -> None:
    missing = {"path": str(tmp_path / "later.jsonl"), "limit": 40}
    with pytest.raises(DataError, match=r"\(set data\.evaluate\.held\.path\)"):
        load_sets(config({"path": here}, held=missing))


@pytest.mark.parametrize("name", ["math-4b", "mixed-8b"])
def test_the_papers_runs_are_planned_without_data_or_a_network(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_config(Path(f"paper/{name}"))
    sizes = planned_sizes(settings)
    assert set(sizes.assumed) == {"hard_train", *settings.data.evaluate}
    assert {"sparse", "outcome"} <= set(settings.arms)
    assert settings.evaluate.n == 128


def test_the_papers_arms_have_the_papers_settings() -> None:
    arms = load_config(Path("paper/math-4b")).arms
    assert list(arms) == ["sparse", "outcome", "process", "end_norm", "group_norm", "sft", "self_distill"]
    sft, distill = arms["sft"], arms["self_distill"]
    assert sft.type == "sft"
    assert (sft.batch, sft.epochs, sft.learning_rate, sft.warmup) == (32, 2, 1e-6, 0.1)
    assert distill.type == "self_distill"
    assert (distill.learning_rate, distill.kl, distill.updates_per_step) == (1e-7, 0.0, 1)
    assert (distill.prompts_per_step, distill.rollouts_per_prompt) == (32, 16)
