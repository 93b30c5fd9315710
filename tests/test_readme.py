"""What the README shows is run."""

from __future__ import annotations

import contextlib
import io
import re
import tomllib
from pathlib import Path

import pytest

from exprl.cli.settings import validate

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_there_are_python_examples() -> None:
    assert len(blocks("python")) == 2


@pytest.mark.parametrize("code", blocks("python"))
def test_every_python_example_prints_what_its_comments_say(code: str) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    promised = [line.split("# ", 1)[1] for line in code.splitlines() if line.startswith("print(")]
    assert printed.getvalue().splitlines() == promised


def test_the_configuration_example_is_valid() -> None:
    (toml,) = blocks("toml")
    config = validate(tomllib.loads(toml), "README.md")
    assert set(config.arms) == {"sparse", "outcome", "process"}


def test_every_command_of_the_table_exists() -> None:
    from exprl.cli import app

    named = re.findall(r"`exprl ([a-z]+)`", README)
    assert named
    assert set(named) <= set(app)
