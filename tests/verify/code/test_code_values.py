"""Expected values are read without running anything, and compared as Python compares plain values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.verify.code.compare import compare, same_output
from exprl.verify.code.literal import NotPlainError, read_literal, write_literal

NAN = math.nan
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_infinity=False, allow_nan=False)
)
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(PLAIN)
def test_a_value_that_is_written_is_read_back_as_itself(value: object) -> None:
    back = read_literal(write_literal(value))  # type: ignore[arg-type]
    assert type(back) is type(value)
    assert compare("equal", back, value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[(1, 2), {3}, {}]", [(1, 2), {3}, {}]),
        ("set()", set()),
        ("{'a': (1,)}", {"a": (1,)}),
        ("-inf", -math.inf),
        ("float('-inf')", -math.inf),
        ("10**9 + 7", 1_000_000_007),
        ("1 / 4", 0.25),
        ("frozenset([1])", frozenset([1])),
        ("sorted([2, 1])", [1, 2]),
        ("1 - 2j", 1 - 2j),
    ],
)
def test_a_literal_is_read(text: str, value: object) -> None:
    assert read_literal(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("f(1)", "__import__('os')", "[x for x in y]", "a.b", "lambda: 0", "...", "1 if 2 else 3", "{[]: 1}", "{**a}"),
        *(
            "9**9**9**9",
            "2**10**6",
            "10**9999999 * 2",
            "1/0",
            "",
            "1 +",
            "(" * 5000,
            "True + 1",
            "'a' * 10**9",
            "f'{x}'",
        ),
        *("float('x')", "set(5)", "open('x')"),
    ],
)
def test_what_is_no_literal_is_refused_without_being_run(text: str) -> None:
    with pytest.raises(NotPlainError):
        read_literal(text)


def test_plain_values_are_equal_as_python_has_it() -> None:
    assert compare("equal", 1, True)
    assert compare("equal", [1.0], [1])
    assert compare("equal", {1, 2}, {2, 1})
    assert compare("equal", {"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert not compare("equal", (1, 2), [1, 2])
    assert not compare("equal", [2, 1], [1, 2])
    assert not compare("equal", None, 0)
    assert not compare("equal", "1", 1)
    assert compare("json", ((1, 2), [3]), [[1, 2], (3,)])
    assert compare("differs", 1, 2)
    assert compare("within", 2, [1, 2])
    assert not compare("within", 3, [1, 2])
    assert not compare("within", 3, 3)
    assert compare("is", True, True)
    assert not compare("is", 1, True)
    assert compare("truth", [0], True)
    assert compare("truth", [], False)


def test_nan_equals_nan_and_nothing_else() -> None:
    assert compare("equal", [NAN, 1], [NAN, 1])
    assert not compare("equal", NAN, 0.0, atol=1e9)
    assert not compare("equal", 0.0, NAN, atol=1e9)


def test_a_tolerance_counts_for_numbers_at_any_depth_and_never_for_whole_ones_relatively() -> None:
    assert compare("equal", {"x": [1.0000001]}, {"x": [1.0]}, atol=1e-6)
    assert not compare("equal", [1.00001], [1.0], atol=1e-6)
    assert compare("equal", 1e12 + 1.0, 1e12, rtol=1e-7)
    assert not compare("equal", 10**12 + 1, 10**12, atol=1e-6, rtol=1e-7)
    assert not compare("equal", math.inf, 1.0, atol=1e308, rtol=1.0)
    assert compare("equal", math.inf, math.inf, atol=1e-6)
    assert compare("below", 0.5, 0.0, atol=0.6)
    assert not compare("below", 0.5, 0.0, atol=0.5)
    assert not compare("below", "x", 0.0, atol=0.5)


def test_what_is_nested_too_deeply_is_not_equal_and_does_not_raise() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert not compare("equal", deep, [deep])  # type: ignore[arg-type]


def test_large_values_are_compared_in_time() -> None:
    assert compare("equal", list(range(300_000)), list(range(300_000)), atol=1e-6)


def test_output_is_compared_token_by_token() -> None:
    assert same_output("1 2 \n3\n\n", "1 2\n3")
    assert same_output("1  2\r\n", "1 2\n")
    assert same_output("0.3333333333\n", "0.333333")
    assert same_output("1e-3", "0.001")
    assert not same_output("0.3334", "0.3333")
    assert not same_output("8.0", "8")
    assert not same_output("1 2", "1\n2")
    assert not same_output("1", "1\n2")
    assert not same_output("nan", "0.5")
    assert not same_output("YES", "yes")
    assert same_output("", "\n")
    assert not same_output("1" * 100_000, "1." + "1" * 100_000)


@given(st.text(max_size=60))
def test_output_equals_itself(text: str) -> None:
    assert same_output(text, text)
    assert same_output(text + " \n\n", text)
