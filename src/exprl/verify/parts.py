r"""Cut an answer with several parts into them: `(a) 3 m (b) 5 s`, lines, `3 m; 5 s`, `3 m and 5 s`.

Labels win where there are two or more that count up from (a), (i) or (1); then line ends and semicolons; then commas
with a space and `and`, outside brackets only. What stands before the first label is dropped.

    >>> [(part.label, part.text) for part in split_parts("(a) 3 m, (b) 5 s")]
    [('a', '3 m'), ('b', '5 s')]
    >>> [part.text for part in split_parts("(1, 2)")]
    ['(1, 2)']

Linear in the length of the text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Part", "split_parts"]

_LABEL = re.compile(r"(?:(?<=^)|(?<=[\s,;.}$]))(?:\(([a-h]|i{1,3}|iv|v|[1-8])\)|([a-h])[.)](?=\s))")
_SERIES = ([*"abcdefgh"], ["i", "ii", "iii", "iv", "v"], [*"12345678"])
_BREAK = re.compile(r"\n|;|\\\\")
_LIST = re.compile(r"[({\[]|[)}\]]|,\s{1,4}(?:and\s)?|\s(?:and|\\text\{\s?and\s?\})\s")
_EDGE = " \t\r\n,;."


class Part(NamedTuple):
    """One part; `label` is '' where it has none."""

    label: str
    text: str


def split_parts(text: str) -> tuple[Part, ...]:
    """The parts of an answer, at least one, in order."""
    labels = list(_LABEL.finditer(text))
    names = [match[1] or match[2] for match in labels]
    if len(names) > 1 and any(names == series[: len(names)] for series in _SERIES):
        ends = [match.start() for match in labels[1:]] + [len(text)]
        return tuple(
            Part(name, text[match.end() : end].strip(_EDGE + ":="))
            for name, match, end in zip(names, labels, ends, strict=True)
        )
    lines = [piece.strip(_EDGE) for piece in _BREAK.split(text) if piece.strip(_EDGE)]
    pieces = lines if len(lines) > 1 else _top_level(text)
    return tuple(Part("", piece) for piece in pieces) or (Part("", text.strip()),)


def _top_level(text: str) -> list[str]:
    pieces, depth, start = [], 0, 0
    for mark in _LIST.finditer(text):
        if mark[0] in "({[":
            depth += 1
        elif mark[0] in ")}]":
            depth -= 1
        elif depth == 0:
            pieces.append(text[start : mark.start()])
            start = mark.end()
    return [piece.strip(_EDGE) for piece in [*pieces, text[start:]] if piece.strip(_EDGE)]
