"""The options that several commands share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["AsJson", "ConfigPath", "DryRun", "Overrides", "Resume", "console"]

ConfigPath = Annotated[Path, Parameter(help="A TOML configuration, or the name of a shipped one such as `demo`.")]
Overrides = Annotated[
    str,
    Parameter(
        allow_leading_hyphen=True, help="Any key of the configuration as a flag: --judge.model NAME, --seeds '[0, 1]'."
    ),
]
Resume = Annotated[bool, Parameter(negative="", help="Go on where the run was interrupted.")]
DryRun = Annotated[bool, Parameter(negative="", help="Print the plan with its numbers; spend nothing.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON.")]


def console(as_json: bool = False) -> Console:
    """Where people read: standard output, or standard error when that carries JSON."""
    from rich.console import Console

    # [verl] is an extra and :8000: a port: what is printed is text, never markup
    return Console(stderr=as_json, soft_wrap=True, markup=False, emoji=False)
