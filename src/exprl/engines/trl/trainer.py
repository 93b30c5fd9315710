"""TRL's GRPO trainer with credit per segment, rollouts that can leave the loss, and checkpoints that cannot be torn.

What is overridden, and why:
  _generate_and_score_completions   TRL calls our async reward function with whole groups; it judges them and keeps the
                                    advantages of shape (B, T), which replace TRL's (B,) here. TRL's `_compute_loss` takes
                                    them as they are. A rollout that could not be scored gets a completion mask of 0, and
                                    `num_items_in_batch` is counted again, so it is in neither sum nor mean of the loss.
  _save_checkpoint                  writes aside and renames into place last, as step-000100.
  create_model_card                 not written: a run directory is the record.

If the judge fails too often the step stops before any update. The random state from before the sampling is put back and a
checkpoint is written, so that the resumed run samples the very same rollouts.

Nothing privileged passes through TRL: its dataset holds prompts and problem ids, so its warnings, which print columns,
cannot show a reference.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from trl import GRPOTrainer

from exprl.errors import UnscoredLimitError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Scored", "Scorer", "SegmentGRPOTrainer"]


@dataclass(frozen=True, slots=True)
class Scored:
    """Credit of a batch, ready for the loss.

    Attributes:
        advantages_RT: (R, T) advantage of each token, 0 on padding and on dropped rollouts.
        dropped_R: (R,) rollouts that leave the loss.
    """

    advantages_RT: NDArray[np.float64]
    dropped_R: NDArray[np.bool_]


Scorer = Callable[[Sequence[str], Sequence[Sequence[int]], int], Awaitable[Scored]]
"""(problem ids, token ids of the completions, step) -> credit; rows are whole groups, in order."""


class SegmentGRPOTrainer(GRPOTrainer):  # type: ignore[misc]
    """GRPO on advantages of shape (B, T) that a `Scorer` gives. Everything else is TRL's."""

    def __init__(self, *, scorer: Scorer, extra_state: Callable[[], dict[str, object]], **kwargs: object) -> None:
        self._scorer = scorer
        self._extra_state = extra_state
        self._scored: Scored | None = None
        super().__init__(reward_funcs=[self._score], **kwargs)

    @property
    def our_step(self) -> int:
        """The step in progress, from 1: a step is one sampled batch, whatever its number of updates."""
        return int(self.state.global_step) // self._updates + 1

    @property
    def _updates(self) -> int:
        return int(self.args.steps_per_generation) // int(self.args.gradient_accumulation_steps)

    async def _score(
        self,
        prompts: list[object],
        completions: list[object],
        completion_ids: list[list[int]],
        problem_id: list[str],
        **_: object,
    ) -> list[float]:
        self._scored = await self._scorer(problem_id, completion_ids, self.our_step)
        return [0.0] * len(prompts)  # TRL's own advantages are not used

    def _generate_and_score_completions(self, inputs: list[dict[str, object]]) -> dict[str, torch.Tensor]:
        before = torch.get_rng_state(), torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        try:
            output = cast(dict[str, torch.Tensor], super()._generate_and_score_completions(inputs))
        except UnscoredLimitError:
            torch.set_rng_state(before[0])
            if before[1]:
                torch.cuda.set_rng_state_all(before[1])
            if self.state.global_step > 0:
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
        output["num_items_in_batch"] = self.accelerator.gather(output["completion_mask"].sum()).sum()
        return output

    def create_model_card(self, *args: object, **kwargs: object) -> None:
        """Write none."""

    def _save_checkpoint(self, model: torch.nn.Module, trial: object) -> None:
        folder = Path(self.args.output_dir)
        aside = folder / ".writing"
        shutil.rmtree(aside, ignore_errors=True)
        self.args.output_dir = str(aside)
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self.args.output_dir = str(folder)
        if not self.args.should_save:
            return
        written = aside / f"checkpoint-{self.state.global_step}"
        (written / "exprl.json").write_text(json.dumps(self._extra_state()), encoding="utf-8")
        place_checkpoint(written, folder / f"step-{int(self.state.global_step) // self._updates:06d}")
        shutil.rmtree(aside, ignore_errors=True)


def place_checkpoint(written: Path, target: Path) -> None:
    """Make a finished folder visible under its name in one rename, durable first."""
    for path in sorted(written.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    if target.exists():
        shutil.rmtree(target)
    written.rename(target)
