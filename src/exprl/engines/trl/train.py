"""One stage of one arm on one machine: from a policy's path to a final checkpoint, resumable at any kill.

    train_stage(stage, ...) -> folder/final      (a transformers checkpoint: safetensors, tokenizer, config)

A stage that was killed goes on from its newest checkpoint with the optimiser's moments, the data order and the random
state of that moment, and so reaches the parameters that an uninterrupted run reaches (a test holds it to that on a CPU).
With LoRA the adapter is trained and merged into the final checkpoint.

What it refuses: a path that is not a checkpoint, prompts that do not fit, an unscored rate over the limit, an alarm of
the monitor that stops.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exprl.config import MonitorConfig, Optimisation, PolicyConfig, PromptConfig
from exprl.engines.trl.checkpoint import check_policy_path, latest_checkpoint, load_tokenizer
from exprl.engines.trl.ledger import Ledger, Row
from exprl.engines.trl.prompts import prompts_of
from exprl.engines.trl.saving import save_final
from exprl.engines.trl.scoring import make_scorer
from exprl.engines.trl.settings import grpo_settings, lora_settings
from exprl.engines.trl.surroundings import pick_device, quiet, seeded_threads, waiting_room
from exprl.errors import EngineError
from exprl.methods import Method
from exprl.methods.batch import PolicyReader
from exprl.runs import disk_room
from exprl.tokens import TokenMap
from exprl.types import Problem
from exprl.verify import Verifier

__all__ = ["Stage", "train_stage"]


@dataclass(frozen=True, slots=True)
class Stage:
    """What to train: a policy, by what settings, on which problems, into which folder; `marker` ends a segment."""

    policy: str
    optimisation: Optimisation
    problems: Sequence[Problem]
    folder: Path
    seed: int
    unscored_limit: float = 0.2
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    marker: str = "###"


def train_stage(
    stage: Stage,
    method: Method,
    verifier: Verifier,
    policy: PolicyConfig,
    prompt: PromptConfig,
    *,
    on_step: Callable[[Row], None] = lambda row: None,
    on_end: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> Path:
    """Train one stage, or go on with it, and return the folder of the final checkpoint.

    Args:
        on_step: called with the metrics of each step.
        on_end: awaited in the loop that the method was awaited in, at the end or after an error; a judge's `aclose`.
    Raises:
        EngineError: the `train` extra is not installed.
        CheckpointError: the policy's path is not a checkpoint.
        DataError: a prompt is longer than `max_prompt_tokens`.
        UnscoredLimitError: the judge left too many rollouts of a step unscored; the stage can be resumed.
        MonitorStopError: an alarm of the monitor stops the stage, which can be resumed.
    """
    final = stage.folder / "final"
    if final.exists():
        return final
    trainer_class = _trainer_class()
    from transformers import PrinterCallback

    check_policy_path(stage.policy)
    checkpoints = stage.folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    tokenizer = load_tokenizer(stage.policy)
    ledger = Ledger(stage.folder, len({problem.id for problem in stage.problems}))
    newest = latest_checkpoint(checkpoints)
    state = json.loads((newest / "exprl.json").read_text("utf-8")) if newest else {}
    ledger.rewind(int(state.get("step", 0)), state.get("unlocked", []))
    with (
        quiet(),
        seeded_threads(policy.threads, stage.seed),
        disk_room(stage.folder),
        waiting_room(on_end) as wait,
    ):
        trainer: Any = trainer_class(
            scorer=make_scorer(
                stage.problems,
                method,
                verifier,
                ledger,
                TokenMap.from_tokenizer(tokenizer),
                wait,
                group=stage.optimisation.rollouts_per_prompt,
                limit=stage.unscored_limit,
                monitor=stage.monitor,
                marker=stage.marker,
            ),
            extra_state=lambda: {"step": trainer.our_step - 1, "unlocked": sorted(ledger.unlocked)},
            model=stage.policy,
            args=_settings(stage, policy, checkpoints),
            train_dataset=prompts_of(
                stage.problems, stage.optimisation, prompt, tokenizer, chat=policy.chat, seed=stage.seed
            ),
            processing_class=tokenizer,
            peft_config=lora_settings(policy),
        )
        if isinstance(method, PolicyReader):
            method.bind(trainer.log_probs)
        trainer.add_callback(_ledger_callback(ledger, trainer, on_step))
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=str(newest) if newest else None)
        save_final(trainer, tokenizer, final)
    return final


def _trainer_class() -> Any:
    try:
        import trl  # noqa: F401
    except ImportError as error:
        raise EngineError(f"training needs the train extra: pip install 'exprl[train]' ({error})") from error
    from exprl.engines.trl.trainer import SegmentGRPOTrainer

    return SegmentGRPOTrainer


def _settings(stage: Stage, policy: PolicyConfig, checkpoints: Path) -> Any:
    args = grpo_settings(
        stage.optimisation,
        checkpoints,
        seed=stage.seed,
        bf16=policy.dtype == "bfloat16",
        cpu=pick_device(policy) == "cpu",
        vllm=policy.vllm,
    )
    # Weights are loaded in float32 and computed with in bf16 (autocast): the master weights of METHOD 4.
    args.model_init_kwargs = {"dtype": "float32", "device_map": None}
    return args


def _ledger_callback(ledger: Ledger, trainer: Any, on_step: Callable[[Row], None]) -> Any:
    from transformers import TrainerCallback

    class LedgerCallback(TrainerCallback):  # type: ignore[misc]
        started = time.perf_counter()

        def on_step_begin(self, *_: object, **__: object) -> None:
            if trainer.state.global_step % trainer._updates == 0:
                self.started = time.perf_counter()

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: object) -> None:
            if "loss" in logs:
                row = ledger.commit(state.global_step // trainer._updates, logs, time.perf_counter() - self.started)
                on_step(row)

    return LedgerCallback()
