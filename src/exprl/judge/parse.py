r"""Read the verdict out of a judge model's reply: strictly, or not at all.

A verdict is a line `Score: n` (markdown emphasis and a full stop around it are fine) or a JSON object with a whole
number under "score". The last verdict of the reply decides; n is a whole number from 1 to 5. `10`, `4.5`, `3/5`, `4
or 5` are no grades, and a reply whose last verdict is none of 1..5 is unscored, whatever came before. Reasoning is
not read: all up to the last `</think>`, and all after a `<think>` that is never closed. Of a reply that ran into the
token limit the last line may be half a line, so it is not read either.

    >>> parse_reply("Checkpoint 2 fails.\nScore: 2"), parse_reply("<think>Score: 5</think>Score: 4.5").reason
    (Grade(likert=2, reason=None), 'the verdict is not a whole number from 1 to 5')

Known faults that this refuses to repeat: the first "Score" of a reply, one character of it, no range check.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

__all__ = ["Grade", "parse_reply"]

_LINE = re.compile(r"^[ \t>*_#`-]*score[ \t*_`]*[:=](.*)$", re.IGNORECASE | re.MULTILINE)
_JSON = re.compile(r"\{[^{}]*\}")


class Grade(NamedTuple):
    """A Likert grade 1..5, or the reason why there is none."""

    likert: int | None
    reason: str | None = None


def parse_reply(reply: str, *, cut_short: bool = False) -> Grade:
    """The grade of a reply.

    Args:
        reply: what the model wrote, untrusted.
        cut_short: whether it ran into its token limit.
    """
    text = _without_reasoning(reply)
    if text is None:
        return Grade(None, "the reply ends inside its reasoning")
    if cut_short:
        text = text[: text.rfind("\n") + 1]
    if (verdict := _in_json(text.strip())) is not None:
        return _graded(verdict)  # a structured reply, whose reason may hold braces or lines that look like verdicts
    found = [(match.start(), match[1].strip(" \t*_`.")) for match in _LINE.finditer(text)]
    found += [(match.start(), verdict) for match in _JSON.finditer(text) if (verdict := _in_json(match[0])) is not None]
    if not found:
        return Grade(None, "no verdict before the token limit" if cut_short else "no verdict in the reply")
    return _graded(max(found)[1])


def _graded(verdict: str) -> Grade:
    if verdict in ("1", "2", "3", "4", "5"):
        return Grade(int(verdict))
    return Grade(None, "the verdict is not a whole number from 1 to 5")  # not quoted: it may hold reference text


def _without_reasoning(reply: str) -> str | None:
    text = reply[reply.rfind("</think>") + len("</think>") :] if "</think>" in reply else reply
    start = text.find("<think>")
    if start < 0:
        return text
    return text[:start] if text[:start].strip() else None


def _in_json(text: str) -> str | None:
    """The score of a JSON object as text; `4.0` and `"4"` stay as they are and so are no grades."""
    if not text.startswith("{"):
        return None
    try:
        value = json.loads(text)["score"]
    except (ValueError, KeyError, RecursionError):
        return None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else json.dumps(value)
