"""Help texts are golden files, `--help` is quick, and what is imported for it is little.

After a wanted change: `EXPRL_REGENERATE=1 pytest tests/cli/test_help.py` writes tests/golden/help/*.txt anew; read the
difference before it is committed. The frames are drawn by cyclopts and rich at the versions in constraints.txt.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import exprl
from exprl.cli import _COMMANDS, main

GOLDEN = Path(__file__).parents[1] / "golden" / "help"
COMMAND = Path(sys.executable).with_name("exprl")
HEAVY = {"torch", "transformers", "numpy", "aiohttp", "pydantic", "datasets", "trl", "scipy", "jinja2"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)


def modules_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after some code."""
    shown = run(sys.executable, "-c", f"{code}\nimport sys; print('modules:', *sys.modules)")
    assert shown.returncode == 0, shown.stderr
    return {name.partition(".")[0] for name in shown.stdout.partition("modules:")[2].split()}


# -- what it says


@pytest.mark.parametrize("name", ["exprl", *_COMMANDS])
def test_help_reads_as_it_did(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    for colour in ("FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(colour, raising=False)
    with pytest.raises(SystemExit) as ended:
        main([*([] if name == "exprl" else [name]), "--help"])
    assert not ended.value.code
    shown = "".join(f"{line.rstrip()}\n" for line in capsys.readouterr().out.splitlines())
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("EXPRL_REGENERATE"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(shown, "utf-8")
    assert file.is_file(), "no golden file; EXPRL_REGENERATE=1 writes one"
    assert shown == file.read_text("utf-8"), "EXPRL_REGENERATE=1 writes the golden file anew, if this is meant"
    assert "\x1b" not in shown


def test_every_golden_file_has_a_command() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {"exprl", *_COMMANDS}


def test_every_command_that_spends_can_say_first_what_it_would_do_and_every_command_prints_json() -> None:
    for name in _COMMANDS:
        text = (GOLDEN / f"{name}.txt").read_text("utf-8")
        assert "--json" in text, name
        assert ("--dry-run" in text) == (name not in {"report", "overlap", "cluster", "doctor"}), name


def test_the_module_is_the_command() -> None:
    shown = run(sys.executable, "-m", "exprl", "--version")
    assert (shown.returncode, shown.stdout.strip()) == (0, exprl.__version__)


def test_without_a_command_help_is_shown() -> None:
    shown = run(str(COMMAND))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Usage: exprl COMMAND" in shown.stdout


def test_the_version_is_the_packages() -> None:
    assert run(str(COMMAND), "--version").stdout.strip() == version("exprl") == exprl.__version__


# -- what it costs


def test_help_takes_less_than_half_a_second() -> None:
    # Processor time, not the clock on the wall: that one also measures what else the machine is doing.
    spent = []
    for _ in range(4):  # the first one may have to compile
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run(str(COMMAND), "--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < 0.5, spent


def test_importing_exprl_loads_nothing_heavy() -> None:
    assert not modules_after("import exprl") & HEAVY
    assert not modules_after("from exprl import Problem, Reference, Verdict, ExprlError, __version__") & HEAVY


def test_help_loads_nothing_heavy() -> None:
    code = "from exprl.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not modules_after(code) & HEAVY


def test_the_public_names_need_no_torch() -> None:
    assert not modules_after("from exprl import *") & {"torch", "transformers", "trl", "datasets", "peft", "jinja2"}


# -- public names


@pytest.mark.parametrize("name", exprl.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(exprl, name) is not None
    assert name in dir(exprl)
    namespace: dict[str, object] = {}
    exec(f"from exprl import {name}", namespace)
    assert namespace[name] is getattr(exprl, name)


def test_the_public_names_are_few_and_sorted_and_those_that_a_type_checker_sees() -> None:
    assert exprl.__all__ == sorted(exprl.__all__)
    assert set(exprl._HOME) | {"__version__"} == set(exprl.__all__)
    assert len(exprl.__all__) < 25
    source = Path(exprl.__file__).read_text("utf-8").partition("if TYPE_CHECKING:")[2].partition("__all__")[0]
    assert [name for name in exprl.__all__ if name not in source] == []


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'exprl' has no attribute 'jduge'"):
        exprl.jduge  # noqa: B018
    assert exprl.pass_at_k(n=4, c=1, k=2) == 0.5
