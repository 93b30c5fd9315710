"""What a stage leaves on the disk: checkpoints that cannot be torn, and the final policy.

A folder is written aside and renamed into place last, so one that bears a step's name is complete. Nothing in it is a
pickle that anybody reads, and no model card is written: a run directory is the record.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["PlacedCheckpoints", "place_checkpoint", "save_final"]


class PlacedCheckpoints:
    """Laid before one of TRL's trainers: its checkpoints, as step-000100 and with an `exprl.json` of `_extra_state`."""

    args: Any
    state: Any
    _extra_state: Callable[[], dict[str, object]]

    @property
    def steps_done(self) -> int:
        """Complete steps so far, by which a checkpoint is named."""
        return int(self.state.global_step)

    def create_model_card(self, *args: object, **kwargs: object) -> None:
        """Write none."""

    def _save_checkpoint(self, model: object, trial: object) -> None:
        folder = Path(self.args.output_dir)
        aside = folder / ".writing"
        shutil.rmtree(aside, ignore_errors=True)
        self.args.output_dir = str(aside)
        try:
            super()._save_checkpoint(model, trial)  # type: ignore[misc]
        finally:
            self.args.output_dir = str(folder)
        if not self.args.should_save:
            return
        written = aside / f"checkpoint-{self.state.global_step}"
        (written / "training_args.bin").unlink(missing_ok=True)  # a pickle that nobody reads
        (written / "exprl.json").write_text(json.dumps(self._extra_state()), encoding="utf-8")
        place_checkpoint(written, self._checkpoint_folder())
        shutil.rmtree(aside, ignore_errors=True)

    def _checkpoint_folder(self) -> Path:
        return Path(self.args.output_dir) / f"step-{self.steps_done:06d}"


def place_checkpoint(written: Path, target: Path) -> None:
    """Make a finished folder visible under its name in one rename, durable first."""
    for path in sorted(written.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    if target.exists():
        shutil.rmtree(target)
    written.rename(target)


def save_final(trainer: Any, tokenizer: PreTrainedTokenizerBase, final: Path) -> None:
    """Write the trained policy, an adapter merged into it, with its tokenizer."""
    aside = final.with_name(".final")
    shutil.rmtree(aside, ignore_errors=True)
    model = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    if trainer.args.should_save:
        model.save_pretrained(aside)
        tokenizer.save_pretrained(aside)
        place_checkpoint(aside, final)
    trainer.accelerator.wait_for_everyone()
