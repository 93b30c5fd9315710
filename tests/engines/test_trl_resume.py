"""A stage that was killed, anywhere, ends with the very numbers of one that was not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import outcome, process, records, same_weights, save_policy, small, train

from exprl.config import LoraSettings, MethodConfig, PolicyConfig, SparseConfig
from exprl.engines.trl.checkpoint import latest_checkpoint


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy"))


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def killed_at(step: int, base: Path, folder: Path, method: MethodConfig, **more: object) -> None:
    def kill(row: dict[str, object]) -> None:
        if row["step"] == step:
            raise Killed

    with pytest.raises(Killed):
        train(base, folder, method, on_step=kill, **more)  # type: ignore[arg-type]


CASES: dict[str, MethodConfig] = {
    "plain": outcome(),
    "kl": process(kl=0.2, entropy_bonus=0.01),
    "two updates": outcome(updates_per_step=2, kl=0.1),
    "micro-batches": process(updates_per_step=2, micro_batch=2, kl=0.1),
    "sparse": SparseConfig.model_validate(small(normalise_std=False)),
}


@pytest.mark.parametrize(
    "name",
    [
        "kl",
        "two updates",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("plain", "micro-batches", "sparse")),
    ],
)
def test_a_killed_stage_ends_with_the_numbers_of_an_uninterrupted_one(base: Path, tmp_path: Path, name: str) -> None:
    # Five problems and two a step: the kill lies in the second pass over the problems.
    whole = train(base, tmp_path / "whole", CASES[name])
    killed_at(5, base, tmp_path / "killed", CASES[name])
    resumed = train(base, tmp_path / "killed", CASES[name])
    assert same_weights(whole, resumed)
    assert records(tmp_path / "whole") == records(tmp_path / "killed")


@pytest.mark.slow
def test_a_stage_killed_again_and_again_ends_the_same(base: Path, tmp_path: Path) -> None:
    settings = outcome(save_every=2, kl=0.1)
    whole = train(base, tmp_path / "whole", settings)
    for step in (1, 3, 4, 6):
        killed_at(step, base, tmp_path / "killed", settings)
    assert same_weights(whole, train(base, tmp_path / "killed", settings))
    assert records(tmp_path / "whole") == records(tmp_path / "killed")


def test_lora_resumes(base: Path, tmp_path: Path) -> None:
    policy = PolicyConfig(model=str(base), dtype="float32", device="cpu", lora=LoraSettings(rank=4))
    settings = outcome(kl=0.1, updates_per_step=2)
    whole = train(base, tmp_path / "whole", settings, policy=policy)
    killed_at(4, base, tmp_path / "killed", settings, policy=policy)
    assert same_weights(whole, train(base, tmp_path / "killed", settings, policy=policy))
    assert records(tmp_path / "whole") == records(tmp_path / "killed")


def test_a_stage_killed_after_its_last_step_takes_no_further_step(base: Path, tmp_path: Path) -> None:
    whole = train(base, tmp_path, outcome(steps=4, save_every=2))
    before = records(tmp_path)
    shutil.move(whole, tmp_path / "kept")
    (tmp_path / ".final").mkdir()  # the draft of a checkpoint that was not finished
    again = train(base, tmp_path, outcome(steps=4, save_every=2))
    assert same_weights(again, tmp_path / "kept")
    assert records(tmp_path) == before
    assert not (tmp_path / ".final").exists()


def test_what_a_kill_left_half_written_is_passed_over(base: Path, tmp_path: Path) -> None:
    settings = outcome()
    whole = train(base, tmp_path / "whole", settings)
    killed_at(5, base, tmp_path / "killed", settings)
    checkpoints = tmp_path / "killed" / "checkpoints"
    (checkpoints / ".writing" / "checkpoint-5").mkdir(parents=True)
    (checkpoints / ".writing" / "checkpoint-5" / "model.safetensors").write_bytes(b"half")
    (checkpoints / "step-000005").mkdir()
    (checkpoints / "step-000005" / "model.safetensors").write_bytes(b"half")
    with (tmp_path / "killed" / "rollouts.jsonl").open("ab") as file:
        file.write(b'{"id": "torn')
    newest = latest_checkpoint(checkpoints)
    assert newest is not None
    assert newest.name == "step-000003"
    assert same_weights(whole, train(base, tmp_path / "killed", settings))
    assert records(tmp_path / "whole") == records(tmp_path / "killed")


PROGRAM = """
import os, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from tiny import outcome, train
train(Path({base!r}), Path({folder!r}), outcome(kl=0.1), on_step=lambda row: row["step"] == 4 and os._exit(9))
"""


@pytest.mark.slow
def test_a_process_that_dies_at_step_four_is_resumed_by_another(base: Path, tmp_path: Path) -> None:
    whole = train(base, tmp_path / "whole", outcome(kl=0.1))
    program = PROGRAM.format(here=str(Path(__file__).parent), base=str(base), folder=str(tmp_path / "killed"))
    died = subprocess.run([sys.executable, "-c", program], env=os.environ, capture_output=True, text=True, timeout=300)
    assert died.returncode == 9, died.stderr
    assert same_weights(whole, train(base, tmp_path / "killed", outcome(kl=0.1)))
    assert records(tmp_path / "whole") == records(tmp_path / "killed")
