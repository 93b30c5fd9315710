"""Every token belongs to exactly one segment, for every kind of tokenizer and for ids that no text encodes to."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from exprl.config import SegmentConfig
from exprl.segment import split
from exprl.tokens import TokenMap, segment_of_token
from exprl.tokens.pieces import PieceTable, character_starts
from exprl.types import Segment

TRAINING = [
    "First we add 3 and 4, which gives 7.\n###\nThen 7 * 2 = 14. 🙂 ###\r\n\r\n#### A note: naïve, 零点 ∑ x.\n",
    "isn't it ### so? Yes. ## no # no\n\n\n```python\n# comment\n```\n# Heading\n  text \\boxed{14}",
] * 3
MARKER, LOOSE = SegmentConfig(), SegmentConfig(max_segments=1000)


def fast(backend: Tokenizer) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>", clean_up_tokenization_spaces=False)


def byte_level() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<eos>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(TRAINING, trainer)
    backend.add_tokens(["<think>", "零 ###é", "Ġ#"])
    return fast(backend)


def sentencepiece_bytes(*, strip: bool) -> PreTrainedTokenizerFast:
    pieces = ["<eos>", *(f"<0x{byte:02X}>" for byte in range(256)), *"▁abc#é.\n", "▁a", "##", "###", "▁###", "▁▁", "🙂"]
    backend = Tokenizer(
        models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[("▁", "a")], byte_fallback=True)
    )
    backend.normalizer = normalizers.Replace(" ", "▁")
    stages = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence([*stages, decoders.Strip(" ", 1, 0)] if strip else stages)
    backend.add_special_tokens(["<eos>"])
    return fast(backend)


def unigram() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=["<eos>"], unk_token="<eos>", show_progress=False)
    backend.train_from_iterator(TRAINING, trainer)
    return fast(backend)


def characters(decoder: object | None) -> PreTrainedTokenizerFast:
    pieces = ["<eos>", "###", *" \n#ab\r🙂", "<pad>"]
    backend = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, unk_token="<eos>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("###|[\\s\\S]"), "isolated")
    if decoder is not None:
        backend.decoder = decoder
    backend.add_special_tokens(["<eos>", "<pad>"])
    return fast(backend)


def word_piece() -> PreTrainedTokenizerFast:
    pieces = [
        "<eos>",
        "##a",
        "###",
        "####",
        "#",
        "is",
        "n't",
        "##n't",
        ".",
        "##.",
        ",",
        "step",
        "##s",
        "###s",
        "é",
        "?",
    ]
    backend = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="<eos>"))
    backend.decoder = decoders.WordPiece()
    backend.add_special_tokens(["<eos>"])
    return fast(backend)


def suffixed() -> PreTrainedTokenizerFast:
    pieces = ["<eos>", "a</w>", "b</w>", "###</w>", "##", "#", "a", "#</w>", "🙂</w>", "<pad>"]
    backend = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, unk_token="<eos>"))
    backend.decoder = decoders.BPEDecoder("</w>")
    backend.add_special_tokens(["<eos>", "<pad>"])
    return fast(backend)


class PlainBytes:
    """A tokenizer without a Rust backend: ids are bytes, half characters are dropped (as ByT5's)."""

    all_special_ids = (256,)

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool) -> str:
        assert skip_special_tokens
        assert not clean_up_tokenization_spaces
        return bytes(i for i in token_ids if i < 256).decode("utf-8", "ignore")

    def __len__(self) -> int:
        return 257


KINDS: dict[str, tuple[Callable[[], object], str]] = {
    "byte-level BPE": (byte_level, "table"),
    "SentencePiece with bytes, stripped": (lambda: sentencepiece_bytes(strip=True), "table"),
    "SentencePiece with bytes": (lambda: sentencepiece_bytes(strip=False), "table"),
    "Unigram": (unigram, "table"),
    "characters, fused": (lambda: characters(decoders.Fuse()), "table"),
    "words with a space between": (lambda: characters(None), "table"),
    "WordPiece": (word_piece, "table"),
    "BPE with suffixes": (suffixed, "prefixes"),
    "bytes without a backend": (PlainBytes, "prefixes"),
}


@cache
def tokenizer_of(kind: str) -> object:
    return KINDS[kind][0]()


@cache
def map_of(kind: str) -> TokenMap:
    return TokenMap.from_tokenizer(tokenizer_of(kind))


def decoded(kind: str, ids: list[int]) -> str:
    return tokenizer_of(kind).decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def likely_ids(kind: str) -> list[int]:
    """Ids whose tokens hold what the rules look at."""
    tokenizer = tokenizer_of(kind)
    return [i for i in range(len(tokenizer)) if set(decoded(kind, [i])) & set("#\n ") or not decoded(kind, [i])]


@st.composite
def ids_of(draw: st.DrawFn, kind: str, most: int = 40) -> list[int]:
    one = st.integers(0, len(tokenizer_of(kind)) - 1) | st.sampled_from(likely_ids(kind))
    return draw(st.lists(one, max_size=most))


CASES = st.sampled_from(list(KINDS)).flatmap(lambda kind: st.tuples(st.just(kind), ids_of(kind)))


def is_special(kind: str, token: int) -> bool:
    if kind == "bytes without a backend":
        return token in PlainBytes.all_special_ids
    return tokenizer_of(kind).convert_ids_to_tokens(token) in ("<eos>", "<pad>")


def by_prefixes(kind: str, ids: list[int], segments: tuple[Segment, ...]) -> list[int]:
    """The rule, token by token: where does the text before a token end, and which segment goes on there?"""
    text, index = decoded(kind, ids), []
    for t, token in enumerate(ids):
        before = decoded(kind, ids[:t])
        start = next(
            (i for i, (a, b) in enumerate(zip(before, text, strict=False)) if a != b), min(len(before), len(text))
        )
        place = start - 1 if is_special(kind, token) else start
        found = next((i for i, s in enumerate(segments) if s.end > place), len(segments) - 1)
        index.append(max([found, *index[-1:]]))  # in order: half characters may unsettle the text before them
    return index


@pytest.mark.parametrize("kind", KINDS)
def test_known_decoders_are_read_off_a_table_and_others_are_asked(kind: str):
    assert map_of(kind).kind == KINDS[kind][1]


@settings(deadline=None, max_examples=120)
@given(CASES)
def test_the_text_is_what_the_tokenizer_decodes(case: tuple[str, list[int]]):
    kind, ids = case
    assert map_of(kind).text(ids) == decoded(kind, ids)


@settings(deadline=None, max_examples=120)
@given(CASES, st.sampled_from([MARKER, LOOSE, SegmentConfig(max_segments=2), SegmentConfig(rule="line")]))
def test_a_token_belongs_to_the_segment_in_which_it_begins(case: tuple[str, list[int]], rule: SegmentConfig):
    kind, ids = case
    segments = split(decoded(kind, ids), rule)
    expected = by_prefixes(kind, ids, segments) if segments else [-1] * len(ids)
    assert map_of(kind).segment_of_token(ids, segments).tolist() == expected


@settings(deadline=None, max_examples=120)
@given(
    CASES,
    st.sampled_from(["marker", "paragraph", "line", "heading", "tokens"]),
    st.sampled_from([1, 2, 1000]),
    st.sampled_from(["###", "#", "##", "a#", "§§", "# "]),
)
def test_a_batch_of_ids_is_cut_as_its_text_is(case: tuple[str, list[int]], name: str, most: int, marker: str):
    kind, ids = case
    rule, token_map = SegmentConfig(rule=name, token_budget=3, max_segments=most, marker=marker), map_of(kind)
    segments = split(token_map.text(ids), rule, token_ends=token_map.ends(ids))
    expected = token_map.segment_of_token(ids, segments or (Segment(0, 0),)).tolist()
    padded = np.array([[*ids, -100, 1, 1], [0] * (len(ids) + 3)])
    index = token_map.segment_batch(padded, [len(ids), 0], rule)
    assert index.tolist() == [[*expected, -1, -1, -1], [-1] * (len(ids) + 3)]


@settings(deadline=None, max_examples=60)
@given(CASES)
def test_ends_ascend_to_the_end_of_the_text(case: tuple[str, list[int]]):
    kind, ids = case
    ends = map_of(kind).ends(ids)
    assert len(ends) == len(ids)
    assert (np.diff(ends, prepend=0) >= 0).all()
    assert not ids or ends[-1] == len(decoded(kind, ids))


@settings(deadline=None, max_examples=60)
@given(CASES)
def test_ends_alone_find_the_segments_that_ascii_cuts_make(case: tuple[str, list[int]]):
    kind, ids = case
    segments = split(decoded(kind, ids), LOOSE)
    ends = map_of(kind).ends(ids)
    assert segment_of_token(ends, segments).tolist() == map_of(kind).segment_of_token(ids, segments).tolist()


@given(
    st.binary(max_size=40)
    | st.lists(st.sampled_from([b"\xe2", b"\x82", b"\xac", b"\xf0\x9f", b"a", b"\xed\xa0"])).map(b"".join)
)
def test_characters_are_counted_on_bytes_as_python_decodes_them(data: bytes):
    text = data.decode("utf-8", "replace")
    starts = np.flatnonzero(character_starts(data, text))
    assert len(starts) == len(text)
    ends = [*starts[1:].tolist(), len(data)]
    assert [data[a:b].decode("utf-8", "replace") for a, b in zip(starts, ends, strict=False)][: len(text)] == list(text)


def encode(kind: str, *texts: str) -> list[int]:
    return [i for text in texts for i in tokenizer_of(kind).encode(text, add_special_tokens=False)]


def test_a_marker_split_across_tokens_is_found():
    ids = encode("byte-level BPE", "a", "#", "##", "b")
    assert map_of("byte-level BPE").segment_batch([ids], [4], MARKER).tolist() == [[0, 0, 0, 1]]


def test_four_hashes_split_across_tokens_are_no_marker():
    ids = encode("byte-level BPE", "a", "###", "#", " b")
    assert set(map_of("byte-level BPE").segment_batch([ids], [len(ids)], MARKER)[0].tolist()) == {0}


def test_a_token_that_straddles_a_cut_belongs_to_where_it_begins():
    straddling = tokenizer_of("byte-level BPE").convert_tokens_to_ids("零 ###é")
    ids = [*encode("byte-level BPE", "a"), straddling, *encode("byte-level BPE", "b")]
    assert map_of("byte-level BPE").segment_batch([ids], [3], MARKER).tolist() == [[0, 0, 1]]


def test_an_emoji_over_several_tokens_is_not_torn():
    ids = encode("byte-level BPE", "a###", "🚀", "b")
    before, after = len(encode("byte-level BPE", "a###")), len(encode("byte-level BPE", "🚀", "b"))
    assert after >= 4  # three or more of them for the one emoji
    index = map_of("byte-level BPE").segment_batch([ids], [len(ids)], MARKER)[0]
    assert index.tolist() == [0] * before + [1] * after
    assert map_of("byte-level BPE").ends(ids)[-after:].tolist() == [5] * (after - 1) + [6]


def test_a_token_without_text_belongs_to_the_segment_that_ended_just_before_it():
    eos = tokenizer_of("byte-level BPE").eos_token_id
    ids = [*encode("byte-level BPE", "a", "###"), eos, *encode("byte-level BPE", "b"), eos]
    index = map_of("byte-level BPE").segment_batch([ids], [len(ids)], MARKER)[0].tolist()
    assert index == [0] * (len(ids) - 2) + [1, 1]


def test_a_rollout_of_special_tokens_alone_lies_in_segment_zero():
    eos = tokenizer_of("byte-level BPE").eos_token_id
    assert map_of("byte-level BPE").segment_batch([[eos, eos]], [2], MARKER).tolist() == [[0, 0]]
    assert map_of("byte-level BPE").segment_of_token([eos], ()).tolist() == [-1]


def test_a_token_that_completes_a_character_and_goes_on_belongs_to_that_character():
    table = PieceTable.build([b"\xe9", b"\x9b\xb6x", b"y"])  # the two halves of a character, the second with more
    assert TokenMap(PlainBytes(), table).segment_of_token([0, 1, 2], (Segment(0, 1), Segment(1, 3))).tolist() == [
        0,
        0,
        1,
    ]


def test_a_token_whose_text_is_empty_counts_as_one_without_text():
    table = PieceTable.build([b"a###", b"", b"b"])
    assert TokenMap(PlainBytes(), table).segment_batch([[0, 1, 2]], [3], MARKER).tolist() == [[0, 0, 1]]


def test_ids_beyond_the_vocabulary_have_no_text():
    ids = encode("byte-level BPE", "ab")
    assert map_of("byte-level BPE").text([*ids, 10_000_000]) == "ab"


def test_negative_ids_are_refused():
    with pytest.raises(ValueError, match="token id -100"):
        map_of("byte-level BPE").text([1, -100])


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit ids of shape"):
        map_of("byte-level BPE").segment_batch([[1, 2]], [3], MARKER)


def test_a_table_that_its_decoder_contradicts_is_not_used():
    class Tidy(PreTrainedTokenizerFast):
        def _decode(self, *args: object, **kwargs: object) -> str:
            return super()._decode(*args, **kwargs).replace(" .", ".")

    tokenizer = Tidy(tokenizer_object=word_piece().backend_tokenizer, eos_token="<eos>")
    assert TokenMap.from_tokenizer(tokenizer).kind == "table"  # the WordPiece decoder already does the same
    spaced = Tidy(tokenizer_object=characters(None).backend_tokenizer, eos_token="<eos>")
    spaced.add_tokens(["."])
    token_map = TokenMap.from_tokenizer(spaced)
    assert token_map.kind == "prefixes"
    assert token_map.text([5, len(spaced) - 1]) == "a."


def test_a_real_encoding_finds_its_steps():
    text = "First 3 + 4 = 7.\n###\nThen 7 * 2 = 14 🙂.\n###\nThe answer is \\boxed{14}."
    ids = encode("byte-level BPE", text)
    index = map_of("byte-level BPE").segment_batch([ids], [len(ids)], MARKER)[0]
    steps = [map_of("byte-level BPE").text(np.array(ids)[index == s]) for s in range(3)]
    assert "".join(steps) == text
    assert [step.strip("\n#") for step in steps] == [
        "First 3 + 4 = 7.",
        "Then 7 * 2 = 14 🙂.",
        "The answer is \\boxed{14}.",
    ]
