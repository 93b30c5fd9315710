"""The pages of the site that are made of the code, so that they cannot say something else than it does.

    reference/cli.md      the help of every command, from the golden files that a test holds to the commands themselves
    reference/config.md   every key of a configuration with its default, from `exprl.config`
    reference/api.md      the public names and modules, from their docstrings (mkdocstrings)

mkdocs calls `on_files` and `on_page_markdown`. Links from the guide into the source tree, which is not part of the site, become
plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

import exprl
from exprl import config as settings

ROOT = Path(__file__).resolve().parents[1]
HELP = ROOT / "tests" / "golden" / "help"
SOURCE_LINK = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?:src|configs|examples|tests)/[^)]*\)")

# What a user of the library reads, in the order of the data's way. A module's docstring is its design note.
MODULES = (
    *("types", "errors", "data", "segment", "turns", "rewards", "advantages"),
    *("judge.protocol", "judge.milestone", "judge.llm", "judge.panel"),
    *("verify", "verify.route", "verify.evidence", "verify.code", "verify.sandbox"),
    *("agents.trial", "agents.scoring", "agents.result", "agents.search", "agents.view"),
    *("evaluate.coverage", "evaluate.advice", "monitor"),
    *("adapters", "adapters.book", "adapters.trl", "adapters.verl", "adapters.inspect", "adapters.verifiers"),
    *("adapters.graders", "cluster.planner", "cluster.assumptions"),
    *("serve", "serve.auth", "serve.limits", "runs"),
)


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages."""
    from mkdocs.structure.files import File

    pages = {"cli": cli_page(), "config": config_page(), "api": api_page()}
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Links into the source tree become text."""
    return SOURCE_LINK.sub(r"\1", markdown)


def cli_page() -> str:
    """The help of every command."""
    parts = ["# Commands", "Every command has `--json`, and `--dry-run` where it spends or serves."]
    names = ["exprl", *sorted(file.stem for file in HELP.glob("*.txt") if file.stem != "exprl")]
    for name in names:
        title = "exprl" if name == "exprl" else f"exprl {name}"
        parts += [f"## {title}", f"```text\n{(HELP / f'{name}.txt').read_text('utf-8').rstrip()}\n```"]
    return "\n\n".join(parts) + "\n"


def config_page() -> str:
    """Every key, table by table."""
    parts = [
        "# Configuration",
        "A configuration is a TOML file; any key can be given as a flag (`--judge.model NAME`). Class defaults are the paper's "
        "setting. An unknown key is refused, with the one that was probably meant.",
    ]
    for name, model in _tables():
        parts += [f"## {name}", (model.__doc__ or "").strip(), "\n".join(_rows(model))]
    return "\n\n".join(parts) + "\n"


def _tables() -> Iterator[tuple[str, type[BaseModel]]]:
    seen: set[type[BaseModel]] = set()
    waiting: list[type[BaseModel]] = [settings.RunConfig]
    while waiting:
        model = waiting.pop(0)
        if model in seen:
            continue
        seen.add(model)
        yield model.__name__, model
        for field in model.model_fields.values():
            waiting += [found for found in _models(field.annotation) if found not in seen]


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _rows(model: type[BaseModel]) -> Iterator[str]:
    yield "| key | default | is |"
    yield "|---|---|---|"
    for key, field in model.model_fields.items():
        yield f"| `{key}` | {_default(field)} | {_cell(field.description or _kind(field.annotation))} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return f"[{type(value).__name__}](#{type(value).__name__.lower()})"
    if isinstance(value, dict) and value and all(isinstance(one, BaseModel) for one in value.values()):
        return _cell(", ".join(f"`{name}`" for name in value))
    return f"`{_cell(_shown(value))}`"


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(list(value)) if isinstance(value, tuple) else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _kind(annotation: object) -> str:
    found = dict.fromkeys(model.__name__ for model in _models(annotation))
    return ", ".join(f"[{name}](#{name.lower()})" for name in found)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _link(home: str, name: str) -> str:
    return f"- [`{name}`](config.md#{name.lower()})" if home == "exprl.config" else f"- [`{name}`][{home}.{name}]"


def api_page() -> str:
    """The public names, then the modules behind them."""
    parts = ["# Library", "`import exprl` gives these names; they are imported when they are first used.", ""]
    parts += [_link(home, name) for home, names in exprl._HOMES.items() for name in names]
    parts += ["", "Each module's own text says what it does, what it refuses and where its formulas come from.", ""]
    parts += [f"::: exprl.{name}" for name in MODULES]
    return "\n".join(parts) + "\n"
