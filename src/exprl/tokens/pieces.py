"""The bytes of every token, in one table: token ids to text and back to tokens without a loop over tokens.

A decoder whose text is the concatenation of a piece a token fits into one array of bytes with an offset and a length a
token. Decoding is then one gather, a token's end one running sum. Three things keep that from being a mere lookup, and
each is resolved by replacing some ids with other rows of the table before the gather:

    first token     some decoders drop its leading space (Metaspace, Strip, WordPiece): rows [size, 2 size)
    byte tokens     a run of `<0xNN>` tokens that is not UTF-8 becomes one U+FFFD a token: row `bad`
    skipped tokens  special tokens and ids that no token has give no text: row `nothing`

Bytes that are not UTF-8 become U+FFFD as Unicode recommends (a maximal subpart each), in Rust's decoders as in
Python's, so characters can be counted on bytes; `character_starts` does that.

    >>> table = PieceTable.build([b"a", b" b", None])
    >>> table.text(table.resolve(np.array([0, 1, 2])))
    'a b'
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Gathered", "PieceTable", "byte_positions", "character_starts", "token_counts"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]

REPLACEMENT = "\ufffd".encode()


@dataclass(frozen=True, slots=True)
class Gathered:
    """The bytes of one rollout and the (T,) byte end of each of its tokens."""

    data: bytes
    end_T: Ints

    @property
    def text(self) -> str:
        """The text that the decoder gives for these tokens."""
        return self.data.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class PieceTable:
    """Rows of bytes: `size` tokens, then as many for the first place where that differs, then `nothing` and `bad`.

    Attributes:
        size: number of token ids.
        blob: (B,) the bytes of all N rows, one after the other.
        offset, length: (N,) where a row begins in the blob, and how many bytes it has.
        skipped: (N,) rows that give no text wherever they stand.
        is_byte: (N,) rows of `<0xNN>` tokens; None where the decoder has no byte fallback.
        first: what to add to the id of the first token that is not skipped; 0 where it decodes as any other.
    """

    size: int
    blob: Bytes
    offset: Ints
    length: Ints
    skipped: Bools
    is_byte: Bools | None
    first: int

    @classmethod
    def build(
        cls,
        rest: Sequence[bytes | None],
        first: Sequence[bytes | None] | None = None,
        byte_ids: Sequence[int] = (),
    ) -> PieceTable:
        """Lay out the bytes of each token: anywhere, and as the first one where that differs; None = skipped.

        `byte_ids` are the `<0xNN>` tokens of a decoder with byte fallback.
        """
        rows = [*rest, *(first or ()), b"", REPLACEMENT]
        length = np.array([len(row or b"") for row in rows], dtype=np.int64)
        blob = np.frombuffer(b"".join(row or b"" for row in rows), dtype=np.uint8)
        skipped = np.array([row is None for row in rows], dtype=bool)
        skipped[-2] = True
        is_byte = np.isin(np.arange(len(rows)), np.array(byte_ids)) if byte_ids else None
        return cls(len(rest), blob, np.cumsum(length) - length, length, skipped, is_byte, len(rest) if first else 0)

    @property
    def nothing(self) -> int:
        """The row without bytes."""
        return len(self.length) - 2

    @property
    def bad(self) -> int:
        """The row that holds U+FFFD."""
        return len(self.length) - 1

    def resolve(self, ids_T: Ints) -> Ints:
        """(T,) rows of the table that these ids stand for.

        Raises:
            ValueError: a negative id, which padding and ignored labels have and tokens do not.
        """
        if ids_T.size == 0:
            return ids_T
        if (lowest := int(ids_T.min())) < 0:
            raise ValueError(f"token id {lowest}: ids are not negative; cut padding off or give the rollout's length")
        if int(ids_T.max()) >= self.size:
            ids_T = np.where(ids_T < self.size, ids_T, self.nothing)
        return ids_T if self.is_byte is None and not self.first else self._resolve_places(ids_T)

    def gather(self, row_T: Ints) -> Gathered:
        """The bytes of these rows, one after the other."""
        length_T = self.length[row_T]
        end_T = np.cumsum(length_T)
        at = np.repeat(self.offset[row_T] - end_T + length_T, length_T)
        at += np.arange(len(at))
        return Gathered(self.blob[at].tobytes(), end_T)

    def text(self, row_T: Ints) -> str:
        """The text of these rows."""
        return self.gather(row_T).text

    def rows_with_any(self, characters: str) -> Bools:
        """(N,) rows that hold at least one of these ASCII characters."""
        return self._rows_where(np.isin(self.blob, np.frombuffer(characters.encode("ascii"), dtype=np.uint8)))

    def rows_beyond(self, characters: str) -> Bools:
        """(N,) rows that hold at least one byte that is none of these ASCII characters."""
        return self._rows_where(~np.isin(self.blob, np.frombuffer(characters.encode("ascii"), dtype=np.uint8)))

    def _rows_where(self, hit_B: Bools) -> Bools:
        hits = np.concatenate([[0], np.cumsum(hit_B)])
        return np.asarray(hits[self.offset + self.length] != hits[self.offset], dtype=bool)

    def _resolve_places(self, ids_T: Ints) -> Ints:
        at = np.flatnonzero(~self.skipped[ids_T])
        if at.size == 0:
            return ids_T
        row_T, kept = ids_T.copy(), ids_T[at]
        if self.is_byte is not None:
            kept = self._mark_bad_runs(kept, self.is_byte)
        if kept[0] < self.size:
            kept[0] += self.first
        row_T[at] = kept
        return row_T

    def _mark_bad_runs(self, kept: Ints, is_byte: Bools) -> Ints:
        """Replace each run of byte tokens that is not UTF-8, whole, as the byte-fallback decoder does."""
        inside = np.concatenate([[False], is_byte[kept], [False]])
        edges = np.flatnonzero(inside[1:] != inside[:-1])
        for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            try:
                self.gather(kept[start:stop]).data.decode("utf-8")
            except UnicodeDecodeError:
                kept[start:stop] = self.bad
        return kept


def character_starts(data: bytes, text: str) -> Bools:
    """(B,) whether a character of `text`, which is `data.decode("utf-8", "replace")`, begins at this byte."""
    byte = np.frombuffer(data, dtype=np.uint8)
    if "\ufffd" not in text:  # all of it is UTF-8
        valid: Bools = (byte & 0xC0) != 0x80
        return valid
    lead = np.select([byte < 0xC2, byte < 0xE0, byte < 0xF0, byte < 0xF5], [0, 1, 2, 3], 0).astype(np.uint8)
    low = np.select([byte == 0xE0, byte == 0xF0], [0xA0, 0x90], 0x80).astype(np.uint8)
    high = np.select([byte == 0xED, byte == 0xF4], [0x9F, 0x8F], 0xBF).astype(np.uint8)
    # Second, third and fourth bytes of a character; every other byte begins one, if only a U+FFFD.
    inner = np.zeros((3, len(byte)), dtype=bool)
    inner[0, 1:] = (lead[:-1] >= 1) & (byte[1:] >= low[:-1]) & (byte[1:] <= high[:-1])
    is_next = (byte & 0xC0) == 0x80
    inner[1, 2:] = inner[0, 1:-1] & (lead[:-2] >= 2) & is_next[2:]
    inner[2, 3:] = inner[1, 2:-1] & (lead[:-3] >= 3) & is_next[3:]
    return np.logical_not(inner.any(axis=0))


def byte_positions(gathered: Gathered, text: str, positions: Sequence[int]) -> Ints:
    """The bytes at which these characters of the text begin; `len(text)` is the end of the bytes."""
    at = np.array(positions, dtype=np.int64)
    if len(text) == len(gathered.data):  # every character is a byte
        return at
    starts = np.append(np.flatnonzero(character_starts(gathered.data, text)), len(gathered.data))
    return np.asarray(starts[at])


def token_counts(end_T: Ints, cut_S: Ints) -> Ints:
    """(S,) number of tokens in each segment, by ends of tokens and of segments in one unit (bytes or characters).

    The first token after a cut is the one after all that end at or before it, or after the one that straddles it.
    """
    first = np.maximum(np.searchsorted(end_T, cut_S, "right"), np.searchsorted(end_T, cut_S, "left") + 1)
    first = np.minimum(first, len(end_T))
    first[-1] = len(end_T)
    return np.diff(first, prepend=0)
