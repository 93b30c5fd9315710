"""A policy's checkpoint: refused where it is none, its tokenizer loaded, and the newest of a stage found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from exprl.errors import CheckpointError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["check_policy_path", "latest_checkpoint", "load_tokenizer", "loading"]


def check_policy_path(policy: str) -> None:
    """Refuse a local folder that is not a transformers checkpoint; a Hub id is left to transformers.

    Raises:
        CheckpointError: the folder lacks config.json or weights in safetensors, or the path looks local and is not there.
    """
    path = Path(policy)
    if not path.exists():
        if policy.startswith((".", "/", "~")) or policy.count("/") > 1:
            raise CheckpointError(
                f"{policy}: no such folder; give a transformers checkpoint, or a Hub id as owner/name"
            )
        return
    if not (path / "config.json").is_file():
        raise CheckpointError(
            f"{policy}: not a checkpoint: config.json is missing; give the folder that save_pretrained wrote, "
            "such as <run>/arms/<arm>/seed-0/stage1/final"
        )
    weights = sorted(path.glob("*.safetensors"))
    if not weights:
        raise CheckpointError(f"{policy}: no *.safetensors in it; pickled weights are not loaded")
    try:
        settings = json.loads((path / "config.json").read_text("utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{policy}: config.json is damaged: {error}") from error
    if not isinstance(settings, dict) or "model_type" not in settings:
        raise CheckpointError(f"{policy}: config.json names no model_type; it is not a transformers checkpoint's")
    for file in weights:
        _check_weights(file)


@contextmanager
def loading(policy: str) -> Iterator[None]:
    """Turn what transformers raises for a policy that it cannot load into one line that names the policy.

    Raises:
        CheckpointError: no such Hub id, no connection, or a checkpoint that does not fit together.
    """
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
        raise CheckpointError(
            f"{policy}: cannot be loaded ({type(error).__name__}: {reason[:200]}); "
            "check the name and the connection, or give a checkpoint's folder"
        ) from error


def latest_checkpoint(checkpoints: Path) -> Path | None:
    """The newest complete checkpoint, or None. Folders half written never bear a step's name."""
    return max((path for path in checkpoints.glob("step-*") if (path / "exprl.json").is_file()), default=None)


def load_tokenizer(policy: str) -> PreTrainedTokenizerBase:
    """The policy's own tokenizer, padded on the left, with a pad token."""
    from transformers import AutoTokenizer

    with loading(policy):
        tokenizer = AutoTokenizer.from_pretrained(policy, padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _check_weights(file: Path) -> None:
    """Refuse a file of weights that is cut short or no safetensors file; reads its header only."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        return  # without the train extra nothing is loaded either
    try:
        with safe_open(file, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: damaged weights ({error}); copy or save the checkpoint again") from error
