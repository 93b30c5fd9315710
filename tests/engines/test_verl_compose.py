"""Our configuration as verl's overrides, without verl installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exprl.cli.settings import load_config
from exprl.config import ClusterConfig, OutcomeConfig, ProcessConfig, RunConfig, SftConfig
from exprl.engines.verl.compose import Paths, check_division, overrides, quoted
from exprl.errors import ConfigError
from exprl.pipeline.cluster import sampling

PATHS = Paths("org/policy", Path("/run/data.jsonl"), Path("/run/verl"), Path("/run/log.jsonl"))
PLACE = {"run": "/run", "arm": "process", "seed": 0, "stage": "stage1", "attempt": "a", "policy": "org/policy"}


def paper(*flags: str) -> RunConfig:
    return load_config(Path("paper/math-4b"), ("--engine", "verl", *flags))


def said(config: RunConfig, arm: str = "process") -> dict[str, str]:
    method: Any = config.arms[arm]
    lines = overrides(config, method, PATHS, PLACE, seed=3, steps=method.steps)
    return dict(line.split("=", 1) for line in lines)


def test_the_papers_process_arm_is_said_in_verls_words() -> None:
    process = said(paper())
    wanted = {
        "data.train_batch_size": "36",
        "actor_rollout_ref.rollout.n": "16",
        "actor_rollout_ref.actor.ppo_mini_batch_size": "36",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": "8",
        "actor_rollout_ref.actor.clip_ratio_low": "0.2",
        "actor_rollout_ref.actor.clip_ratio_high": "0.26",
        "actor_rollout_ref.actor.kl_loss_coef": "0.001",
        "actor_rollout_ref.actor.loss_agg_mode": "'token-mean'",
        "actor_rollout_ref.actor.optim.lr": "1e-06",
        "actor_rollout_ref.rollout.temperature": "0.8",
        "data.max_response_length": "16384",
        "algorithm.adv_estimator": "'exprl_process'",
        "trainer.total_training_steps": "230",
        "trainer.val_before_train": "False",
        "data.seed": "3",
    }
    assert {key: process[key] for key in wanted} == wanted


def test_the_estimator_is_given_the_whole_method() -> None:
    config = paper()
    text = said(config)["+algorithm.exprl.method"]
    assert ProcessConfig.model_validate(json.loads(text[1:-1])) == config.arms["process"]
    assert said(config)["+algorithm.exprl.unscored_limit"] == "0.2"


def test_two_updates_a_step_halve_verls_mini_batch_and_stage_two_has_no_kl() -> None:
    config = paper()
    assert said(config, "outcome")["actor_rollout_ref.actor.ppo_mini_batch_size"] == "18"
    assert config.stage2 is not None
    stage2 = dict(line.split("=", 1) for line in overrides(config, config.stage2, PATHS, PLACE, seed=0, steps=500))
    assert stage2["actor_rollout_ref.actor.use_kl_loss"] == "False"
    assert stage2["actor_rollout_ref.actor.grad_clip"] == "0.3"
    assert stage2["algorithm.adv_estimator"] == "'exprl_sparse'"


def test_nothing_of_verls_that_shows_rollouts_or_validates_is_on() -> None:
    process = said(paper())
    for key in ("trainer.rollout_data_dir", "trainer.validation_data_dir"):
        assert process[key] == "null"
    assert (process["trainer.log_val_generations"], process["trainer.test_freq"]) == ("0", "-1")


def test_a_users_overrides_come_last_and_megatron_first() -> None:
    config = paper("--cluster.trainer", "megatron", "--cluster.overrides", "['trainer.balance_batch=False']")
    method: Any = config.arms["process"]
    lines = overrides(config, method, PATHS, PLACE, seed=0, steps=1)
    assert (lines[0], lines[-1]) == ("model_engine=megatron", "trainer.balance_batch=False")
    assert not any("fsdp" in line or "actor.grad_clip" in line for line in lines)


@pytest.mark.parametrize(("gpus", "fits"), [(4, True), (6, True), (8, False), (7, False)])
def test_gpus_that_do_not_divide_an_update_are_refused_with_those_that_do(gpus: int, fits: bool) -> None:
    outcome = OutcomeConfig()  # 36 x 10 in two updates: 180 rollouts an update
    cluster = ClusterConfig(gpus_per_node=gpus)
    if fits:
        check_division(outcome, cluster)
    else:
        with pytest.raises(ConfigError, match=r"180 rollouts an update do not divide .*: 1, 2, 3, 4, 5, 6, 9"):
            check_division(outcome, cluster)


def test_a_step_whose_prompts_do_not_divide_over_its_updates_is_refused() -> None:
    with pytest.raises(ConfigError, match="prompts_per_step=3 does not divide by updates_per_step=2"):
        check_division(OutcomeConfig(prompts_per_step=3), ClusterConfig(gpus_per_node=1))


def test_an_adapter_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"policy\.lora is for one machine"):
        said(paper("--policy.lora.rank", "8"))


def test_a_trial_without_a_gpu_says_so_to_verl_and_refuses_kl() -> None:
    with pytest.raises(ConfigError, match="only an accelerator has; set kl = 0"):
        said(paper("--cluster.rollout", "cpu"))
    trial = said(paper("--cluster.rollout", "cpu", "--arms.process.kl", "0.0"))
    assert (trial["trainer.device"], trial["actor_rollout_ref.rollout.name"]) == ("'cpu'", "'exprl_cpu'")
    assert trial["actor_rollout_ref.actor.use_kl_loss"] == "False"


def test_sft_which_samples_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="engine = 'trl'"):
        sampling(SftConfig())


def test_self_distillation_is_told_where_its_teacher_is_or_refused() -> None:
    with pytest.raises(ConfigError, match=r"vllm serve POLICY .* --cluster\.teacher\.url"):
        said(paper(), "self_distill")
    distilled = said(paper("--cluster.teacher.url", "http://t:8001/v1"), "self_distill")
    assert distilled["algorithm.adv_estimator"] == "'exprl_self_distill'"
    assert distilled["actor_rollout_ref.actor.policy_loss.loss_mode"] == "'exprl_self_distill'"
    assert distilled["actor_rollout_ref.actor.use_kl_loss"] == "False"
    assert not any("t:8001" in key + value for key, value in distilled.items())  # the workers read it of the run's own
    trial = said(paper("--cluster.rollout", "cpu"), "self_distill")
    assert trial["actor_rollout_ref.rollout.calculate_log_probs"] == "True"


def test_texts_are_quoted_as_hydra_reads_them() -> None:
    assert [quoted(text) for text in ("a b", "it's", "\\'", 'a"{,}"')] == [
        "'a b'",
        "'it\\'s'",
        "'\\\\\\''",
        "'a\"{,}\"'",
    ]
