"""Cut a trace into segments: text in, character spans out.

A delimiter closes the segment that it ends, so it belongs to the segment before it. Five rules (the paper's, arXiv
2606.17024, is the marker `###`; the others are for policies that do not write one):

    marker      after each marker. A run of the marker's character that is longer than the marker is not a marker:
                `####` (a heading of level 4) does not cut under `###`.
    paragraph   after each run of blank lines
    line        after each line break (LF, CRLF or CR)
    heading     before each markdown heading (`#` to `######`), outside fenced code
    tokens      after every `token_budget` tokens; needs the character ends of the tokens

Pieces that say nothing (white space, or white space and a marker) are not segments of their own: they join the segment
before them, the first ones join the segment after them. So white space after the last marker makes no empty segment,
and a policy gains no segments by repeating markers. White space here is ASCII's, so that bytes tell the same cuts as
characters. More than `max_segments` segments are thinned by merging, again and again, the two neighbours with the
smallest joint length, the leftmost pair on a tie.

What it refuses: to lose a character. The spans are in order and join to the text; an empty text has none.

    >>> from exprl.config import SegmentConfig
    >>> split("a = 3 ### b = 4 ###\\n", SegmentConfig())
    (Segment(start=0, end=9), Segment(start=9, end=20))
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from exprl.config import SegmentConfig
from exprl.errors import ConfigError
from exprl.types import Segment

__all__ = ["WHITE", "Ints", "marker_ends", "split"]

Ints = NDArray[np.int64]

WHITE = " \t\n\r\v\f"

# Atomic groups: a CRLF is never taken apart, and no white space is scanned twice.
_BREAK = re.compile(r"(?>\r\n|\n|\r)")
_BLANK_LINES = re.compile(rf"{_BREAK.pattern}(?>[ \t\v\f]*{_BREAK.pattern})+")
_HEADING_OR_FENCE = re.compile(r"(?:\A|(?<=[\r\n])) {0,3}(?:(?P<fence>`{3,}|~{3,})|#{1,6}(?![^ \t\r\n]))")


def split(text: str, rule: SegmentConfig, *, token_ends: Ints | None = None) -> tuple[Segment, ...]:
    """Cut a trace by a rule.

    Args:
        text: the trace, as it was decoded.
        rule: which rule, and its settings.
        token_ends: (T,) character end of each token in `text`, ascending, the last one `len(text)`; for rule "tokens".
    Returns:
        Spans in order that join to the text, at most `rule.max_segments`; none for an empty text.
    Raises:
        ConfigError: rule "tokens" without `token_ends`.
        ValueError: `token_ends` that do not end where the text ends.
    """
    if not text:
        return ()
    ends = _merge_shortest(_ends(text, rule, token_ends), rule.max_segments)
    return tuple(Segment(start, end) for start, end in pairwise([0, *ends]))


def marker_ends(text: str, marker: str) -> list[int]:
    """Character ends of the segments of a text that is not empty under the marker rule, before any merging."""
    return _drop_silent(text, list(_find_markers(text, marker)), len(marker))


def _ends(text: str, rule: SegmentConfig, token_ends: Ints | None) -> list[int]:
    if rule.rule == "marker":
        return marker_ends(text, rule.marker)
    if rule.rule == "paragraph":
        return _drop_silent(text, [match.end() for match in _BLANK_LINES.finditer(text)])
    if rule.rule == "line":
        return _drop_silent(text, [match.end() for match in _BREAK.finditer(text)])
    if rule.rule == "heading":
        return _drop_silent(text, [start for start in _find_headings(text) if start > 0])
    return _budget_ends(text, rule.token_budget, token_ends)


def _find_markers(text: str, marker: str) -> Iterator[int]:
    """Ends of the markers, left to right, without overlap."""
    alike = len(set(marker)) == 1
    at = text.find(marker)
    while at != -1:
        stop = end = at + len(marker)
        while alike and stop < len(text) and text[stop] == marker[0]:
            stop += 1
        if stop == end:
            yield end
        at = text.find(marker, stop)


def _find_headings(text: str) -> Iterator[int]:
    """Starts of the markdown headings, left to right. A fence is closed by one of its kind that is not shorter."""
    fence = ""
    for match in _HEADING_OR_FENCE.finditer(text):
        found = match["fence"] or ""
        if fence:
            fence = "" if found.startswith(fence) else fence
        elif found:
            fence = found
        else:
            yield match.start()


def _budget_ends(text: str, budget: int, token_ends: Ints | None) -> list[int]:
    if token_ends is None:
        raise ConfigError(
            "segments.rule = 'tokens' needs the character end of every token, and none were given; pass token_ends "
            "(TokenMap.ends of the sampled ids) or choose 'marker', 'paragraph', 'line' or 'heading'"
        )
    if len(token_ends) == 0 or token_ends[-1] != len(text):
        last = int(token_ends[-1]) if len(token_ends) else None
        raise ValueError(
            f"the tokens end at character {last}, the text at {len(text)}; both must be of the same rollout"
        )
    ends = np.unique(token_ends[budget - 1 :: budget])
    return [*ends[(ends > 0) & (ends < len(text))].tolist(), len(text)]


def _drop_silent(text: str, ends: list[int], delimiter: int = 0) -> list[int]:
    """Close the last segment, and let pieces without content join the one before (the first ones: the one after).

    `delimiter` is how many characters at the end of a piece are its marker and no content.
    """
    kept: list[int] = []
    start = 0
    for end in ends:
        if text[start : end - delimiter].strip(WHITE):
            kept.append(end)
        elif kept:
            kept[-1] = end
        start = end
    if kept and not text[start:].strip(WHITE):
        kept[-1] = len(text)
    else:
        kept.append(len(text))
    return kept


def _merge_shortest(ends: list[int], most: int) -> list[int]:
    """Merge the neighbours with the smallest joint length, leftmost on a tie, until `most` are left (n log n)."""
    count = len(ends)
    if count <= most:
        return ends
    start, end = [0, *ends[:-1]], list(ends)
    before, after = list(range(-1, count - 1)), list(range(1, count + 1))  # -1 and `count` stand for "none"
    pairs = [(end[i + 1] - start[i], i, i + 1) for i in range(count - 1)]
    heapq.heapify(pairs)
    for _ in range(count - most):
        joint, left, right = heapq.heappop(pairs)
        while after[left] != right or end[right] - start[left] != joint:  # a pair that a merge has outdated
            joint, left, right = heapq.heappop(pairs)
        end[left], after[left], after[right] = end[right], after[right], -1
        if after[left] < count:
            before[after[left]] = left
            heapq.heappush(pairs, (end[after[left]] - start[left], left, after[left]))
        if before[left] >= 0:
            heapq.heappush(pairs, (end[left] - start[before[left]], before[left], left))
    return [end[i] for i in range(count) if after[i] != -1]
