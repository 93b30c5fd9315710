"""Every known form of tests becomes the one plain format, by reading and never by running."""

from __future__ import annotations

import base64
import json
import pickle
import zlib

import pytest

from exprl.verify.code import TestsError, read_suite, read_tests
from exprl.verify.code.asserts import translate
from exprl.verify.code.mbpp import restore
from exprl.verify.code.tests import CallCase, CodeCase, StdinCase, Suite, write_suite


def suite(column: str = "tests", **cells: object) -> Suite:
    text = read_tests(cells, column)
    assert text is not None
    return read_suite(text)


def refusal(column: str = "tests", **cells: object) -> str:
    with pytest.raises(TestsError) as caught:
        read_tests(cells, column)
    assert "CANARY" not in str(caught.value)
    return str(caught.value)


def case(line: str) -> object:
    [found] = translate(f"def check(candidate):\n    {line}", "f")
    return found


def test_the_plain_format_is_read_and_written_as_itself() -> None:
    cases = (
        CallCase("candidate(1)", "(2, nan)", "equal", 1e-6),
        StdinCase("1\n", "2\n"),
        CodeCase("assert candidate(1)"),
    )
    whole = Suite(cases, "f", "import math", "def f(x):\n", "def f(x): return x")
    assert read_suite(write_suite(whole)) == whole
    assert read_tests({"tests": write_suite(whole)}, "tests") == write_suite(whole)
    assert read_tests({"tests": json.loads(write_suite(whole))}, "tests") == write_suite(whole)


@pytest.mark.parametrize("nothing", [None, "", [], {}])
def test_a_row_without_tests_has_none(nothing: object) -> None:
    assert read_tests({"tests": nothing}, "tests") is None
    assert read_tests({}, "tests") is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("assert candidate([1], k=2) == {1: (2,)}", CallCase("candidate([1], k=2)", "{1: (2,)}")),
        ("assert f(1) == 2, 'message'", CallCase("candidate(1)", "2")),
        ("assert 2 == candidate(1)", CallCase("candidate(1)", "2")),
        ("assert candidate(1) != -1", CallCase("candidate(1)", "-1", "differs")),
        ("assert candidate(1)", CallCase("bool(candidate(1))", "True", "truth")),
        ("assert not candidate(1)", CallCase("bool(candidate(1))", "False", "truth")),
        ("assert candidate(1) is None", CallCase("candidate(1)", "None", "is")),
        ("assert candidate(1) in [1, 2]", CallCase("candidate(1)", "[1, 2]", "within")),
        ("assert set(candidate(1)) == set([1])", CallCase("set(candidate(1))", "{1}")),
        ("assert abs(candidate(1) - 0.5) < 1e-6", CallCase("candidate(1)", "0.5", "below", 1e-6)),
        ("assert abs(0.5 - candidate(1)) <= 1e-6", CallCase("candidate(1)", "0.5", "equal", 1e-6)),
        ("assert math.isclose(candidate(1), 2, rel_tol=0.1)", CallCase("candidate(1)", "2", "equal", 0.0, 0.1)),
        ("assert candidate(1) == 10**9 + 7", CallCase("candidate(1)", "1000000007")),
    ],
)
def test_an_assert_becomes_a_call_and_what_it_should_give(line: str, expected: CallCase) -> None:
    assert case(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "for x in range(3): assert candidate(x) == x",
        "y = [1]; assert candidate(y) == [1]",
        "assert candidate(1) == helper(1)",
        "assert candidate(candidate(1)) == 1",
        "assert candidate(1) < 5",
        "assert candidate(1) == 1 or candidate(1) == 2",
        "import random; assert candidate(random.random()) == 1",
        "assert len([x for x in candidate(3)]) == 2",
    ],
)
def test_what_is_more_than_one_call_stays_code(line: str) -> None:
    found = translate(f"def check(candidate):\n    {line}", "f")
    assert [type(one) for one in found] == [CodeCase]


def test_an_expected_value_never_stands_in_a_call() -> None:
    for line in (
        "assert abs(candidate(1) - 987) < 1",
        "assert set(candidate(1)) == {987}",
        "assert candidate(1) in [987]",
    ):
        found = case(line)
        assert isinstance(found, CallCase)
        assert "987" not in found.call
        assert "987" in str(found.expect)


def test_statements_that_test_nothing_are_dropped() -> None:
    body = "    print('x')\n    assert True\n    assert candidate(1) == 1\n"
    code = f"METADATA = {{}}\nimport math\ndef check(candidate):\n{body}check(f)"
    assert translate(code, "f") == [CallCase("candidate(1)", "1")]
    with pytest.raises(TestsError):
        translate("def check(candidate):\n    pass", "f")


def test_humaneval_gives_calls_setup_and_prefix() -> None:
    prompt = 'import math\n\ndef helper(x):\n    return x\n\ndef f(x):\n    """Doc."""\n'
    found = suite("test", prompt=prompt, entry_point="f", test="def check(candidate):\n    assert candidate(1) == 2\n")
    assert found.cases == (CallCase("candidate(1)", "2"),)
    assert (found.entry, found.prefix) == ("f", prompt)
    assert "def helper" in found.setup
    assert "def f" not in found.setup


def test_mbpp_gives_calls_by_the_name_that_its_asserts_use() -> None:
    found = suite(
        "test_list",
        test_list=["assert add(1, 2) == 3", "assert len(str(add(1, 1))) == 1"],
        test_imports=["import math"],
    )
    assert found.entry == "add"
    assert found.cases == (CallCase("candidate(1, 2)", "3"), CallCase("len(str(candidate(1, 1)))", "1"))
    assert found.setup == "import math"


def test_mbpp_plus_leaves_what_is_expected_to_its_canonical_solution() -> None:
    cells = {
        "task_id": "Mbpp/2",
        "entry_point": "similar_elements",
        "canonical_solution": "def similar_elements(a, b): ...",
    }
    found = suite("base_input", **cells, base_input=[[[1], [2]]], plus_input=[[[3], []]], atol=0)
    assert found.oracle == cells["canonical_solution"]
    assert [one.call for one in found.cases if isinstance(one, CallCase)] == [
        "set(candidate(*[(1,), (2,)]))",
        "set(candidate(*[(3,), ()]))",
    ]
    assert {(one.expect, one.atol, one.rtol) for one in found.cases if isinstance(one, CallCase)} == {
        (None, 1e-6, 1e-7)
    }
    assert "base_input" in refusal("base_input", **{**cells, "entry_point": None}, base_input=[[1]])


def test_mbpp_inputs_get_back_the_types_that_json_lost() -> None:
    assert restore(63, [[[1, 2], [3]]]) == [[(1, 2), (3,)]]
    assert restore(115, [[[1], []]]) == [[{1}, {}]]
    assert restore(124, ["0", "1j"]) == [0.0, 1j]
    assert restore(259, [[[1, 2], [3]]]) == [((1, 2), (3,))]
    assert restore(580, [[1, [2, [3]]]]) == [(1, (2, (3,)))]
    assert restore(722, [{"a": [1, 2]}, 3]) == [{"a": (1, 2)}, 3]
    assert restore(1, [[1]]) == [[1]]


def test_livecodebench_gives_stdin_tests_public_and_packed() -> None:
    public = json.dumps([{"input": "1\n", "output": "2\n", "testtype": "stdin"}])
    private = json.dumps([{"input": "3\n", "output": "4\n", "testtype": "stdin"}])
    for hidden in (private, base64.b64encode(zlib.compress(pickle.dumps(private))).decode()):
        found = suite("public_test_cases", public_test_cases=public, private_test_cases=hidden, metadata="{}")
        assert found == Suite((StdinCase("1\n", "2\n"), StdinCase("3\n", "4\n")))
    evil = base64.b64encode(zlib.compress(pickle.dumps(print))).decode()
    assert "refused" in refusal("public_test_cases", public_test_cases=public, private_test_cases=evil)


def test_livecodebench_gives_functional_tests_where_it_names_a_function() -> None:
    tests = json.dumps([{"input": "[1, 2]\n3", "output": "[true]", "testtype": "functional"}])
    found = suite("public_test_cases", public_test_cases=tests, private_test_cases="", metadata='{"func_name": "go"}')
    assert found.cases == (CallCase("candidate(*[[1, 2], 3])", "[True]", "json"),)
    assert found.entry == "Solution().go"
    assert "func_name" in refusal("public_test_cases", public_test_cases=tests, metadata="{}")


def test_leetcode_and_apps_give_calls_or_stdin() -> None:
    pairs = [{"input": "n = 7, q = [[0, 5]]", "output": "[2]"}]
    found = suite("input_output", input_output=pairs, entry_point="Solution().go")
    assert found.cases == (CallCase("candidate(n = 7, q = [[0, 5]])", "[2]"),)
    assert suite("input_output", input_output='{"inputs": ["1\\n"], "outputs": ["2\\n"]}').cases == (
        StdinCase("1\n", "2\n"),
    )
    named = {"fn_name": "go", "inputs": [[1, [2]]], "outputs": [[3]]}
    assert suite("input_output", input_output=json.dumps(named)).cases == (
        CallCase("candidate(*[1, [2]])", "3", "json"),
    )
    refusal("input_output", input_output=[{"input": "n = 7", "output": "Error: CANARY"}], entry_point="f")


@pytest.mark.parametrize(
    "value",
    [
        "def CANARY(:",
        "CANARY = 1",
        {"cases": []},
        {"cases": [{"call": "CANARY"}], "entry": "f"},
        {"cases": [{"call": "candidate(1)", "expect": "1"}]},
        {"cases": [{"args": [1]}], "entry": "f"},
        {"cases": [{"stdin": 1, "stdout": "CANARY"}]},
        {"cases": [{"code": "x"}], "entry": "f", "extra": "CANARY"},
        {"cases": [{"call": "c", "expect": "1", "how": "CANARY"}], "entry": "f"},
        {"cases": [{"call": "c", "expect": "1", "atol": -1}], "entry": "f"},
        ["assert CANARY"],
        [1, 2],
        7,
    ],
)
def test_what_is_no_form_of_tests_is_refused_without_being_quoted(value: object) -> None:
    refusal(tests=value)
