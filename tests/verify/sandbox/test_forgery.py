"""A candidate that does not know the answer cannot pass, and answers count only for calls that were made."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox_attacks import CHEATS, EXPECTED, NAIVE

from exprl.verify.sandbox import Call, Limits, Program, Result, Sandbox
from exprl.verify.sandbox.inside.plain import decode, encode


@pytest.fixture(scope="module")
def cheated(jail: Sandbox) -> dict[str, Result]:
    programs = [Program(source, calls=(Call("f", (1,)),)) for source in CHEATS.values()]
    return dict(zip(CHEATS, jail.run_many(programs), strict=True))


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_fails_in_the_jail(name: str, cheated: dict[str, Result]) -> None:
    [returned] = cheated[name].returned
    assert type(returned.value) in (type(None), bool, int, float, str, list, tuple, dict)
    assert returned.value != EXPECTED


@pytest.mark.parametrize("name", CHEATS)
def test_the_same_cheat_passes_where_comparison_is_in_the_candidates_process(name: str) -> None:
    source = NAIVE.format(expected=EXPECTED, source=CHEATS[name])
    run = subprocess.run([sys.executable, "-S", "-c", source], capture_output=True, check=False)
    assert run.returncode == 0


def test_honest_code_passes_in_both(jail: Sandbox) -> None:
    honest = f"def f(x):\n    return {EXPECTED!r}"
    assert jail.run(Program(honest, calls=(Call("f", (1,)),))).returned[0].value == EXPECTED
    assert subprocess.run([sys.executable, "-c", NAIVE.format(expected=EXPECTED, source=honest)]).returncode == 0


def _frames(*texts: str) -> str:
    return "".join(f"os.write(4, len({text!r}).to_bytes(4, 'big') + {text.encode()!r})\n" for text in texts)


def test_answers_before_their_questions_end_the_run_without_any(jail: Sandbox) -> None:
    source = "import os\n" + _frames("null", "1", "2") + "f = lambda x: x"
    result = jail.run(Program(source, calls=(Call("f", (1,)), Call("f", (2,)))))
    assert (result.status, result.reason) == ("killed", "an answer that was not asked for")
    assert [answer.value for answer in result.returned] == [None, None]
    assert all(answer.error == "killed" for answer in result.returned)


def test_a_spare_answer_in_a_call_ends_the_run(jail: Sandbox) -> None:
    source = "import os\ndef f(x):\n    " + _frames("5", "6").replace("\n", "\n    ") + "return x"
    result = jail.run(Program(source, calls=(Call("f", (1,)), Call("f", (2,)))))
    assert result.status == "killed"


def test_an_exit_leaves_the_remaining_calls_unanswered(jail: Sandbox) -> None:
    source = "import os\ndef f(x):\n    return x if x < 3 else os._exit(0)"
    result = jail.run(Program(source, calls=tuple(Call("f", (n,)) for n in range(5))))
    assert result.status == "error"
    assert [answer.value for answer in result.returned] == [0, 1, 2, None, None]
    assert [answer.error for answer in result.returned] == [None, None, None, "error", "error"]


def test_later_calls_are_not_in_the_candidates_memory(jail: Sandbox) -> None:
    source = """
import ctypes, gc
def f(x):
    found = [v for o in gc.get_objects() if type(o) in (list, tuple, dict) for v in o if type(v) is str]
    return [v for v in found if v.startswith('marker-') and len(v) > 7]
"""
    calls = tuple(Call("f", (f"marker-{n}",)) for n in range(3))
    first = jail.run(Program(source, calls=calls)).returned[0].value
    assert isinstance(first, list)
    assert set(first) <= {"marker-0"}


def test_names_of_exceptions_are_names_and_nothing_else(jail: Sandbox) -> None:
    source = "E = type('<script> ' + 'x' * 99, (Exception,), {})\ndef f():\n    raise E('text')"
    assert jail.run(Program(source, calls=(Call("f"),))).returned[0].error == "Exception"
    assert jail.run(Program(source + "\nf()")).reason == "Exception"


HOSTILE = {
    "keys that collide": '{"s": [' + ",".join(f'{{"i": "{hex(k * (2**61 - 1))}"}}' for k in range(1, 2000)) + "]}",
    "deep": "[" * 5000 + "]" * 5000,
    "long integer": "9" * 5000,
    "unknown tag": '{"x": []}',
    "two tags": '{"t": [], "s": []}',
    "unhashable": '{"s": [[1]]}',
    "not text": '{"i": 3}',
    "half a pair": '{"d": [[1]]}',
    "no JSON": "__import__('os')",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_plain_data_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(HOSTILE[name])


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
keys = st.integers() | st.text() | st.tuples(st.integers(), st.text()) | st.frozensets(st.integers(), max_size=3)
plain = st.recursive(
    scalars | st.sets(keys, max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=10,
)


@given(plain)
def test_plain_data_come_back_as_they_were(value: object) -> None:
    again = decode(encode(value))
    assert again == value
    assert repr(type(again)) == repr(type(value))


def test_limits_of_output_hold_for_answers(jail: Sandbox) -> None:
    result = jail.run(Program("f = lambda: 'x' * 10**6", calls=(Call("f"),)), Limits(output=1000))
    assert result.returned[0].error == "ValueError"
