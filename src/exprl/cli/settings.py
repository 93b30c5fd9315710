"""From a TOML file and flags to a valid `RunConfig`, with errors that teach.

    exprl run configs/demo.toml --judge.model my-judge --arms.process.steps=40 --seeds '[0, 1]'

A flag names a key by its dotted path; its value is read as TOML, and as plain text where it is not TOML. An unknown key
fails with the key that was probably meant; a wrong value fails with the file, the key, the value and what is allowed.
"""

from __future__ import annotations

import difflib
import json
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from exprl.config import MethodConfig, RunConfig
from exprl.errors import ConfigError

__all__ = ["find_config", "load_config", "parse_overrides"]

Table = dict[str, object]


def load_config(
    path: Path | None, overrides: Sequence[str] = (), *, absent: Mapping[str, object] | None = None
) -> RunConfig:
    """Read a TOML configuration, lay the flags over it and validate the whole.

    Args:
        path: None: there are only flags.
        absent: for keys that the file leaves out, where a command needs a part of a configuration only.
    Raises:
        ConfigError: the file is missing or not TOML, a key is unknown, a value is not allowed.
    """
    table: Table = {} if path is None else _read(path := find_config(path))
    if absent and isinstance(table, dict):
        table = {**absent, **table}
    for key, value in parse_overrides(overrides).items():
        if key.startswith("arms.") and isinstance(table, dict):
            # A flag changes one arm of the default ones; it does not take the others out.
            table.setdefault("arms", {name: {"type": arm.type} for name, arm in _default_arms().items()})
        _assign(table, key, value)
    return validate(table, "flags" if path is None else str(path))


def _read(path: Path) -> Table:
    try:
        text = path.read_text("utf-8")
        # A run's own config.json is a configuration too, so that a run can be run again.
        table: Table = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path}: not valid {path.suffix.removeprefix('.').upper()}: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8: {error}") from error
    return table


def validate(table: Mapping[str, object], where: str) -> RunConfig:
    """Validate a table; `where` names its source in errors.

    Raises:
        ConfigError: listing every key that is unknown or has a wrong value.
    """
    try:
        return RunConfig.model_validate(table)
    except ValidationError as error:
        lines = [_explain(item["type"], item["loc"], item["msg"], item.get("input")) for item in error.errors()]
        raise ConfigError(f"{where}: {'; '.join(dict.fromkeys(lines))}") from None


def find_config(path: Path) -> Path:
    """The file itself, or the shipped configuration of that name (`demo` finds configs/demo.toml).

    Raises:
        ConfigError: neither exists; names the shipped ones.
    """
    if path.is_file():
        return path
    shipped = _shipped()
    name = str(path).removesuffix(".toml").removeprefix("configs/")
    if name in shipped:
        return shipped[name]
    raise ConfigError(f"{path}: no such file; shipped configurations: {', '.join(sorted(shipped)) or 'none'}")


def parse_overrides(tokens: Sequence[str]) -> Table:
    """`--a.b value` and `--a.b=value` pairs, values read as TOML.

    Raises:
        ConfigError: a token is not a flag, or a flag has no value.
    """
    pairs: Table = {}
    waiting = list(tokens)
    while waiting:
        token = waiting.pop(0)
        if not token.startswith("--"):
            raise ConfigError(f"expected a flag such as --judge.model, got {token!r}")
        key, equals, text = token[2:].partition("=")
        if not equals:
            if not waiting or waiting[0].startswith("--"):
                raise ConfigError(f"--{key} has no value; write --{key} VALUE or --{key}=VALUE")
            text = waiting.pop(0)
        pairs[_key(key)] = _value(text)
    return pairs


def _key(text: str) -> str:
    """A flag's key: hyphens are underscores, except in the names that a user gives to arms and evaluation sets."""
    parts = text.split(".")
    named = {("arms",), ("data", "evaluate")}
    return ".".join(p if tuple(parts[:i]) in named else p.replace("-", "_") for i, p in enumerate(parts))


def _value(text: str) -> object:
    if text.lower() in {"none", "null"}:
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _assign(table: Table, key: str, value: object) -> None:
    if not isinstance(table, dict):  # a JSON file may hold anything; validation says so
        return
    *parents, last = key.split(".")
    for i, name in enumerate(parents):
        child = table.setdefault(name, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--{key}: {'.'.join(parents[: i + 1])} is a value, not a table")
        table = child
    table[last] = value


def _default_arms() -> dict[str, MethodConfig]:
    arms: dict[str, MethodConfig] = RunConfig.model_fields["arms"].default
    return arms


def _shipped() -> dict[str, Path]:
    here = Path(__file__).resolve()
    for folder in (here.parents[1] / "_configs", here.parents[3] / "configs"):
        if folder.is_dir():
            return {str(p.relative_to(folder)).removesuffix(".toml"): p for p in sorted(folder.rglob("*.toml"))}
    return {}


def _explain(kind: str, loc: Sequence[int | str], message: str, value: object) -> str:
    tables = _path(loc)
    key = ".".join(str(part) for part in tables)
    if kind == "extra_forbidden":
        known = _known_keys(loc[:-1])
        close = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
        return f"unknown key {key!r}: {hint}"
    if kind == "missing":
        return f"missing key {key!r}"
    if kind == "union_tag_not_found":
        return f"missing key '{key}.type': one of {', '.join(_tags(loc))}"
    if kind == "union_tag_invalid":
        return _unknown_type(f"{key}.type", value, _tags(loc))
    shown = repr(value)
    return f"{key or 'the whole'}: {message.removeprefix('Value error, ')} (got {shown[:80]})"


def _unknown_type(key: str, value: object, tags: Sequence[str]) -> str:
    tag = value.get("type") if isinstance(value, dict) else None
    close = difflib.get_close_matches(str(tag), tags, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"it is one of {', '.join(tags)}"
    return f"unknown {key} {str(tag)[:80]!r}: {hint}"


def _tags(loc: Sequence[int | str]) -> list[str]:
    """The types that a table at this place may have."""
    return [str(model.model_fields["type"].default) for model in _models(loc) if "type" in model.model_fields]


def _path(loc: Sequence[int | str]) -> list[int | str]:
    """The keys a user wrote: pydantic's path without the tags of discriminated unions."""
    shown: list[int | str] = []
    annotation: object = RunConfig
    for part in loc:
        step = _step(annotation, part)
        if step is None:
            shown.append(part)
            continue
        annotation, is_key = step
        if is_key:
            shown.append(part)
    return shown


def _known_keys(loc: Sequence[int | str]) -> list[str]:
    return list(dict.fromkeys(name for model in _models(loc) for name in model.model_fields))


def _models(loc: Sequence[int | str]) -> list[type[BaseModel]]:
    """The settings classes that may lie at a place of the schema."""
    annotation: object = RunConfig
    for part in loc:
        step = _step(annotation, part)
        if step is None:
            return []
        annotation = step[0]
    return [m for m in _members(annotation) if isinstance(m, type) and issubclass(m, BaseModel)]


def _step(annotation: object, part: int | str) -> tuple[object, bool] | None:
    """One step down the schema: (what lies there, whether `part` is a key rather than a union's tag)."""
    for member in _members(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            tag = member.model_fields.get("type")
            if tag is not None and tag.default == part and len(_members(annotation)) > 1:
                return member, False
            if part in member.model_fields:
                return member.model_fields[str(part)].annotation, True
        elif typing.get_origin(member) in (dict, tuple, list):
            return typing.get_args(member)[-1 if typing.get_origin(member) is dict else 0], True
    return None


def _members(annotation: object) -> tuple[object, ...]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _members(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return tuple(m for arg in typing.get_args(annotation) for m in _members(arg))
    return (annotation,)
