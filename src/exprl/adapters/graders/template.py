"""Fill `{{ item.reference }}` and `{{ sample.output_text }}` into a grader's texts.

Templates are filled in one pass: what is put in is never looked at again, so a sample that holds `{{ item.reference }}` gets
nothing. `sample.output_json` is there where the sample is JSON; a path goes through objects and lists (`item.answers.0`). What
is no text is put in as JSON.

What it refuses: a variable that does not exist (`UnknownVariableError`). It names the variable, not what the item holds.

    >>> fill("{{item.a}} or {{ sample.output_text }}", {"item": {"a": 1}, "sample": {"output_text": "{{item.a}}"}})
    '1 or {{item.a}}'
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from exprl.errors import DataError

__all__ = ["UnknownVariableError", "fill", "names", "space"]

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z0-9_.-]{1,200})\s*\}\}")


class UnknownVariableError(DataError):
    """A template names a variable that is not there."""


def space(item: object, sample: str) -> dict[str, object]:
    """The variables of one run: the data set's item, and the sample as text and, where it is JSON, as that."""
    try:
        output: object = json.loads(sample)
    except (ValueError, RecursionError):
        output = None
    told: dict[str, object] = {"output_text": sample}
    return {"item": item, "sample": told if output is None else told | {"output_json": output}}


def fill(template: str, variables: Mapping[str, object], guard: Callable[[str], str] | None = None) -> str:
    """The template with its variables' values.

    Args:
        guard: what makes a sample's text harmless, for prompts.
    Raises:
        UnknownVariableError: a variable that is not there.
    """

    def value(found: re.Match[str]) -> str:
        text = _text(_look(found[1], variables))
        return guard(text) if guard is not None and found[1].startswith("sample") else text

    return _VARIABLE.sub(value, template)


def names(template: str) -> list[str]:
    """The variables of a template."""
    return _VARIABLE.findall(template)


def _look(path: str, variables: Mapping[str, object]) -> object:
    value: object = variables
    for part in path.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise UnknownVariableError(f"the template names {path!r}, which neither item nor sample has")
    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
