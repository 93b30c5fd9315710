"""TRL's GRPO trainer with credit per segment, rollouts that can leave the loss, and checkpoints that cannot be torn.

With m the mask of tokens that count (a rollout that could not be scored has none), N = sum m over the rollouts of an
update, rho = pi/pi_old, A the advantage of a token's segment, k3 the KL estimate to the stage's first weights (Schulman's
e^d - d - 1, d = log pi_ref - log pi) and H the entropy, all at the sampling temperature:

    loss = -1/N sum m [ min(rho A, clip(rho, 1 - low, 1 + high) A) - beta k3 + entropy_bonus H ]

What is overridden, and why:
  _generate_and_score_completions   TRL calls our reward function with whole groups; it judges them and keeps the
                                    advantages of shape (B, T), which replace TRL's (B,) here. TRL's `_compute_loss` takes
                                    them as they are. A rollout that could not be scored gets a completion mask of 0.
  _generate_single_turn             samples with `exprl.evaluate.sample.generate`, as the evaluation does, unless vLLM does:
                                    the same distribution as TRL's, without the rows that have ended.
  _prepare_inputs                   N is counted over each update's own rollouts; TRL would take the mean over a step's.
  _get_per_token_logps_and_entropies  rows of like length go through the model together, and no wider than they are; TRL
                                    pads every row to the longest of the step.
  _compute_loss                     TRL's entropy bonus is a mean over a micro-batch; weighted by the micro-batch's share
                                    of tokens it is the mean over the update. The rest is TRL's, and a contract test
                                    (tests/engines/test_trl_contract.py) holds loss and gradient to the formula above.
  _save_checkpoint, create_model_card  see `exprl.engines.trl.saving`.

If the judge fails too often the step stops before any update. The random state from before the sampling is put back and a
checkpoint is written, so that the resumed run samples the very same rollouts. (Before the first update there is nothing to
write: the stage then starts over from its seed, which samples them again, too.)

Nothing privileged passes through TRL: its dataset holds prompts and problem ids, so its warnings, which print columns,
cannot show a reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from trl import GRPOTrainer
from trl.models import unwrap_model_for_generation

from exprl.engines.trl.logprobs import token_log_probs
from exprl.engines.trl.saving import PlacedCheckpoints
from exprl.engines.trl.scoring import Scored, Scorer
from exprl.errors import MonitorStopError, UnscoredLimitError
from exprl.evaluate.sample.generate import generate
from exprl.methods.batch import Floats

__all__ = ["SegmentGRPOTrainer"]

_ROWS_ON_CPU = 64
"""Rows that go through the model at once on a CPU: larger tensors fall out of its caches."""


class SegmentGRPOTrainer(PlacedCheckpoints, GRPOTrainer):  # type: ignore[misc]
    """GRPO on advantages of shape (B, T) that a `Scorer` gives. Everything else is TRL's."""

    def __init__(self, *, scorer: Scorer, extra_state: Callable[[], dict[str, object]], **kwargs: object) -> None:
        self._scorer = scorer
        self._extra_state = extra_state
        self._scored: Scored | None = None
        super().__init__(reward_funcs=[self._score], **kwargs)

    @property
    def our_step(self) -> int:
        """The step in progress, from 1: a step is one sampled batch, whatever its number of updates."""
        return self.steps_done + 1

    @property
    def steps_done(self) -> int:
        """Complete steps so far."""
        return int(self.state.global_step) // self._updates

    @property
    def _updates(self) -> int:
        return int(self.args.steps_per_generation) // int(self.args.gradient_accumulation_steps)

    def log_probs(self, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]]) -> list[Floats]:
        """The policy's log-probability of each completion token, at the sampling temperature and without gradient."""
        with self.accelerator.autocast():
            return token_log_probs(
                self.accelerator.unwrap_model(self.model),
                prompts,
                completions,
                temperature=self.temperature,
                rows=min(_ROWS_ON_CPU, int(self.args.per_device_train_batch_size)),
            )

    def _score(
        self,
        prompts: list[object],
        completions: list[object],
        completion_ids: list[list[int]],
        problem_id: list[str],
        **_: object,
    ) -> list[float]:
        truncated = [not ids or ids[-1] not in self.eos_token_ids for ids in completion_ids]
        self._scored = self._scorer(problem_id, completion_ids, truncated, self.our_step)
        return [0.0] * len(prompts)  # TRL's own advantages are not used

    def _generate_and_score_completions(self, inputs: list[dict[str, object]]) -> dict[str, torch.Tensor]:
        before = torch.get_rng_state(), torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        try:
            output = cast(dict[str, torch.Tensor], super()._generate_and_score_completions(inputs))
        except (UnscoredLimitError, MonitorStopError):
            torch.set_rng_state(before[0])
            if before[1]:
                torch.cuda.set_rng_state_all(before[1])
            if self.state.global_step > 0 and not self._checkpoint_folder().exists():
                self._save_checkpoint(self.model, trial=None)
            raise
        scored, self._scored = self._scored, None
        if scored is None:
            raise RuntimeError("TRL did not call the reward function; this version of TRL is not supported")
        return self._with_credit(output, scored)

    def _with_credit(self, output: dict[str, torch.Tensor], scored: Scored) -> dict[str, torch.Tensor]:
        mask = output["completion_mask"]
        advantages = torch.zeros(mask.shape, dtype=torch.float32, device=mask.device)
        width = min(mask.shape[1], scored.advantages_RT.shape[1])
        advantages[:, :width] = torch.as_tensor(scored.advantages_RT[:, :width], dtype=torch.float32)
        keep = torch.as_tensor(~scored.dropped_R, device=mask.device)
        output["advantages"] = advantages * keep[:, None]
        output["completion_mask"] = mask * keep[:, None].to(mask.dtype)
        return output

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], *others: object, **more: object
    ) -> tuple[list[list[int]], object]:
        if self.use_vllm or self.is_deepspeed_enabled or self.is_fsdp_enabled:
            return cast(tuple[list[list[int]], object], super()._generate_single_turn(prompt_ids, *others, **more))
        # Entering autocast here, around the whole loop, casts every weight once and not once a token.
        with unwrap_model_for_generation(self.model_wrapped, self.accelerator) as model, self.accelerator.autocast():
            sampled = generate(
                model,
                prompt_ids,
                temperature=self.temperature,
                max_tokens=self.max_completion_length,
                stops=self.eos_token_ids,
            )
        return sampled, None

    def _prepare_inputs(self, generation_batch: list[dict[str, object]]) -> dict[str, torch.Tensor]:
        before = self._buffered_inputs
        inputs = cast(dict[str, torch.Tensor], super()._prepare_inputs(generation_batch))
        if self._buffered_inputs is not before:
            self._count_tokens()
        return inputs

    def _count_tokens(self) -> None:
        """Tell TRL's normaliser the tokens of each update: times the updates, since it divides a step's by them."""
        accumulate = int(self.args.gradient_accumulation_steps)
        for start in range(0, len(self._buffered_inputs), accumulate):
            update = self._buffered_inputs[start : start + accumulate]
            tokens = torch.stack([micro["completion_mask"].sum() for micro in update]).sum()
            everywhere = self.accelerator.gather(tokens).sum()
            for micro in update:
                micro["num_items_in_batch"] = everywhere * self._updates

    def _get_per_token_logps_and_entropies(
        self,
        model: torch.nn.Module,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        **more: object,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        at_once = batch_size or len(input_ids)
        if input_ids.device.type == "cpu":
            at_once = min(at_once, _ROWS_ON_CPU)
        prompt = input_ids.shape[1] - logits_to_keep
        length = attention_mask[:, prompt:].sum(dim=1)
        order = length.argsort(stable=True)
        logps: list[torch.Tensor] = []
        entropies: list[torch.Tensor] = []
        losses: list[torch.Tensor] = []
        for rows in torch.split(order, at_once):
            keep = max(1, int(length[rows].max()))
            logp, entropy, loss = super()._get_per_token_logps_and_entropies(
                model, input_ids[rows, : prompt + keep], attention_mask[rows, : prompt + keep], keep, **more
            )
            for found, part in ((logps, logp), (entropies, entropy)):
                if part is not None:
                    found.append(torch.nn.functional.pad(part, (0, logits_to_keep - keep)))
            losses += [] if loss is None else [loss]
        back = order.argsort()
        return (
            torch.cat(logps)[back],
            torch.cat(entropies)[back] if entropies else None,
            torch.stack(losses).mean() if losses else None,
        )

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        if self.args.entropy_coef:
            tokens = inputs["num_items_in_batch"].clamp(min=1) / self._updates
            micro_batches = int(self.args.gradient_accumulation_steps) * self.accelerator.num_processes
            share = inputs["completion_mask"].sum() / tokens * micro_batches
            self.entropy_coef = self.args.entropy_coef * float(share)
        return cast(torch.Tensor, super()._compute_loss(model, inputs))
