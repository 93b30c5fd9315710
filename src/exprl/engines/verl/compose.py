r"""Our configuration as verl's: the overrides that its command line takes, every option of the loss stated. Pure.

    prompts_per_step          data.train_batch_size               updates_per_step   actor.ppo_mini_batch_size, in prompts
    rollouts_per_prompt       rollout.n                           micro_batch        ..._micro_batch_size_per_gpu, at most that
    clip_low, clip_high       actor.clip_ratio_low, _high         kl                 actor.kl_loss_coef, low_var_kl (= k3)
    token mean                actor.loss_agg_mode = token-mean    entropy_bonus      actor.entropy_coeff
    method, unscored_limit    algorithm.exprl.*                   where we are       exprl.* (read by the agent loop)

Where verl has more than our loss, it is switched off: the dual clip (clip_ratio_c is set out of reach; verl has no switch), KL
in the reward, and correction by the sampler's log-probabilities, which are logged and not used. Two things remain verl's: k3 is
cut off at 10 a token, and rows are dealt to the updates of a step by length, not in order.

What it refuses: a step that the GPUs do not divide (verl would fill it up with empty rows, and an update would be another), and
methods that verl does not run.

    >>> quoted("it's")
    "'it\\'s'"
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd
from pathlib import Path

from exprl.config import ClusterConfig, Optimisation, PolicyConfig, RunConfig, SelfDistillConfig
from exprl.engines.verl.credit import Sampling
from exprl.engines.verl.registration import AGENT, CPU, LOSS
from exprl.errors import ConfigError

__all__ = ["Paths", "Value", "check_division", "overrides", "quoted"]

_OUT_OF_REACH = 1e6
"""A ratio of probabilities that no update comes to: where the dual clip would begin."""

Value = str | int | float | bool | None | list[str] | list[float]


@dataclass(frozen=True, slots=True)
class Paths:
    """What a stage gives verl: the policy, the dataset, where checkpoints and its own log go."""

    policy: str
    dataset: Path
    checkpoints: Path
    log: Path


def overrides(
    config: RunConfig, method: Sampling, paths: Paths, place: Mapping[str, Value], *, seed: int, steps: int
) -> list[str]:
    """verl's configuration of one stage, as `key=value`, in an order that does not change.

    Args:
        place: what the agent loop is told of where it is, under `exprl`.
        steps: of the stage.
    Raises:
        ConfigError: the cluster's GPUs do not divide the rollouts of an update, or a policy with an adapter.
    """
    cluster = config.cluster
    _refuse_lora(config.policy)
    _refuse_kl_on_cpu(method, cluster)
    _refuse_no_teacher(method, cluster)
    check_division(method, cluster)
    tables = (
        _data(method, paths, seed),
        _policy(config.policy, cluster, paths),
        _loss(method, cluster),
        _rollout(method, config.policy, cluster),
        _trainer(config, method, paths, steps),
        _without_gpu(method, cluster) if cluster.rollout == "cpu" else {},
    )
    said = [f"{key}={_said(value)}" for table in tables for key, value in table.items()]
    said += [f"+algorithm.exprl.method={quoted(json.dumps(method.model_dump(mode='json'), sort_keys=True))}"]
    said += [f"+algorithm.exprl.unscored_limit={config.unscored_limit}"]
    said += [f"+exprl.{key}={_said(value)}" for key, value in place.items()]
    engine = ["model_engine=megatron"] if cluster.trainer == "megatron" else []
    return [*engine, *said, *cluster.overrides]


def check_division(method: Optimisation, cluster: ClusterConfig) -> None:
    """Refuse a step that does not divide over updates by prompts, and over GPUs by rollouts.

    Raises:
        ConfigError: with the numbers of GPUs that do.
    """
    if method.prompts_per_step % method.updates_per_step:
        raise ConfigError(
            f"verl deals whole prompts to updates: prompts_per_step={method.prompts_per_step} does not divide by "
            f"updates_per_step={method.updates_per_step}"
        )
    gpus = cluster.nodes * cluster.gpus_per_node
    update = method.prompts_per_step // method.updates_per_step * method.rollouts_per_prompt
    if update % gpus:
        fitting = ", ".join(str(n) for n in range(1, 2 * gpus + 1) if update % n == 0)
        raise ConfigError(
            f"{update} rollouts an update do not divide over {gpus} GPUs; verl would fill the update up with empty rows. "
            f"Numbers of GPUs that fit: {fitting} (cluster.nodes x cluster.gpus_per_node)"
        )


def _refuse_lora(policy: PolicyConfig) -> None:
    if policy.lora is not None:
        raise ConfigError(
            "policy.lora is for one machine: how verl merges an adapter into its checkpoint is not tested; leave it out, "
            "or set engine = 'trl'"
        )


def _refuse_kl_on_cpu(method: Optimisation, cluster: ClusterConfig) -> None:
    if cluster.rollout == "cpu" and method.kl:
        raise ConfigError(
            f"kl = {method.kl:g} with cluster.rollout = 'cpu': verl keeps the first weights in pinned memory, which only an "
            "accelerator has; set kl = 0 for a trial without a GPU"
        )


def _refuse_no_teacher(method: Sampling, cluster: ClusterConfig) -> None:
    if isinstance(method, SelfDistillConfig) and cluster.teacher is None and cluster.rollout != "cpu":
        raise ConfigError(
            "self-distillation under verl asks a server of the initial weights for the teacher's probabilities: start one "
            "(vllm serve POLICY --max-logprobs 20) and name it, --cluster.teacher.url http://HOST:8001/v1; leave the arm out "
            "(--arm); or set engine = 'trl', where the teacher needs no server"
        )


def quoted(text: str) -> str:
    """A text as one value of verl's command line (hydra's grammar of quotes)."""
    for number in range(text.count("\\"), 0, -1):  # a backslash is one, unless it stands before a quote
        text = text.replace("\\" * number + "'", "\\" * (2 * number) + "'")
    escaped = text.replace("'", "\\'")
    return f"'{escaped}'"


def _said(value: Value) -> str:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, list):
        return f"[{','.join(_said(part) for part in value)}]"
    if value is None:
        return "null"
    return quoted(value) if isinstance(value, str) else repr(value)


def _data(method: Optimisation, paths: Paths, seed: int) -> dict[str, Value]:
    return {
        "data.train_files": [str(paths.dataset)],
        "data.val_files": [str(paths.dataset)],
        "data.train_batch_size": method.prompts_per_step,
        "data.max_prompt_length": method.max_prompt_tokens,
        "data.max_response_length": method.max_tokens,
        "data.shuffle": False,  # the order of the whole stage is in the dataset
        "data.seed": seed,
        "data.filter_overlong_prompts": False,  # refused when the dataset is written
        "data.dataloader_num_workers": 0,
    }


def _policy(policy: PolicyConfig, cluster: ClusterConfig, paths: Paths) -> dict[str, Value]:
    model = "actor_rollout_ref.model"
    said: dict[str, Value] = {f"{model}.path": paths.policy, f"{model}.enable_gradient_checkpointing": True}
    if cluster.trainer != "megatron":
        said["actor_rollout_ref.actor.strategy"] = cluster.trainer
        said["actor_rollout_ref.actor.fsdp_config.model_dtype"] = "fp32"  # master weights (METHOD 4)
    return said


def _loss(method: Sampling, cluster: ClusterConfig) -> dict[str, Value]:
    actor = "actor_rollout_ref.actor"
    said: dict[str, Value] = {
        f"{actor}.ppo_mini_batch_size": method.prompts_per_step // method.updates_per_step,
        f"{actor}.ppo_micro_batch_size_per_gpu": _micro_batch(method, cluster),
        f"{actor}.use_dynamic_bsz": False,
        f"{actor}.ppo_epochs": 1,
        f"{actor}.shuffle": False,
        f"{actor}.policy_loss.loss_mode": LOSS if isinstance(method, SelfDistillConfig) else "vanilla",
        f"{actor}.loss_agg_mode": "token-mean",
        f"{actor}.clip_ratio": method.clip_low,
        f"{actor}.clip_ratio_low": method.clip_low,
        f"{actor}.clip_ratio_high": method.clip_high,
        f"{actor}.clip_ratio_c": _OUT_OF_REACH,
        f"{actor}.entropy_coeff": method.entropy_bonus,
        f"{actor}.use_kl_loss": method.kl > 0,
        f"{actor}.kl_loss_coef": method.kl,
        f"{actor}.kl_loss_type": "low_var_kl",
        f"{actor}.optim.lr": method.learning_rate,
        f"{actor}.optim.betas": list(method.adam_betas),
        f"{actor}.optim.weight_decay": method.weight_decay,
        f"{actor}.optim.clip_grad": method.grad_clip,
        f"{actor}.optim.lr_warmup_steps": 0,
        f"{actor}.checkpoint.save_contents": ["model", "optimizer", "extra", "hf_model"],
        "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu": _micro_batch(method, cluster),
        "algorithm.adv_estimator": f"exprl_{method.type}",
        "algorithm.use_kl_in_reward": False,
        "critic.enable": False,
        "reward.num_workers": 1,  # idle: the agent loop has the rewards already
    }
    schedule = "lr_decay_style" if cluster.trainer == "megatron" else "lr_scheduler_type"
    said[f"{actor}.optim.{schedule}"] = "constant"
    if cluster.trainer != "megatron":
        said[f"{actor}.grad_clip"] = method.grad_clip
    return said


def _micro_batch(method: Optimisation, cluster: ClusterConfig) -> int:
    """Rollouts a GPU takes at once: the largest number up to ours that divides its share of an update."""
    gpus = cluster.nodes * cluster.gpus_per_node
    share = method.prompts_per_step * method.rollouts_per_prompt // method.updates_per_step // gpus
    wanted = min(method.micro_batch or share, share)
    return wanted if share % wanted == 0 else gcd(share, wanted)


def _rollout(method: Optimisation, policy: PolicyConfig, cluster: ClusterConfig) -> dict[str, Value]:
    rollout = "actor_rollout_ref.rollout"
    said: dict[str, Value] = {
        f"{rollout}.name": CPU if cluster.rollout == "cpu" else cluster.rollout,
        f"{rollout}.mode": "async",
        f"{rollout}.n": method.rollouts_per_prompt,
        f"{rollout}.temperature": method.temperature,
        f"{rollout}.top_p": 1.0,
        f"{rollout}.top_k": -1,
        f"{rollout}.dtype": policy.dtype,
        f"{rollout}.max_model_len": method.max_prompt_tokens + method.max_tokens,
        f"{rollout}.tensor_model_parallel_size": cluster.tensor_parallel,
        f"{rollout}.gpu_memory_utilization": cluster.gpu_memory,
        f"{rollout}.log_prob_micro_batch_size_per_gpu": _micro_batch(method, cluster),
        f"{rollout}.agent.num_workers": cluster.workers,
        f"{rollout}.agent.default_agent_loop": AGENT,
    }
    if cluster.older_trainer:
        said[f"+{rollout}.agent.agent_loop_manager_class"] = "exprl.engines.verl.older.ExprlAgentLoopManager"
    return said


def _without_gpu(method: Sampling, cluster: ClusterConfig) -> dict[str, Value]:
    """Off with what verl takes for granted on a GPU: its kernels, bf16, compilation; Ray counts slots, not devices."""
    said: dict[str, Value] = {
        "trainer.device": "cpu",
        "actor_rollout_ref.model.use_remove_padding": False,
        "actor_rollout_ref.model.enable_gradient_checkpointing": False,
        "+actor_rollout_ref.model.override_config.attn_implementation": "eager",
        "actor_rollout_ref.actor.use_torch_compile": False,
        "actor_rollout_ref.actor.fsdp_config.use_torch_compile": False,
        "actor_rollout_ref.ref.use_torch_compile": False,
        "actor_rollout_ref.rollout.calculate_log_probs": isinstance(method, SelfDistillConfig),
        "+ray_kwargs.ray_init.runtime_env.env_vars.VERL_PLATFORM": CPU,
        # FSDP's engine is registered for accelerators; it asks the platform for everything that differs.
        "+ray_kwargs.ray_init.runtime_env.env_vars.VERL_ENGINE_DEVICE": "cuda",
        "+ray_kwargs.ray_init.include_dashboard": False,
        "+ray_kwargs.ray_init.num_gpus": cluster.gpus_per_node,
        "ray_kwargs.ray_init.num_cpus": 16 * cluster.gpus_per_node,
        "transfer_queue.backend.SimpleStorage.num_data_storage_units": 1,
    }
    for role in ("actor", "ref"):
        for kind in ("param_dtype", "reduce_dtype", "buffer_dtype"):
            said[f"+actor_rollout_ref.{role}.fsdp_config.mixed_precision.{kind}"] = "fp32"
    return said


def _trainer(config: RunConfig, method: Optimisation, paths: Paths, steps: int) -> dict[str, Value]:
    cluster = config.cluster
    said: dict[str, Value] = {
        "trainer.project_name": "exprl",
        "trainer.experiment_name": config.name,
        "trainer.logger": ["console", "file"],
        "trainer.nnodes": cluster.nodes,
        "trainer.n_gpus_per_node": cluster.gpus_per_node,
        "trainer.total_epochs": 1,  # of a dataset that holds every step once
        "trainer.total_training_steps": steps,
        "trainer.save_freq": method.save_every,
        "trainer.test_freq": -1,
        "trainer.val_before_train": False,
        "trainer.log_val_generations": 0,
        "trainer.rollout_data_dir": None,
        "trainer.validation_data_dir": None,
        "trainer.default_local_dir": str(paths.checkpoints),
        "trainer.resume_mode": "auto",
        "trainer.max_actor_ckpt_to_keep": 2,
        "trainer.use_v1": not cluster.older_trainer,
        "+ray_kwargs.ray_init.runtime_env.env_vars.VERL_FILE_LOGGER_PATH": str(paths.log),
    }
    if cluster.address is not None:
        said["+ray_kwargs.ray_init.address"] = cluster.address
    return said
