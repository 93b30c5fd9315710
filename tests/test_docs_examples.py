"""What the documentation shows is run: its Python, its configurations, its commands, its links and its table of packages."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from exprl.cli import app
from exprl.cli.settings import validate
from exprl.config import RunConfig

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
GUIDES = {"guide.md", "results.md", "answers.md"}  # prose with fragments; their commands and tables are held below
BASE = {"name": "docs", "data": {"train": {"path": "problems.jsonl"}}}
HELP = ROOT / "tests" / "golden" / "help"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def name(page: Path) -> str:
    return str(page.relative_to(DOCS))


def examples() -> Iterator[pytest.ParameterSet]:
    for page in PAGES:
        for number, code in enumerate(blocks(page, "python"), 1):
            yield pytest.param(code, id=f"{name(page)}-{number}")


def promised(code: str) -> list[str]:
    """What an example says that it prints: behind `print(...)`, or in comments at its end."""
    found = re.findall(r"^\s*print\(.*\)  # (.+)$", code, re.MULTILINE)
    if found:
        return found
    lines = code.rstrip().splitlines()
    while lines and lines[-1].startswith("# "):
        found.insert(0, lines.pop()[2:])
    return found


def test_there_are_pages_and_examples() -> None:
    assert len(PAGES) > 15
    assert len(list(examples())) > 12


@pytest.mark.parametrize("code", list(examples()))
def test_every_python_example_prints_what_its_comments_say(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "docs", "exec"), {"__name__": "example"})
    assert promised(code)
    assert printed.getvalue().splitlines() == promised(code)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_configuration_is_valid(page: Path) -> None:
    if name(page) in GUIDES:
        pytest.skip("fragments of tables")
    for text in blocks(page, "toml"):
        table = tomllib.loads(text)
        validate({**BASE, **table}, name(page))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_json_example_is_json(page: Path) -> None:
    for text in blocks(page, "json"):
        for line in text.splitlines():
            json.loads(line)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_and_flag_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    for command, rest in re.findall(r"(?:^    |`)exprl ([a-z]+)((?: [^\n`#]*)?)", text, re.MULTILINE):
        assert command in app, f"exprl {command}"
        help_ = (HELP / f"{command}.txt").read_text("utf-8")
        for flag in re.findall(r" (--[a-z][a-z-]*)(?=[ =]|$)", rest):
            key = "OVERRIDES" in help_ and flag[2:].replace("-", "_") in RunConfig.model_fields
            assert key or flag in help_, f"exprl {command} {flag}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_to_a_page_leads_to_one(page: Path) -> None:
    generated = {"cli.md", "config.md", "api.md"}
    for target in re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", page.read_text("utf-8")):
        path = (page.parent / target).resolve()
        assert path.is_file() or (path.parent.name == "reference" and path.name in generated), f"{name(page)}: {target}"


def test_every_page_stands_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
    assert [name(page) for page in PAGES if name(page) not in navigation] == []


def test_the_table_of_dependencies_names_every_package_with_its_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    rows = re.findall(
        r"^\| ([a-z0-9-]+) \| .+ \| .+ \| ([a-z]+) \|$", (DOCS / "dependencies.md").read_text("utf-8"), re.M
    )
    said = {(package, extra) for package, extra in rows if package != "package"}
    declared = {"core": project["dependencies"], **project["optional-dependencies"]}
    wanted = {
        (re.split(r"[\[<>=!~ ]", requirement, maxsplit=1)[0].lower(), extra)
        for extra, requirements in declared.items()
        for requirement in requirements
        if not requirement.startswith("exprl")
    }
    assert said == wanted
