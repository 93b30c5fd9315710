"""The marker rule on ids alone: tokens that hold no character of the marker cannot make a cut.

So a rollout is sketched. The tokens that hold a character of the marker, and those without text, stay as they are;
every run of other tokens becomes one stand-in character, a space where the run is white space. Neither can be a part of
the marker, so the sketch has the cuts of the text, found by the same function (`exprl.segment.marker_ends`), and a
rollout of 16,384 tokens costs one look-up a token and a few dozen characters.

What it refuses, by giving None: a rollout that must be merged down to `max_segments` (a sketch does not know which
neighbours are the shortest), and one with so many candidates that the whole text is as quick. `MarkerSketch.of` refuses
markers that a stand-in could be taken for a part of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exprl.segment import WHITE, marker_ends
from exprl.tokens.pieces import Gathered, PieceTable, byte_positions, token_counts

__all__ = ["MarkerSketch"]

Ints = NDArray[np.int64]

_LIMIT = 2048  # candidate tokens


@dataclass(frozen=True, slots=True)
class MarkerSketch:
    """A table seen with one marker in mind.

    Attributes:
        code: (N,) what each row is to a sketch: 2 = kept as it is, 1 = more than white space, 0 = white space.
    """

    table: PieceTable
    marker: str
    code: NDArray[np.uint8]

    @classmethod
    def of(cls, table: PieceTable, marker: str) -> MarkerSketch | None:
        """Make ready for a marker; None where it is not printable ASCII without white space."""
        if not (marker.isascii() and marker.isprintable()) or " " in marker:
            return None
        kept = table.rows_with_any(marker) | (table.length == 0)
        return cls(table, marker, np.where(kept, 2, table.rows_beyond(WHITE)).astype(np.uint8))

    def token_counts(self, row_T: Ints, max_segments: int) -> Ints | None:
        """(S,) number of tokens in each segment; None where only the text can tell."""
        code_T = self.code[row_T]
        kept = np.flatnonzero(code_T == 2)
        if kept.size > _LIMIT or row_T.size == 0:
            return None
        start, pieces = self._draw(row_T, code_T, kept)
        sketch = Gathered(b"".join(pieces), np.cumsum([len(piece) for piece in pieces], dtype=np.int64))
        text = sketch.text
        ends = marker_ends(text, self.marker) if text else [0]
        if len(ends) > max_segments:
            return None
        counts = token_counts(sketch.end_T, byte_positions(sketch, text, ends))
        return np.diff(np.array([*start, len(row_T)])[np.cumsum(counts)], prepend=0)

    def _draw(self, row_T: Ints, code_T: NDArray[np.uint8], kept: Ints) -> tuple[list[int], list[bytes]]:
        """The pieces of the sketch, and the token at which each of them begins."""
        run, end = np.append(0, kept + 1), np.append(kept, len(row_T))  # the runs between kept tokens, some empty
        says = np.logical_or.reduceat(code_T == 1, np.minimum(run, len(row_T) - 1))
        stand_ins = zip(run.tolist(), end.tolist(), says.tolist(), strict=True)
        verbatim = self.table.gather(row_T[kept])
        begin = 0
        start: list[int] = []
        pieces: list[bytes] = []
        for (first, token, says), stop in zip(stand_ins, [*verbatim.end_T.tolist(), None], strict=True):
            if first < token:
                start.append(first)
                pieces.append(b"\0" if says else b" ")
            if stop is not None:
                start.append(token)
                pieces.append(verbatim.data[begin:stop])
                begin = stop
        return start, pieces
