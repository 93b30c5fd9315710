r"""Find `\boxed{...}` in text of any length, in one pass.

An answer is *stated* when it stands in a balanced box. The last box to close is the final one: later statements replace
earlier ones, and an outer box replaces what it encloses, unless it encloses nothing else (`\boxed{\boxed{5}}` is 5). A
box that is never closed is no statement: a trace cut short has no answer. `\{` and `\}` are characters, not braces.

    >>> boxed(r"first \boxed{1}, no: \boxed{\frac{1}{2}} \boxed{3")
    ['1', '\\frac{1}{2}']

Refuses to search again for each candidate: 10^5 unclosed boxes cost what 10^6 letters cost.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["boxed"]

_TOKEN = re.compile(r"\\(?:boxed|fbox)\s{0,8}\{|\\[{}]|[{}]")
_SPACE = re.compile(r"\s*")


class _Box(NamedTuple):
    start: int
    end: int
    content: int
    stop: int


class _Open(NamedTuple):
    start: int
    content: int
    is_box: bool


def boxed(text: str) -> list[str]:
    r"""The contents of the outermost balanced `\boxed{}` (and `\fbox{}`), in the order in which they close.

    Args:
        text: any text.
    Returns:
        Contents without the box and without whitespace at the ends; empty where nothing is boxed.
    """
    first = text.find("\\")
    if first < 0 or "box" not in text:
        return []
    found: list[_Box] = []
    open_: list[_Open] = []
    for token in _TOKEN.finditer(text, first):
        start, end = token.span()
        if end - start == 2:
            continue  # an escaped brace
        if text[end - 1] == "{":
            open_.append(_Open(start, end, is_box=end - start > 1))
        elif open_ and (opened := open_.pop()).is_box:
            found.append(_close(text, found, opened, start))
    return [text[box.content : box.stop].strip() for box in found]


def _close(text: str, found: list[_Box], opened: _Open, brace: int) -> _Box:
    """The box that `brace` closes; takes the boxes that it encloses off `found`."""
    enclosed = 0
    inner = _Box(0, 0, 0, 0)
    while found and found[-1].start > opened.start:
        inner = found.pop()
        enclosed += 1
    if enclosed == 1 and _blank(text, opened.content, inner.start) and _blank(text, inner.end, brace):
        return _Box(opened.start, brace + 1, inner.content, inner.stop)
    return _Box(opened.start, brace + 1, opened.content, brace)


def _blank(text: str, start: int, end: int) -> bool:
    match = _SPACE.match(text, start, end)
    return match is not None and match.end() == end
