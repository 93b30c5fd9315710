"""verl itself: our plug-in registered, our credit through its data plane, and the paper's configurations validated by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("verl", reason="verl is not installed; pip install 'exprl[verl]'")
pytestmark = pytest.mark.filterwarnings("default")  # verl's and Ray's own

from verl_batches import GROUP, METHODS, make_case, on_a_cluster, on_one_machine, padded, wide  # noqa: E402

from exprl.cli.settings import load_config  # noqa: E402
from exprl.config import SelfDistillConfig  # noqa: E402
from exprl.engines.verl.credit import Sampling  # noqa: E402
from exprl.engines.verl.distill import write_targets  # noqa: E402
from exprl.engines.verl.registration import AGENT, ESTIMATORS, LOSS, missing  # noqa: E402
from exprl.errors import ConfigError, UnscoredLimitError  # noqa: E402
from exprl.pipeline.cluster import check_cluster, refuse_unrunnable  # noqa: E402

WIDTH = 20


def algorithm(name: str, limit: float = 1.0) -> Any:
    return algorithm_of(METHODS[name], limit)


def algorithm_of(method: Sampling, limit: float = 1.0) -> Any:
    from omegaconf import OmegaConf

    said = json.dumps(method.model_dump(mode="json"))
    ours = {"method": said, "unscored_limit": limit}
    return OmegaConf.create({"adv_estimator": f"exprl_{method.type}", "exprl": ours})


def data_of(name: str, seed: int) -> tuple[Any, np.ndarray[Any, Any]]:
    """verl's DataProto of a batch, as its trainers have it before they ask for advantages; and its mask."""
    import torch
    from tensordict import TensorDict
    from verl import DataProto

    case = make_case(seed)
    judged = on_a_cluster(case, METHODS[name])
    length = torch.tensor(
        [len(ids) if one.reward is not None else 0 for one, (_, ids) in zip(judged, case.rows, strict=True)]
    )
    mask = (torch.arange(WIDTH) < length[:, None]).long()
    rewards = torch.tensor(padded(judged, WIDTH))
    rows = {"response_mask": mask, "token_level_scores": rewards, "token_level_rewards": rewards}
    uid = np.array([f"uid-{problem}" for problem, _ in case.rows], dtype=object)
    data = DataProto(batch=TensorDict(rows, batch_size=len(mask)), non_tensor_batch={"uid": uid})
    return data, mask.numpy()


@pytest.mark.parametrize("name", METHODS)
def test_verls_own_computation_of_advantages_gives_those_of_one_machine(name: str, tmp_path: Path) -> None:
    from verl.trainer.ppo.ray_trainer import compute_advantage
    from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

    data, mask = data_of(name, seed=2)
    wanted = wide(on_one_machine(make_case(2), METHODS[name], tmp_path).advantages_RT, WIDTH) * mask
    settings = algorithm(name)
    older = compute_advantage(data, settings.adv_estimator, num_repeat=GROUP, config=settings)
    np.testing.assert_allclose(older.batch["advantages"].numpy(), wanted, rtol=0, atol=1e-6)
    keys = [f"{uid}_{i % GROUP}_0" for i, uid in enumerate(data.non_tensor_batch["uid"])]
    newer = compute_advantage_for_multi_trajectories(
        data_of(name, seed=2)[0], keys, settings.adv_estimator, num_repeat=GROUP, config=settings
    )
    np.testing.assert_allclose(newer.batch["advantages"].numpy(), wanted, rtol=0, atol=1e-6)


def test_an_estimator_stops_a_step_with_too_many_unscored_rollouts() -> None:
    from verl.trainer.ppo.ray_trainer import compute_advantage

    data, _ = data_of("sparse", seed=0)
    with pytest.raises(UnscoredLimitError, match="No update was made"):
        compute_advantage(data, "exprl_sparse", config=algorithm("sparse", limit=0.01))


def test_distillation_through_verls_own_computation_has_the_loss_and_gradient_of_the_formula() -> None:
    import torch
    from tensordict import TensorDict
    from verl import DataProto
    from verl.trainer.ppo.core_algos import get_policy_loss_fn
    from verl.trainer.ppo.ray_trainer import compute_advantage

    random = np.random.default_rng(0)
    rows, told = 6, [-3.0 * random.random(int(n)) for n in random.integers(1, 9, size=6)]
    targets = [
        write_targets(None if i == 2 else row, len(row)) for i, row in enumerate(told)
    ]  # one was not answered for
    rewards = torch.zeros(rows, WIDTH)
    mask = torch.zeros(rows, WIDTH, dtype=torch.long)
    for i, row in enumerate(targets):
        rewards[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = int(i != 2)
    batch = {"response_mask": mask, "token_level_scores": rewards, "token_level_rewards": rewards}
    uid = np.array([f"u{i // 2}" for i in range(rows)], dtype=object)
    settings = algorithm_of(SelfDistillConfig())
    data = DataProto(batch=TensorDict(batch, batch_size=rows), non_tensor_batch={"uid": uid})
    given = compute_advantage(data, settings.adv_estimator, config=settings).batch["advantages"]
    student = -3.0 * torch.rand(rows, WIDTH, generator=torch.manual_seed(0), dtype=torch.float64)
    student[mask == 0] = -torch.inf  # padding may hold anything
    student.requires_grad_()
    loss, numbers = get_policy_loss_fn("exprl_self_distill")(student.detach(), student, given, mask)
    loss.backward()
    counts = mask.bool().numpy()
    said, teacher = student.detach().numpy()[counts], rewards.numpy()[counts]
    gap = said - teacher
    assert numbers["actor/teacher_gap"] == pytest.approx(gap.mean(), abs=1e-6)
    assert loss.item() == pytest.approx(gap.mean(), abs=1e-6)
    assert student.grad is not None
    np.testing.assert_allclose(student.grad.numpy()[counts], gap / counts.sum(), atol=1e-6)
    assert not student.grad.numpy()[~counts].any()
    with pytest.raises(UnscoredLimitError, match="17% of the rollouts"):
        compute_advantage(data, settings.adv_estimator, config=algorithm_of(SelfDistillConfig(), limit=0.1))


def test_an_estimator_that_exprl_did_not_start_says_how_to_start_it() -> None:
    from omegaconf import OmegaConf
    from verl.trainer.ppo.ray_trainer import compute_advantage

    from exprl.errors import EngineError

    data, _ = data_of("sparse", seed=0)
    with pytest.raises(EngineError, match="--engine verl"):
        compute_advantage(data, "exprl_sparse", config=OmegaConf.create({"adv_estimator": "exprl_sparse"}))


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env=variables)


def test_a_plain_import_of_verl_registers_us() -> None:
    code = "import verl, sys; assert 'exprl.engines.verl.plugin' in sys.modules"
    done = run_python(f"{code}; from exprl.engines.verl.registration import *; assert_here(); print(missing())")
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_a_verl_that_does_not_load_us_is_found_out() -> None:
    code = "from exprl.engines.verl.registration import assert_here; assert_here()"
    done = run_python(code, VERL_USE_EXTERNAL_PLUGINS="none")
    assert done.returncode == 1
    assert f"missing: {', '.join(ESTIMATORS)}, the policy loss '{LOSS}', the agent loop '{AGENT}'" in done.stderr
    assert missing() == []


@pytest.mark.slow
def test_workers_of_ray_are_asked_as_well() -> None:
    code = """
import ray
from exprl.engines.verl.registration import assert_everywhere
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False{})
print(assert_everywhere())
"""
    assert run_python(code.format("")).stdout.strip() == "1"
    without = ", runtime_env={'env_vars': {'VERL_USE_EXTERNAL_PLUGINS': 'none'}}"
    done = run_python(code.format(without))
    assert "verl did not load exprl's plug-in on node" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper/math-4b", "paper/mixed-8b"])
@pytest.mark.parametrize("stage", ["stage1", "stage2"])
@pytest.mark.parametrize("cluster", [(), ("--cluster.trainer", "megatron"), ("--cluster.rollout", "sglang")])
def test_verl_validates_the_papers_configurations(name: str, stage: Any, cluster: tuple[str, ...]) -> None:
    config = load_config(Path(name), ("--engine", "verl", "--cluster.teacher.url", "http://t:8001/v1", *cluster))
    arms = list(config.arms) if stage == "stage1" else ["process"]
    lines = check_cluster(config, stage, arms)
    assert all("validated by verl, plug-in registered" in line for line in lines if not line.startswith("sft"))


def test_verl_refuses_a_key_that_it_does_not_know() -> None:
    from exprl.engines.verl.main import composed
    from exprl.errors import EngineError

    with pytest.raises(EngineError, match=r"actor\.clip_rato"):
        composed(["actor_rollout_ref.actor.clip_rato=1"])


def test_an_arm_that_was_not_asked_for_stands_in_nobodys_way() -> None:
    config = load_config(Path("paper/math-4b"), ("--engine", "verl"))
    refuse_unrunnable(config, ["process"])
    with pytest.raises(ConfigError, match="leave the arm out"):
        refuse_unrunnable(config)
