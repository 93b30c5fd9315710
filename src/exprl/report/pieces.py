"""One rollout, cut into its segments for reading, each with its score and advantage in words and in classes.

The score of a segment is the judge's of the prefix that it ends (in sparse stages the verifier's of the whole); the
advantage is the credit its tokens were trained with. "unscored" means that a score was asked for and none came, "not
asked" that none was asked for (a truncated rollout; a cut that outcome judging has no need of), "left out of the loss"
that the rollout was dropped. None of these is a 0. A long segment, and a rollout of very many segments, keep their
beginning and end, with how much was left out said between.

    >>> [piece.text for piece in cut("ab###cd", [(0, 5), (5, 7)], (0.25, 0.75), (-0.5, 0.5), asked=True, budget=4000)]
    ['ab###', 'cd']
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Piece", "cut", "elided"]

_HEAD, _TAIL = 24, 16


@dataclass(frozen=True, slots=True)
class Piece:
    """One segment: its text, its score and advantage in words, the classes that shade it, its number from 1."""

    text: str
    score: str
    advantage: str
    score_class: str
    advantage_class: str
    number: int = 0


def cut(
    text: str,
    spans: Sequence[tuple[int, int]],
    scores: Sequence[float | None],
    advantages: Sequence[float | None],
    *,
    asked: bool,
    budget: int,
) -> tuple[Piece, ...]:
    """A rollout's text as pieces, each with its score and its advantage. `asked`: it was sent to be scored.

    One score for many segments (outcome judging) belongs to the last one; one advantage for many is that of each. Spans
    that do not join to the text are not trusted: the text is then one piece.
    """
    if not spans or [0, *(end for _, end in spans)] != [*(start for start, _ in spans), len(text)]:
        spans = [(0, len(text))]
    count = len(spans)
    spread = list(advantages) * count if len(advantages) == 1 else list(advantages)
    room = max(200, budget // min(count, _HEAD + _TAIL))
    pieces = [
        _piece(
            elided(text[spans[i][0] : spans[i][1]], room),
            scores[i - count + len(scores)] if i >= count - len(scores) else math.nan,
            spread[i] if i < len(spread) else math.nan,
            asked,
            i + 1,
        )
        for i in _places(count)
    ]
    if count > _HEAD + _TAIL:
        pieces.insert(_HEAD, Piece(f"[… {count - _HEAD - _TAIL:,} segments left out …]", "", "", "", "flat"))
    return tuple(pieces)


def _places(count: int) -> list[int]:
    """Which segments are shown: all of them, or the first and the last ones of very many."""
    return [i for i in range(count) if i < _HEAD or i >= count - _TAIL]


def _piece(text: str, score: float | None, advantage: float | None, asked: bool, number: int) -> Piece:
    return Piece(
        text, _score_says(score, asked), _advantage_says(advantage), _tint(score), _sign(advantage), number=number
    )


def _score_says(score: float | None, asked: bool) -> str:
    if score is not None and not math.isnan(score):
        return f"{score:.2f}"
    return "unscored" if score is None and asked else "not asked"


def _advantage_says(advantage: float | None) -> str:
    if advantage is None:
        return "left out of the loss"
    if math.isnan(advantage):
        return "not recorded"
    arrow = {"plus": "▲", "minus": "▼", "flat": "■"}[_sign(advantage)]
    return f"{arrow} {advantage:+.2f}" if advantage else f"{arrow} 0"


def _tint(score: float | None) -> str:
    return "unscored" if score is None or math.isnan(score) else f"s{round(10 * min(1.0, max(0.0, score)))}"


def _sign(advantage: float | None) -> str:
    if advantage is None or math.isnan(advantage) or advantage == 0:
        return "flat"
    return "plus" if advantage > 0 else "minus"


def elided(text: str, room: int) -> str:
    """The beginning and end of a long text, and how many characters between them were left out."""
    if len(text) <= room:
        return text
    head = room * 2 // 3
    tail = room - head
    return f"{text[:head]}\n[… {len(text) - room:,} characters left out …]\n{text[-tail:]}"
