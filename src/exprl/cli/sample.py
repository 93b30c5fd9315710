"""`exprl sample`: answers of a policy to problems, graded where they have an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from exprl.cli.options import ConfigPath, Overrides, console

__all__ = ["sample_"]


def sample_(
    config: ConfigPath,
    *overrides: Overrides,
    out: Annotated[Path, Parameter(help="The .jsonl file to write; a second call goes on.")],
    policy: Annotated[
        str | None, Parameter(help="A checkpoint, Hub id or world; default: the configuration's policy.")
    ] = None,
    set_name: Annotated[str, Parameter(name="--set", help="hard_train, or an evaluation set's name.")] = "hard_train",
    n: Annotated[int, Parameter(help="Samples a problem.")] = 1,
) -> None:
    """Sample n answers a problem into a JSONL file."""
    from exprl.cli.settings import load_config
    from exprl.pipeline.policy import sample_set

    settings = load_config(config, overrides)
    counts = sample_set(settings, policy, set_name, out, n)
    console().print(f"{counts.n_SP.sum()} samples, {counts.correct_SP.sum()} right: {out}", highlight=False)
