r"""Read the verdict out of a judge model's reply: strictly, or not at all.

A verdict is a line `Score: n` (markdown emphasis and a full stop around it are fine) or a JSON object with a whole
number under "score". The last verdict of the reply decides; n is a whole number from 1 to the scale K. `10`, `4.5`,
`3/5`, `4 or 5` are no grades, and a reply whose last verdict is none is unscored, whatever came before. One reply may
instead grade all parts of a divided trace: a JSON object with a list of whole numbers under "scores", as many as parts.

Reasoning is not read: all up to the last `</think>` (or the like of other model families), and all after a `<think>`
that is never closed. Of a reply that ran into the token limit the last line may be half a line, so it is not read either.

    >>> parse_reply("Checkpoint 2 fails.\nScore: 2").likert, parse_reply("<think>Score: 5</think>Score: 4.5").reason
    (2, 'the verdict is not a whole number from 1 to 5')

Known faults that this refuses to repeat: the first "Score" of a reply, one character of it, no range check. No reason
quotes the reply: it may hold reference text.

`verdict_format` and `scores_format` are what `judge.structured` has the server enforce: a reason first, then the grades.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

__all__ = ["Grade", "Grades", "parse_reply", "parse_scores", "scores_format", "stated", "verdict_format"]

_LINE = re.compile(r"^[ \t>*_#`-]*score[ \t*_`]*[:=](.*)$", re.IGNORECASE | re.MULTILINE)
_JSON = re.compile(r"\{[^{}]*\}")
_SCORE = re.compile(r'"score"\s*:\s*')
_CODE_FENCE = re.compile(r"\A```\w*\n(.*)\n```\Z", re.DOTALL)
_CLOSES = re.compile(
    r"</(?:seed:)?(?:think|thinking|reasoning|thought)>|\[/THINK\]|◁/think▷|<\|END_THINKING\|>|<\|end_of_thought\|>"
    r"|<\|channel\|>final<\|message\|>"
)
_OPENS = re.compile(
    r"<(?:seed:)?(?:think|thinking|reasoning|thought)>|\[THINK\]|◁think▷|<\|START_THINKING\|>|<\|begin_of_thought\|>"
    r"|<\|channel\|>(?:analysis|commentary)"
)


class Grade(NamedTuple):
    """A grade 1..K and where its digit stands in the reply, or the reason why there is none."""

    likert: int | None
    reason: str | None = None
    at: int = -1


class Grades(NamedTuple):
    """The grades of all parts of a trace, or the reason why there are none."""

    likerts: tuple[int, ...] | None
    reason: str | None = None


class _Found(NamedTuple):
    verdict: str
    at: int


def parse_reply(reply: str, *, scale: int = 5, cut_short: bool = False) -> Grade:
    """The grade of a reply.

    Args:
        reply: what the model wrote, untrusted.
        scale: the highest grade.
        cut_short: whether it ran into its token limit.
    """
    start, text, reason = _read(reply, cut_short)
    if reason is not None:
        return Grade(None, reason)
    last = _last_verdict(text)
    if last is None:
        return Grade(None, "no verdict before the token limit" if cut_short else "no verdict in the reply")
    if not _is_grade(last.verdict, scale):
        return Grade(None, f"the verdict is not a whole number from 1 to {scale}")
    return Grade(int(last.verdict), None, start + last.at)


def parse_scores(reply: str, count: int, *, scale: int = 5, cut_short: bool = False) -> Grades:
    """The grades of a reply that grades `count` parts; all of them or none."""
    if cut_short:
        return Grades(None, "no verdict before the token limit")
    _, text, reason = _read(reply, cut_short=False)
    if reason is not None:
        return Grades(None, reason)
    pieces = chain((_bare(text),), reversed(_JSON.findall(text)))
    values = next((value for piece in pieces if (value := _listed(piece)) is not None), None)
    if values is None:
        return Grades(None, "no list of scores in the reply")
    if len(values) != count:
        return Grades(None, f"the reply has {len(values)} scores for {count} prefixes")
    grades = tuple(value for value in values if type(value) is int and 1 <= value <= scale)
    if len(grades) != count:
        return Grades(None, f"a score in the reply is not a whole number from 1 to {scale}")
    return Grades(grades)


def stated(reply: str) -> tuple[str, str | None]:
    """A reply without its reasoning and the code fence around it, and why nothing is left of it."""
    _, text, reason = _read(reply, cut_short=False)
    return _bare(text), reason


def _is_grade(verdict: str, scale: int) -> bool:
    return len(verdict) == 1 and "1" <= verdict <= str(scale)


def _read(reply: str, cut_short: bool) -> tuple[int, str, str | None]:
    """Where the part to be read begins, that part, and why there is none."""
    start = 0
    for closing in _CLOSES.finditer(reply):
        start = closing.end()
    text = reply[start:]
    if (opening := _OPENS.search(text)) is not None:
        text = text[: opening.start()]
        if not text.strip():
            return start, "", "the reply ends inside its reasoning"
    return start, text[: text.rfind("\n") + 1] if cut_short else text, None


def _last_verdict(text: str) -> _Found | None:
    bare = _bare(text)
    if (verdict := _in_json(bare)) is not None:
        # a structured reply, whose reason may hold braces or lines that look like verdicts
        return _Found(verdict, _place(text, 0, len(text)))
    found: list[_Found] = []
    for line in deque(_LINE.finditer(text), maxlen=1):
        verdict = line[1].strip(" \t\r*_`.")
        if len(verdict) == 3 and verdict[0] == "<" and verdict[2] == ">":  # the form that was shown, filled in
            verdict = verdict[1]
        found.append(_Found(verdict, line.start(1) + line[1].find(verdict)))
    for piece in reversed(list(_JSON.finditer(text))):
        if (verdict := _in_json(piece[0])) is not None:
            found.append(_Found(verdict, _place(text, piece.start(), piece.end())))
            break
    return max(found, key=lambda one: one.at, default=None)


def _place(text: str, start: int, end: int) -> int:
    """Where the value of the last "score" between two places begins."""
    return max((key.end() for key in _SCORE.finditer(text, start, end)), default=start)


def _bare(text: str) -> str:
    """Without the white space and the code fence around it."""
    text = text.strip()
    fenced = _CODE_FENCE.match(text) if text.startswith("```") else None
    return fenced[1].strip() if fenced else text


def _in_json(text: str) -> str | None:
    """The score of a JSON object as text; `4.0` and `"4"` stay as they are and so are no grades."""
    value = _field(text, "score")
    if value is None:
        return None
    return str(value[0]) if type(value[0]) is int else json.dumps(value[0])


def _listed(text: str) -> list[object] | None:
    value = _field(text, "scores")
    return value[0] if value is not None and isinstance(value[0], list) else None


def _field(text: str, name: str) -> tuple[object] | None:
    r"""A field of a JSON object, whose name must be written out ("\u0073core" is somebody's trick, no verdict)."""
    if not text.startswith("{") or f'"{name}"' not in text:
        return None
    try:
        data: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return (data[name],) if isinstance(data, dict) and name in data else None


@lru_cache
def verdict_format(scale: int) -> Mapping[str, object]:
    """A reason, then one grade."""
    return _format("verdict", "score", {"type": "integer", "enum": list(range(1, scale + 1))}, 400)


@lru_cache
def scores_format(count: int, scale: int) -> Mapping[str, object]:
    """A reason, then as many grades as there are parts."""
    grade = {"type": "integer", "enum": list(range(1, scale + 1))}
    scores = {"type": "array", "items": grade, "minItems": count, "maxItems": count}
    return _format("verdicts", "scores", scores, 400 + 100 * count)


def _format(name: str, field: str, grades: Mapping[str, object], reason: int) -> Mapping[str, object]:
    schema = {
        "type": "object",
        "properties": {"reason": {"type": "string", "maxLength": reason}, field: grades},
        "required": ["reason", field],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}
