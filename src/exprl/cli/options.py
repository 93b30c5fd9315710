"""The options that several commands share, each defined once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from exprl.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from exprl.config import RunConfig

__all__ = ["Arms", "AsJson", "ConfigPath", "DryRun", "Overrides", "Resume", "console", "refuse_unknown_arms"]

ConfigPath = Annotated[Path, Parameter(help="A TOML configuration, or the name of a shipped one such as `demo`.")]
Overrides = Annotated[
    str,
    Parameter(
        allow_leading_hyphen=True, help="Any key of the configuration as a flag: --judge.model NAME, --seeds '[0, 1]'."
    ),
]
Arms = Annotated[tuple[str, ...], Parameter(name="--arm", negative="", help="Only this arm; may be repeated.")]
Resume = Annotated[bool, Parameter(negative="", help="Go on where the run was interrupted.")]
DryRun = Annotated[bool, Parameter(negative="", help="Print the plan with its numbers; spend nothing.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON.")]


def console(as_json: bool = False) -> Console:
    """Where people read: standard output, or standard error when that carries JSON."""
    from rich.console import Console

    # [verl] is an extra and :8000: a port: what is printed is text, never markup
    return Console(stderr=as_json, soft_wrap=True, markup=False, emoji=False)


def refuse_unknown_arms(config: Path, settings: RunConfig, arms: Sequence[str]) -> None:
    """Refuse the name of an arm that the configuration does not have."""
    if unknown := [arm for arm in arms if arm not in settings.arms]:
        raise ConfigError(f"no arm {unknown[0]!r} in {config}; its arms are {', '.join(settings.arms)}")
