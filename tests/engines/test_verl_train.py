"""A real run of verl's trainer without a GPU: its Ray workers, its data plane, FSDP over gloo, its checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("verl", reason="verl is not installed; pip install 'exprl[verl]'")
pytest.importorskip("transfer_queue", reason="TransferQueue is not installed; pip install 'exprl[verl]'")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

import verl_world as world  # noqa: E402
from verl_world import CANARY, GROUP, PROBLEMS  # noqa: E402

from exprl.pipeline.cluster import train_on_cluster  # noqa: E402
from exprl.pipeline.context import TRAIN_SET, load_sets  # noqa: E402
from exprl.runs import read_jsonl  # noqa: E402
from local_server import in_a_thread  # noqa: E402


@pytest.mark.parametrize("arm", ["process", "self_distill"])
def test_verl_trains_a_stage_and_leaves_the_run_directory_of_one_machine(arm: str, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    policy = world.save_policy(tmp_path / "policy", attentive=arm == "self_distill")
    rows: list[dict[str, object]] = []
    with in_a_thread(world.judge_server()) as judge:
        run = world.make_run(tmp_path, policy, judge.url, rollout="cpu")
        folder = run.stage(arm, 0, "stage1")
        problems = load_sets(run.config)[TRAIN_SET]
        method = run.config.arms[arm]
        final = train_on_cluster(run, (arm, 0, "stage1"), method, str(policy), folder, problems, rows.append)
    assert [row["step"] for row in rows] == [1, 2]
    assert any(float(str(row["grad_norm"])) > 0 for row in rows)
    if arm == "self_distill":
        # Step 1: the loss, of the trainer's log-probabilities, is what the record says, of the sampler's.
        first = [row for row in read_jsonl(folder.rollouts) if row["step"] == 1]
        tokens = np.array([int(str(row["tokens"])) for row in first])
        credit = np.array([float(row["advantages"][0]) for row in first])  # type: ignore[index]
        assert float(str(rows[0]["loss"])) == pytest.approx(-(credit * tokens).sum() / tokens.sum(), abs=1e-4)
        assert np.abs(credit).max() > 1e-3
    else:
        assert any(float(str(row["reward"])) > 0 for row in rows)
    assert [row["rollouts"] for row in rows] == [PROBLEMS * GROUP] * 2
    assert read_jsonl(folder.metrics) == rows
    before, after = load_file(policy / "model.safetensors"), load_file(final / "model.safetensors")
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    said = [file.read_text("utf-8", "replace") for file in folder.path.glob("verl*") if file.is_file()]
    assert said
    assert all(CANARY not in text for text in said)
    assert not (folder.path / "parts").exists()
