"""Which segment does each token belong to, exactly, for any tokenizer and any ids (also ids that no text encodes to).

The rules, for a token whose text is the bytes [a, b) of the rollout:

    it belongs to the segment in which its first byte lies; so a token that straddles a cut belongs to the segment in
    which it begins, and an emoji spread over four tokens is not torn
    a token without text (end of sequence, padding inside the length) belongs to the segment that ended just before it

so every token belongs to exactly one segment, in order. A segment that lies within one token may have no tokens.

How: a table of the bytes of every token turns ids into text with one gather and cuts into tokens with one binary search
each (`exprl.tokens.pieces`); a decoder that no table reproduces is asked about prefixes (`exprl.tokens.prefixes`). For
the marker rule not even the text is needed (`exprl.tokens.sketch`).

    >>> ends = np.array([3, 7, 7])                                   # "ab#" "##cd" and an end-of-sequence token
    >>> segment_of_token(ends, (Segment(0, 5), Segment(5, 7)))
    array([0, 0, 1])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exprl.config import SegmentConfig
from exprl.segment import split
from exprl.tokens.learn import Tokenizer, decode, learn_pieces, special_ids
from exprl.tokens.pieces import Gathered, PieceTable, byte_positions, character_starts, token_counts
from exprl.tokens.prefixes import Prefixes
from exprl.tokens.sketch import MarkerSketch
from exprl.types import Segment

__all__ = ["TokenMap", "segment_of_token"]

Ints = NDArray[np.int64]


def segment_of_token(token_ends_T: ArrayLike, segments: Sequence[Segment]) -> Ints:
    """The segment of each token, by the character ends of the tokens.

    Args:
        token_ends_T: (T,) character end of each token, ascending (`TokenMap.ends`).
        segments: S spans that tile the text.
    Returns:
        (T,) segment index of each token; -1 throughout where there are no segments. Character ends cannot tell that a
        token begins inside of the character before it. That matters for a cut right after a character that is not ASCII
        and a token that holds the rest of that character and more; `TokenMap.segment_of_token` is exact there, too.
    """
    ends_T = np.asarray(token_ends_T, dtype=np.int64)
    if not segments:
        return np.full(len(ends_T), -1, dtype=np.int64)
    return _index(token_counts(ends_T, np.array([segment.end for segment in segments])))


class TokenMap:
    """A tokenizer, made ready for questions about where its tokens lie. Build it once a tokenizer.

    `kind` says how it answers: "table" (fast) or "prefixes" (the decoder is asked; slower, as exact).
    """

    def __init__(self, tokenizer: Tokenizer, table: PieceTable | None) -> None:
        self._tokenizer = tokenizer
        self._table = table
        self._special = special_ids(tokenizer) if table is None else []
        self._sketches: dict[str, MarkerSketch | None] = {}

    @classmethod
    def from_tokenizer(cls, tokenizer: Tokenizer) -> TokenMap:
        """Learn a tokenizer of `transformers`. Tokens added to it later need a new map."""
        return cls(tokenizer, learn_pieces(tokenizer))

    @property
    def kind(self) -> Literal["table", "prefixes"]:
        """How questions are answered."""
        return "prefixes" if self._table is None else "table"

    def text(self, ids_T: ArrayLike) -> str:
        """The text that segments refer to: what the tokenizer decodes without special tokens and without tidying."""
        ids = np.asarray(ids_T, dtype=np.int64)
        if self._table is None:
            return decode(self._tokenizer, ids.tolist())
        return self._table.text(self._table.resolve(ids))

    def ends(self, ids_T: ArrayLike) -> Ints:
        """(T,) character end of each token in the text; a token that holds part of a character ends with it."""
        ids = np.asarray(ids_T, dtype=np.int64)
        if self._table is None:
            return self._prefixes(ids).ends()
        return _character_ends(self._table.gather(self._table.resolve(ids)))

    def segment_of_token(self, ids_T: ArrayLike, segments: Sequence[Segment]) -> Ints:
        """(T,) segment index of each token; -1 throughout where there are no segments.

        Args:
            ids_T: (T,) token ids.
            segments: spans that tile `text(ids_T)`.
        """
        ids = np.asarray(ids_T, dtype=np.int64)
        if not segments:
            return np.full(len(ids), -1, dtype=np.int64)
        return _index(self._count(ids, [segment.end for segment in segments]))

    def segment_batch(self, ids_RT: ArrayLike, length_R: ArrayLike, rule: SegmentConfig) -> NDArray[np.int32]:
        """Cut R padded rollouts: the segment of every token, straight from the ids.

        Args:
            ids_RT: (R, T) token ids; what lies beyond a rollout's length is never read.
            length_R: (R,) number of tokens of each rollout.
            rule: how to cut.
        Returns:
            (R, T) 32-bit index of each token's segment in `split(text, rule)`, -1 on padding. A rollout that has tokens
            but no text has them in segment 0.
        Raises:
            ValueError: a length beyond T, or a negative id within it.
        """
        ids, length = np.asarray(ids_RT, dtype=np.int64), np.asarray(length_R, dtype=np.int64)
        if length.shape != ids.shape[:1] or (length.size and not 0 <= length.min() <= length.max() <= ids.shape[1]):
            raise ValueError(f"lengths {length.tolist()[:8]} do not fit ids of shape {ids.shape}; give 0..T a rollout")
        segment_RT = np.full(ids.shape, -1, dtype=np.int32)
        for row, count, out in zip(ids, length.tolist(), segment_RT, strict=True):
            out[:count] = _index(self._cut(row[:count], rule))
        return segment_RT

    def _cut(self, ids_T: Ints, rule: SegmentConfig) -> Ints:
        """(S,) number of tokens in each segment."""
        if self._table is None:
            ends = self.ends(ids_T) if rule.rule == "tokens" else None
            return self._count(ids_T, _cuts(self.text(ids_T), rule, ends))
        row_T = self._table.resolve(ids_T)
        if rule.rule == "marker" and (sketch := self._sketch(self._table, rule.marker)) is not None:
            counts = sketch.token_counts(row_T, rule.max_segments)
            if counts is not None:
                return counts
        gathered = self._table.gather(row_T)
        ends = _character_ends(gathered) if rule.rule == "tokens" else None
        text = gathered.text
        return token_counts(gathered.end_T, byte_positions(gathered, text, _cuts(text, rule, ends)))

    def _count(self, ids_T: Ints, cuts: list[int]) -> Ints:
        if self._table is None:
            return self._prefixes(ids_T).token_counts(cuts)
        gathered = self._table.gather(self._table.resolve(ids_T))
        return token_counts(gathered.end_T, byte_positions(gathered, gathered.text, cuts))

    def _sketch(self, table: PieceTable, marker: str) -> MarkerSketch | None:
        if marker not in self._sketches:
            self._sketches[marker] = MarkerSketch.of(table, marker)
        return self._sketches[marker]

    def _prefixes(self, ids_T: Ints) -> Prefixes:
        return Prefixes(ids_T.tolist(), np.isin(ids_T, self._special), lambda ids: decode(self._tokenizer, ids))


def _cuts(text: str, rule: SegmentConfig, token_ends: Ints | None) -> list[int]:
    return [segment.end for segment in split(text, rule, token_ends=token_ends)] or [0]


def _character_ends(gathered: Gathered) -> Ints:
    if len(text := gathered.text) == len(gathered.data):
        return gathered.end_T
    return np.append(0, np.cumsum(character_starts(gathered.data, text)))[gathered.end_T]


def _index(count_S: Ints) -> Ints:
    """(T,) segment index of each token."""
    return np.repeat(np.arange(len(count_S)), count_S)
