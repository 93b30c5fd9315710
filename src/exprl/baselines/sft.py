"""SFT: supervised fine-tuning on the reference solutions, by TRL's trainer.

    loss = - token mean over the update of log pi_theta(target | the policy's prompt)      target = reference + EOS

The prompt is token for token the one that the policy is sampled with, and carries no loss. Reference and prompt are encoded
apart, since that is how a policy continues. Batch 32, 2 epochs, 1e-6, a cosine after 10 % of warm-up (METHOD 4). There are
no rollouts and no judge, so an SFT arm spends another budget than the others: the plan and the summary say so.

A stage leaves what every stage leaves (checkpoints/step-N, metrics.jsonl, final/) and is resumed from its newest checkpoint
with the numbers of an uninterrupted one. Step means optimiser update here. The targets are token ids in memory: they are
in no file and no message.

What it refuses: a problem without a reference solution, a prompt over `max_prompt_tokens`, a reference over `max_tokens`
or one that holds the end-of-text token itself (the policy would learn to stop there), both beyond the model's positions.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exprl.config import PolicyConfig, PromptConfig, SftConfig
from exprl.engines.trl.checkpoint import check_policy_path, latest_checkpoint, load_tokenizer
from exprl.engines.trl.saving import PlacedCheckpoints, save_final
from exprl.engines.trl.settings import checkpointing_key, lora_settings, world_size
from exprl.engines.trl.surroundings import pick_device, quiet, seeded_threads
from exprl.errors import ConfigError, DataError, EngineError
from exprl.prompting import encode
from exprl.runs import append_jsonl, disk_room, read_jsonl, write_jsonl
from exprl.types import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["SftStage", "targets", "train_sft"]

Row = dict[str, object]
_NO_LOSS = -100


@dataclass(frozen=True, slots=True)
class SftStage:
    """What to fine-tune: a policy, by what settings, on whose references, into which folder."""

    policy: str
    settings: SftConfig
    problems: Sequence[Problem]
    folder: Path
    seed: int


def train_sft(
    stage: SftStage, policy: PolicyConfig, prompt: PromptConfig, *, on_step: Callable[[Row], None] = lambda row: None
) -> Path:
    """Fine-tune, or go on with it, and return the folder of the final checkpoint.

    Args:
        on_step: called with the metrics of each update.
    Raises:
        EngineError: the `train` extra is not installed.
        CheckpointError: the policy's path is not a checkpoint.
        DataError: a prompt or a reference that cannot be trained on.
    """
    final = stage.folder / "final"
    if final.exists():
        return final
    trainer_class = _trainer_class()
    check_policy_path(stage.policy)
    checkpoints = stage.folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    tokenizer = load_tokenizer(stage.policy)
    newest = latest_checkpoint(checkpoints)
    metrics = stage.folder / "metrics.jsonl"
    _rewind(metrics, int(json.loads((newest / "exprl.json").read_text("utf-8"))["step"]) if newest else 0)
    with quiet(), seeded_threads(policy.threads, stage.seed), disk_room(stage.folder):
        from transformers import PrinterCallback

        trainer: Any = trainer_class(
            model=stage.policy,
            args=_settings(stage, policy, checkpoints),
            train_dataset=_dataset(stage, policy, prompt, tokenizer),
            processing_class=tokenizer,
            peft_config=lora_settings(policy),
        )
        trainer.add_callback(_metrics_callback(metrics, on_step))
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=str(newest) if newest else None)
        save_final(trainer, tokenizer, final)
    return final


def targets(
    stage: SftStage, policy: PolicyConfig, prompt: PromptConfig, tokenizer: PreTrainedTokenizerBase
) -> list[dict[str, list[int]]]:
    """The rows that are trained on: `input_ids`, and `labels` that leave the prompt out of the loss.

    Raises:
        DataError: see the module's docstring.
    """
    rows = []
    for problem in stage.problems:
        question = problem.question
        asked = encode(question, prompt, tokenizer, policy.chat)
        target = _target(problem, tokenizer, stage.settings)
        if len(asked) > stage.settings.max_prompt_tokens:
            raise DataError(
                f"problem {problem.id}: its prompt has {len(asked)} tokens, over max_prompt_tokens="
                f"{stage.settings.max_prompt_tokens}; raise the limit or drop the problem"
            )
        rows.append({"input_ids": asked + target, "labels": [_NO_LOSS] * len(asked) + target})
    return rows


def _target(problem: Problem, tokenizer: PreTrainedTokenizerBase, settings: SftConfig) -> list[int]:
    solution = problem.reference.reveal().solution
    if solution is None:
        raise DataError(f"problem {problem.id}: no reference solution, which SFT trains on")
    ids = list(tokenizer.encode(solution, add_special_tokens=False))
    if tokenizer.eos_token_id in ids:
        raise DataError(f"problem {problem.id}: its reference holds the end-of-text token itself; mend or drop it")
    if len(ids) + 1 > settings.max_tokens:
        raise DataError(
            f"problem {problem.id}: its reference has {len(ids) + 1} tokens, over max_tokens={settings.max_tokens}; "
            "nothing is cut off: raise the limit or drop the problem"
        )
    return [*ids, int(tokenizer.eos_token_id)]


def _dataset(stage: SftStage, policy: PolicyConfig, prompt: PromptConfig, tokenizer: PreTrainedTokenizerBase) -> Any:
    from datasets import Dataset
    from transformers import AutoConfig

    if not stage.problems:
        raise DataError("no problems to train on; check data.train and the filter")
    rows = targets(stage, policy, prompt, tokenizer)
    longest = max(len(row["input_ids"]) for row in rows)
    positions = getattr(AutoConfig.from_pretrained(stage.policy), "max_position_embeddings", None)
    if positions is not None and longest > positions:
        raise DataError(f"a prompt with its reference has {longest} tokens, and the model {positions} positions")
    return Dataset.from_list(rows)


def _trainer_class() -> Any:
    try:
        from trl import SFTTrainer
    except ImportError as error:
        raise EngineError(f"training needs the train extra: pip install 'exprl[train]' ({error})") from error

    class PlacedSFTTrainer(PlacedCheckpoints, SFTTrainer):  # type: ignore[misc]
        def _extra_state(self) -> dict[str, object]:
            return {"step": self.steps_done}

    return PlacedSFTTrainer


def _settings(stage: SftStage, policy: PolicyConfig, checkpoints: Path) -> Any:
    from trl import SFTConfig

    settings, cpu = stage.settings, pick_device(policy) == "cpu"
    updates = settings.updates(len(stage.problems))
    each = settings.batch // world_size()
    micro = min(settings.micro_batch or each, each)
    if settings.batch % world_size() or not micro or each % micro:
        raise ConfigError(
            f"batch={settings.batch} does not divide over {world_size()} processes with micro_batch={settings.micro_batch}"
        )
    return SFTConfig(
        output_dir=str(checkpoints),
        seed=stage.seed,
        data_seed=stage.seed,
        max_steps=updates,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=each // micro,
        # Weights are loaded in float32 and computed with in bf16 (autocast), as in every other stage.
        model_init_kwargs={"dtype": "float32", "device_map": None},
        # the loss: a token mean over the update, on the targets that are marked already
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        packing=False,
        padding_free=False,
        loss_type="nll",
        average_tokens_across_devices=True,
        # the optimiser
        optim="adamw_torch",
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(settings.warmup * updates),
        adam_beta1=settings.adam_betas[0],
        adam_beta2=settings.adam_betas[1],
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.grad_clip,
        **{checkpointing_key(SFTConfig): not cpu},
        bf16=policy.dtype == "bfloat16",
        use_cpu=cpu,
        # the record is ours
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        save_strategy="steps",
        save_steps=settings.save_every,
        dataloader_pin_memory=not cpu,
    )


def _rewind(metrics: Path, step: int) -> None:
    """Forget the rows after `step`: those updates are made again."""
    write_jsonl(metrics, [row for row in read_jsonl(metrics) if int(str(row["step"])) <= step])


def _metrics_callback(metrics: Path, on_step: Callable[[Row], None]) -> Any:
    from transformers import TrainerCallback

    class MetricsCallback(TrainerCallback):  # type: ignore[misc]
        started = time.perf_counter()

        def on_step_begin(self, *_: object, **__: object) -> None:
            self.started = time.perf_counter()

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: object) -> None:
            if "loss" not in logs:
                return
            row: Row = {
                "step": state.global_step,
                **{key: _finite(logs.get(key)) for key in ("loss", "entropy", "grad_norm", "learning_rate")},
                "token_accuracy": _finite(logs.get("mean_token_accuracy")),
                "seconds": time.perf_counter() - self.started,
                "rollouts": 0,
            }
            append_jsonl(metrics, [row])
            on_step(row)

    return MetricsCallback()


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
