r"""The options of a multiple-choice question, read from its text or from `meta["options"]`.

    A: 29.48%      (A) 29.48%      A. 29.48%      A) 29.48%      $\textbf{(A)}\ 3 \qquad \textbf{(B)}\ 4$

A run of such marks that counts up from A (or a) without a gap, the last one where there are several, at line starts
or, in brackets, within a line. `meta["options"]` is JSON (a list, or an object by letter) or text of the same form.

    >>> read_options("Which?\nA. one\nB. two")
    {'A': 'one', 'B': 'two'}
"""

from __future__ import annotations

import json
import re

from exprl.types import Problem

__all__ = ["LETTERS", "options_of", "read_options"]

LETTERS = "ABCDEFGHIJ"
_AT_LINE = re.compile(r"^[ \t]{0,8}(?:\*\*)?(?:[-*][ \t])?\(?([A-Ja-j])(?:\)|\.|:)(?:\*\*)?(?=\s|$)", re.MULTILINE)
_INLINE = re.compile(r"(?:\\(?:textbf|text|mathrm|mathbf)\s?\{\s?)?\(([A-Ja-j])\)\s?\}?")
_EDGE = " \t\r\n$~\\"


def options_of(problem: Problem) -> dict[str, str]:
    """Option texts by upper-case letter; empty where the question has none that can be read."""
    written = problem.meta.get("options")
    if isinstance(written, str) and (found := _from_json(written) or read_options(written)):
        return found
    return read_options(problem.text)


def read_options(text: str) -> dict[str, str]:
    """The last run of options that a text lists, at least two."""
    return _last_run(text, _AT_LINE) or _last_run(text, _INLINE)


def _last_run(text: str, mark: re.Pattern[str]) -> dict[str, str]:
    best: list[re.Match[str]] = []
    run: list[re.Match[str]] = []
    for match in mark.finditer(text):
        place = LETTERS.index(match[1].upper())
        if place == 0:
            run = [match]
        elif place == len(run):
            run.append(match)
        else:
            run = []
        if len(run) > 1:
            best = list(run)
    ends = [match.start() for match in best[1:]] + [_end(text, best[-1].end()) if best else 0]
    return {m[1].upper(): _clean(text[m.end() : end]) for m, end in zip(best, ends, strict=False)}


def _end(text: str, start: int) -> int:
    """The last option ends with its line."""
    while start < len(text) and text[start] in " \t\n":
        start += 1
    stop = text.find("\n", start)
    return len(text) if stop < 0 else stop


def _clean(text: str) -> str:
    return re.sub(r"\\q?quad", "", text).strip(_EDGE)


def _from_json(written: str) -> dict[str, str]:
    try:
        data = json.loads(written)
    except (ValueError, RecursionError):
        return {}
    if isinstance(data, list):
        return {letter: str(text) for letter, text in zip(LETTERS, data, strict=False)}
    if isinstance(data, dict):
        return {str(key).strip("(). ").upper(): str(text) for key, text in data.items()}
    return {}
