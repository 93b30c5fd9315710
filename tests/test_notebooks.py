"""Each notebook runs as a script, in a process of its own, and its own assertions hold."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.py"))


def test_there_are_three_notebooks_and_the_page_names_them() -> None:
    page = (ROOT / "docs" / "notebooks.md").read_text("utf-8")
    assert len(NOTEBOOKS) == 3
    assert [path.name for path in NOTEBOOKS if f"`{path.name}`" not in page] == []


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("marimo") is None, reason="no marimo; pip install 'exprl[docs]'")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_to_its_end_in_under_a_minute_of_processor_time(notebook: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    before = os.times()
    run = subprocess.run(
        [sys.executable, str(notebook)], capture_output=True, text=True, timeout=600, cwd=tmp_path, env=environment
    )
    after = os.times()
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.startswith(f"{notebook.stem}:")
    assert after.children_user + after.children_system - before.children_user - before.children_system < 60


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_name_is_defined_in_two_cells(notebook: Path) -> None:
    import ast

    tree = ast.parse(notebook.read_text("utf-8"))
    returned = [
        name.id
        for cell in tree.body
        if isinstance(cell, ast.FunctionDef)
        for statement in cell.body
        if isinstance(statement, ast.Return) and isinstance(statement.value, ast.Tuple)
        for name in statement.value.elts
        if isinstance(name, ast.Name)
    ]
    assert len(returned) == len(set(returned))
