"""Packed tests are plain data or they are refused: nothing in them is ever called."""

from __future__ import annotations

import base64
import contextlib
import json
import pickle
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.verify.code.packed import PackedError, decode_pickle, unpack

DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def packed(value: object, protocol: int = 4) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value, protocol))).decode()


@given(DATA, st.integers(3, 5))
def test_plain_data_come_out_as_they_went_in(value: object, protocol: int) -> None:
    assert decode_pickle(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(6))
def test_the_text_that_upstream_packs_is_read_in_every_protocol(protocol: int) -> None:
    text = json.dumps([{"input": "1\n", "output": "é" * 300, "testtype": "stdin"}])
    assert unpack(packed(text, protocol)) == text


class _Calls:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.mkdir, (Path("/tmp/exprl-must-not-exist"),))  # type: ignore[return-value]


class _Holds:
    x = 1


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", [_Calls(), _Holds(), print, Path("/tmp"), {1}, [1, [_Calls()]], complex(1, 2), int])
def test_more_than_plain_data_is_refused_and_nothing_is_called(value: object, protocol: int) -> None:
    with pytest.raises(PackedError):
        unpack(packed(value, protocol))
    assert not Path("/tmp/exprl-must-not-exist").exists()


@given(st.binary(max_size=200))
def test_any_bytes_are_data_or_refused(content: bytes) -> None:
    with contextlib.suppress(PackedError):
        decode_pickle(content)


@given(DATA, st.data())
def test_cut_short_it_is_refused(value: object, data: st.DataObject) -> None:
    whole = pickle.dumps(value, 4)
    with pytest.raises(PackedError):
        decode_pickle(whole[: data.draw(st.integers(0, len(whole) - 1))])


@pytest.mark.parametrize("text", ["", "!!", "aGVsbG8=", base64.b64encode(zlib.compress(b"x" * 99)[:-4]).decode()])
def test_what_is_not_packed_is_refused(text: str) -> None:
    with pytest.raises(PackedError):
        unpack(text)
