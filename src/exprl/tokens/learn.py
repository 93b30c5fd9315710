"""A tokenizer to its table of pieces, or to the finding that it has none.

What a decoder does is read off its stages, and only stages whose text is a piece a token are trusted:

    ByteLevel alone                      byte-level BPE: each character of a token is a byte of GPT-2's alphabet
    per-token stages, then a join        Metaspace, WordPiece, Replace, Strip, `<0xNN>` bytes (SentencePiece); the piece
                                         is asked of the decoder itself, once as the first token and once after another
    no decoder                           tokens joined with a space

Then the table is held against `tokenizer.decode` on every token of the vocabulary among random neighbours. A decoder of
another kind, a table that fails that test, and a tokenizer without a Rust backend all give None; then
`exprl.tokens.prefixes` serves, slower and just as exact.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from exprl.tokens.pieces import PieceTable

__all__ = ["Tokenizer", "decode", "learn_pieces", "special_ids"]

_PER_TOKEN = {"Replace", "Strip", "Metaspace", "WordPiece", "ByteFallback"}
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_CHUNK = 256


class Tokenizer(Protocol):
    """What is asked of a tokenizer; those of `transformers` have it."""

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool) -> str:
        """The text of these ids."""
        ...


class _Decoder(Protocol):
    def decode(self, tokens: list[str]) -> str: ...

    def __getstate__(self) -> bytes: ...


def decode(tokenizer: Tokenizer, ids: list[int]) -> str:
    """The text that segments refer to: without special tokens, without any tidying."""
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def special_ids(tokenizer: Tokenizer) -> list[int]:
    """The ids that decode to nothing because they are special, to the tokenizer or to its backend alone."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    added = backend.get_added_tokens_decoder() if backend is not None else {}
    return [*getattr(tokenizer, "all_special_ids", ()), *(i for i, token in added.items() if token.special)]


def learn_pieces(tokenizer: Tokenizer) -> PieceTable | None:
    """The table of a tokenizer, proven on its decoder; None where a table cannot reproduce it."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not hasattr(backend, "get_added_tokens_decoder"):
        return None
    size = max(backend.get_vocab(with_added_tokens=True).values(), default=-1) + 1
    special = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}
    names = [backend.id_to_token(i) for i in range(size)]
    table = _build([None if name in special else name for name in names], backend.decoder)
    return table if table is not None and _agrees(table, tokenizer) else None


def _build(tokens: Sequence[str | None], decoder: _Decoder | None) -> PieceTable | None:
    """Tokens by id (None = skipped) and their decoder to a table, where the decoder is of a known kind."""
    if decoder is None:
        return PieceTable.build(_encode(tokens, " "), _encode(tokens))
    stages = _stages(json.loads(decoder.__getstate__()))
    kinds = [stage["type"] for stage in stages]
    if kinds == ["ByteLevel"]:
        return PieceTable.build(_byte_level(tokens))
    if not _is_piecewise(stages):
        return None
    return _ask_decoder(tokens, decoder, byte_fallback="ByteFallback" in kinds)


def _stages(state: dict[str, object]) -> list[dict[str, object]]:
    if state["type"] != "Sequence":
        return [state]
    nested = state["decoders"]
    assert isinstance(nested, list)
    return [stage for inner in nested for stage in _stages(inner)]


def _is_piecewise(stages: Sequence[dict[str, object]]) -> bool:
    """Whether each token's text depends on nothing but the token and on being the first."""
    kinds = [str(stage["type"]) for stage in stages]
    joined = kinds.index("Fuse") if "Fuse" in kinds else len(kinds)
    after = stages[joined + 1 :]
    one_from_the_left = all(s["type"] == "Strip" and s["stop"] == 0 and s["start"] in (0, 1) for s in after)
    return set(kinds[:joined]) <= _PER_TOKEN and len(after) <= 1 and one_from_the_left


def _ask_decoder(tokens: Sequence[str | None], decoder: _Decoder, *, byte_fallback: bool) -> PieceTable:
    anchor = "a"
    lead = decoder.decode([anchor])
    first = [None if t is None else decoder.decode([t]).encode() for t in tokens]
    rest = [None if t is None else decoder.decode([anchor, t])[len(lead) :].encode() for t in tokens]
    values = _byte_values(tokens) if byte_fallback else {}
    for i, value in values.items():
        if value >= 0x80:  # alone it decodes as U+FFFD
            first[i] = rest[i] = bytes([value])
    return PieceTable.build(rest, first if first != rest else None, list(values))


def _byte_values(tokens: Sequence[str | None]) -> dict[int, int]:
    matches = ((i, _BYTE_TOKEN.fullmatch(token or "")) for i, token in enumerate(tokens))
    return {i: int(match[1], 16) for i, match in matches if match}


def _encode(tokens: Sequence[str | None], before: str = "") -> list[bytes | None]:
    return [None if token is None else (before + token).encode() for token in tokens]


def _byte_level(tokens: Sequence[str | None]) -> list[bytes | None]:
    """A token with a character outside of the alphabet (an added one) stands for itself, as in the Rust decoder."""
    alphabet = _gpt2_alphabet()
    return [
        None if t is None else bytes(alphabet[c] for c in t) if set(t) <= alphabet.keys() else t.encode()
        for t in tokens
    ]


def _gpt2_alphabet() -> dict[str, int]:
    """GPT-2's printable character of each byte: itself where it is printable, else the next from U+0100 on."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    hidden = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + n): byte for n, byte in enumerate(hidden)}


def _agrees(table: PieceTable, tokenizer: Tokenizer) -> bool:
    """Whether table and decoder give the same text for every token, among random neighbours and beside itself."""
    return all(table.text(table.resolve(ids)) == decode(tokenizer, ids.tolist()) for ids in _probes(table))


def _probes(table: PieceTable) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    for order in (rng.permutation(table.size), np.repeat(rng.permutation(table.size), 2), rng.permutation(table.size)):
        for start in range(0, len(order), _CHUNK):
            yield order[start : start + _CHUNK]
    for length in (1, 2, 3) * 40:
        yield rng.integers(0, table.size, min(length, table.size))
    if table.is_byte is not None and table.is_byte.any():
        byte_ids = np.flatnonzero(table.is_byte)
        for _ in range(100):
            yield np.where(rng.random(24) < 0.7, rng.choice(byte_ids, 24), rng.integers(0, table.size, 24))
