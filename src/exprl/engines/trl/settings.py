"""Our optimisation settings as TRL's: every option of the loss is stated and none inherited.

One step of ours samples `prompts_per_step` groups of `rollouts_per_prompt` and makes `updates_per_step` optimiser updates
on disjoint parts of them; TRL counts updates, so its step is ours times `updates_per_step`. The loss is the token mean
over all tokens of an update (TRL's "dapo"), clipped as PPO, with the k3 estimate of the KL to the stage's first weights.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exprl.config import Optimisation, PolicyConfig
from exprl.errors import ConfigError

if TYPE_CHECKING:
    from trl import GRPOConfig

__all__ = ["checkpointing_key", "grpo_settings", "lora_settings", "world_size"]


def world_size() -> int:
    """Number of training processes on this machine (1 unless started by accelerate or torchrun)."""
    import os

    return int(os.environ.get("WORLD_SIZE", "1"))


def grpo_settings(
    optimisation: Optimisation, output: Path, *, seed: int, bf16: bool, cpu: bool, vllm: bool = False
) -> GRPOConfig:
    """TRL's configuration of one stage.

    Raises:
        ConfigError: the rollouts of a step do not divide over processes so that each holds whole groups.
    """
    from trl import GRPOConfig

    processes = world_size()
    rollouts = optimisation.prompts_per_step * optimisation.rollouts_per_prompt
    if optimisation.prompts_per_step % processes:
        raise ConfigError(
            f"prompts_per_step={optimisation.prompts_per_step} does not divide by {processes} processes; "
            "a group must not be split between processes"
        )
    per_update = rollouts // processes // optimisation.updates_per_step
    micro = min(optimisation.micro_batch or per_update, per_update)
    accumulate = per_update // micro
    return GRPOConfig(
        output_dir=str(output),
        seed=seed,
        data_seed=seed,
        max_steps=optimisation.steps * optimisation.updates_per_step,
        num_generations=optimisation.rollouts_per_prompt,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulate,
        steps_per_generation=accumulate * optimisation.updates_per_step,
        num_iterations=1,
        max_completion_length=optimisation.max_tokens,
        shuffle_dataset=False,  # the order of the whole stage is in the dataset (exprl.engines.trl.prompts)
        remove_unused_columns=False,
        # sampling
        temperature=optimisation.temperature,
        top_p=1.0,
        top_k=0,
        min_p=None,
        repetition_penalty=1.0,
        use_vllm=vllm,
        vllm_mode="colocate",
        # the loss
        loss_type="dapo",
        importance_sampling_level="token",
        epsilon=optimisation.clip_low,
        epsilon_high=optimisation.clip_high,
        delta=None,
        beta=optimisation.kl,
        use_bias_correction_kl=False,
        sync_ref_model=False,
        entropy_coef=optimisation.entropy_bonus,
        use_adaptive_entropy=False,
        top_entropy_quantile=1.0,
        scale_rewards="none",
        mask_truncated_completions=False,
        off_policy_mask_threshold=None,
        disable_dropout=True,
        # the optimiser
        optim="adamw_torch",
        learning_rate=optimisation.learning_rate,
        lr_scheduler_type="constant",
        warmup_steps=0,
        adam_beta1=optimisation.adam_betas[0],
        adam_beta2=optimisation.adam_betas[1],
        weight_decay=optimisation.weight_decay,
        max_grad_norm=optimisation.grad_clip,
        **{checkpointing_key(GRPOConfig): not cpu},
        bf16=bf16,
        use_cpu=cpu,
        # the record is ours
        logging_steps=optimisation.updates_per_step,
        logging_nan_inf_filter=False,
        log_completions=False,
        report_to=[],
        disable_tqdm=True,
        save_strategy="steps",
        save_steps=optimisation.save_every * optimisation.updates_per_step,
        dataloader_pin_memory=not cpu,
    )


def lora_settings(policy: PolicyConfig) -> Any:
    """PEFT's configuration of the policy's adapter; None without one."""
    if policy.lora is None:
        return None
    from peft import LoraConfig

    targets = policy.lora.target_modules
    return LoraConfig(
        r=policy.lora.rank,
        lora_alpha=policy.lora.alpha,
        lora_dropout=0.0,  # it would make noise of the ratio of new to old probabilities
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )


def checkpointing_key(settings: type[Any]) -> str:
    """The name of activation checkpointing: transformers gave it a new one within version 5, and warns of the old."""
    names = {field.name for field in dataclasses.fields(settings)}
    return "activation_checkpointing" if "activation_checkpointing" in names else "gradient_checkpointing"
