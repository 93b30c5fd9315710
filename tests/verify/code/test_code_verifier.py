"""Programs are scored by their tests, and no program scores by knowing, forging or breaking anything."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from exprl.errors import SandboxError
from exprl.types import Problem, Reference, Verdict
from exprl.verify.code import CodeVerifier, read_tests
from exprl.verify.code.tests import CallCase, CodeCase, StdinCase, Suite, write_suite
from exprl.verify.sandbox import open_sandbox
from exprl.verify.sandbox.program import Limits, Program, Result, Sandbox

DATA = Path(os.environ.get("EXPRL_DATA", "../shared/data"))
LIMITS = Limits(wall=3.0, cpu=1.0)
LOOP = CodeCase("for x in range(5):\n    assert candidate(x) == x * 31")
CALLS = tuple(CallCase(f"candidate({x})", str(x * 31)) for x in range(5))
RIGHT = "def f(x):\n    return x * 31\n"
HALF = "def f(x):\n    return x * 31 if x < 2 else 'wrong'\n"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    try:
        jail = open_sandbox()
    except SandboxError as error:
        pytest.skip(f"no sandbox on this machine: {str(error).splitlines()[0]}")
    yield jail
    jail.close()


@pytest.fixture
def verifier(sandbox: Sandbox) -> CodeVerifier:
    return CodeVerifier(sandbox, limits=LIMITS)


class Counting:
    """A sandbox that counts what it is asked, and fails when told to."""

    def __init__(self, inner: Sandbox, broken: bool = False) -> None:
        self.inner, self.broken = inner, broken
        self.programs: list[Program] = []
        self.batches = 0

    def run(self, program: Program, limits: Limits = LIMITS) -> Result:
        if self.broken:
            raise SandboxError("broken")
        return self.inner.run(program, limits)

    def run_many(self, programs: Sequence[Program], limits: Limits = LIMITS) -> list[Result]:
        if self.broken:
            raise SandboxError("broken")
        self.programs.extend(programs)
        self.batches += 1
        return self.inner.run_many(programs, limits)

    def close(self) -> None:
        self.inner.close()


def problem(
    *cases: CallCase | StdinCase | CodeCase, entry: str | None = "f", setup: str = "", oracle: str | None = None
) -> Problem:
    tests = write_suite(Suite(cases, entry, setup, "", oracle))
    return Problem("p", "?", Reference(None, None, tests), "code")


def fenced(program: str) -> str:
    return f"Here it is.\n```python\n{program}\n```\n"


def verdict(verifier: CodeVerifier, of: Problem, program: str) -> Verdict:
    [found] = verifier.verify([(of, fenced(program))])
    return found


@pytest.mark.parametrize("cases", [CALLS, (LOOP,), (*CALLS, LOOP)])
def test_a_right_program_scores_1_and_a_wrong_one_0(
    verifier: CodeVerifier, cases: tuple[CallCase | CodeCase, ...]
) -> None:
    of = problem(*cases)
    assert verdict(verifier, of, RIGHT).score == 1.0
    for wrong in (
        HALF,
        "def f(x):\n    return None\n",
        "def g(x):\n    return x * 31\n",
        "def f(",
        "raise SystemExit(0)",
        "1/0",
    ):
        assert verdict(verifier, of, wrong).score == 0.0, wrong


def test_dense_tells_the_share_of_tests_passed_and_still_scores_all_or_nothing(sandbox: Sandbox) -> None:
    dense = CodeVerifier(sandbox, dense=True, limits=LIMITS)
    assert verdict(dense, problem(*CALLS), HALF).share == pytest.approx(2 / 5)
    assert verdict(dense, problem(*CALLS), HALF).score == 0.0
    assert verdict(dense, problem(*CALLS), HALF).raw == "2 of 5"
    assert verdict(dense, problem(*CALLS, LOOP), HALF).share == pytest.approx(2 / 6)
    right = verdict(dense, problem(*CALLS), RIGHT)
    assert (right.score, right.share) == (1.0, 1.0)
    assert verdict(dense, problem(*CALLS), "I cannot.").share == 0.0


def test_whole_programs_are_scored_by_what_they_print(verifier: CodeVerifier, sandbox: Sandbox) -> None:
    cases = (StdinCase("1 2\n", "3\n"), StdinCase("5 5\n", "10"), StdinCase("0.1 0.2\n", "0.3"))
    of, whole = problem(*cases, entry=None), "a, b = map(float, input().split())\nprint(a + b)"
    dense = CodeVerifier(sandbox, dense=True, limits=LIMITS)
    assert verdict(dense, of, whole).share == pytest.approx(1 / 3)
    number = "def n(t): return float(t) if '.' in t else int(t)\n"
    right = number + "if __name__ == '__main__':\n    a, b = map(n, input().split())\n    print(a + b)"
    assert verdict(verifier, of, right).score == 1.0
    assert verdict(verifier, of, right + "\nraise SystemExit(1)").score == 0.0


def test_setup_runs_before_the_candidate_and_its_names_can_be_used(verifier: CodeVerifier) -> None:
    of = problem(CallCase("candidate(box(3))", "3"), setup="def box(x):\n    return [x]\n")
    assert verdict(verifier, of, "def f(b):\n    return b[0] if b == box(b[0]) else None\n").score == 1.0


def test_a_method_of_a_class_and_a_body_alone_can_be_the_candidate(verifier: CodeVerifier) -> None:
    method = problem(CallCase("candidate(2)", "4"), entry="Solution().go")
    assert verdict(verifier, method, "class Solution:\n    def go(self, n):\n        return n + n\n").score == 1.0
    tests = write_suite(Suite((CallCase("candidate(2)", "4"),), "f", "", "def f(n):\n"))
    assert verdict(verifier, Problem("p", "?", Reference(None, None, tests)), "    return n + n\n").score == 1.0


def test_what_an_oracle_gives_is_expected_and_never_stands_where_the_candidate_runs(sandbox: Sandbox) -> None:
    counting = Counting(sandbox)
    verifier = CodeVerifier(counting, limits=LIMITS)
    of = problem(
        CallCase("candidate(2)", None), CallCase("candidate(3)", None), oracle="def f(n):\n    return (n, n / 7)\n"
    )
    assert verdict(verifier, of, "def f(n):\n    return n, n / 7\n").score == 1.0
    assert verdict(verifier, of, "def f(n):\n    return [n, n / 7]\n").score == 0.0
    asked = [program for program in counting.programs if "n / 7)" in program.source]
    assert len(asked) == 1, "once for both candidates"
    broken = problem(CallCase("candidate(2)", None), oracle="def f(n):\n    raise ValueError\n")
    assert verdict(verifier, broken, RIGHT).unscored == "the stored solution failed on its own tests"


EQUAL_TO_ALL = """
class E:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    def __bool__(self): return True
    def __float__(self): return 0.0
"""


@pytest.mark.parametrize(
    "program",
    [
        EQUAL_TO_ALL + "def f(x): return E()",
        EQUAL_TO_ALL + "class I(int, E): pass\ndef f(x): return I(7)",
        "import builtins\nbuiltins.AssertionError = ValueError\ndef f(x): raise SystemExit(0)",
        "import os\ndef f(x): os._exit(0)",
        "import sys\ndef f(x):\n    sys._getframe(1).f_globals['judge'] = lambda known: 'passed'\n    return None",
        "import gc\ndef f(x):\n    return [o for o in gc.get_objects() if isinstance(o, int)]",
        "def f(x): return 'passed'",
        "def f(x): raise KeyboardInterrupt",
        "class print(Exception): pass\ndef f(x): raise print",
        "def f(x): return 'x' * 10**5",
        "def f(x):\n    y = []\n    for _ in range(90): y = [y]\n    return y",
        "def f(x): raise UnicodeDecodeError('a', b'', 0, 1, 'b')",
        "import unittest.mock\ndef f(x): return unittest.mock.ANY",
        "def answer_expression(e): return True\ndef f(x): return True",
    ],
)
def test_no_forgery_passes_calls_or_code(verifier: CodeVerifier, program: str) -> None:
    assert verdict(verifier, problem(*CALLS), program).score == 0.0
    assert verdict(verifier, problem(LOOP), program).score == 0.0


def test_neither_expected_values_nor_test_code_enter_the_candidates_jail(sandbox: Sandbox) -> None:
    counting = Counting(sandbox)
    loop = CodeCase("for x in range(3):\n    assert candidate(x) == x * 31, 'CANARY-1'")
    cases = (CallCase("candidate(1)", "'CANARY-2'"), CallCase("candidate(2)", "'CANARY-3'", "within"), loop)
    CodeVerifier(counting, dense=True, limits=LIMITS).verify([(problem(*cases), fenced(RIGHT))])
    shown = [program for program in counting.programs if "return x * 31" in program.source]
    assert len(shown) == 2
    assert all("CANARY" not in repr(program) for program in shown)


def test_code_that_asks_step_by_step_is_replayed_and_said_so(verifier: CodeVerifier) -> None:
    steps = CodeCase(
        "a = candidate(1)\nb = candidate(a)\nassert candidate(b) == 31 ** 3\nxs = [3, 1]\nassert sum(xs) == 4"
    )
    found = verdict(verifier, problem(steps), RIGHT)
    assert found.score == 1.0
    assert "replayed" in found.note
    changes = CodeCase("xs = [3, 1, 2]\ncandidate(xs)\nassert xs == [1, 2, 3]")
    assert verdict(verifier, problem(changes), "def f(xs):\n    xs.sort()\n").score == 1.0
    assert verdict(verifier, problem(changes), "def f(xs):\n    return sorted(xs)\n").score == 0.0
    raises = CodeCase("try:\n    candidate(0)\nexcept ZeroDivisionError:\n    pass\nelse:\n    assert False")
    assert verdict(verifier, problem(raises), "def f(x):\n    return 1 / x\n").score == 1.0
    assert verdict(verifier, problem(raises), "def f(x):\n    return 1\n").score == 0.0


def test_random_inputs_are_the_same_at_every_replay(verifier: CodeVerifier) -> None:
    code = CodeCase(
        "import random\nfor _ in range(9):\n    x = random.randint(0, 99)\n    assert candidate(x) == x * 31"
    )
    assert verdict(verifier, problem(code), RIGHT).score == 1.0
    assert verdict(verifier, problem(code), "def f(x):\n    return 0\n").score == 0.0


def test_tests_that_fail_by_themselves_are_unscored(verifier: CodeVerifier) -> None:
    endless = CodeCase("a = 0\nfor _ in range(40):\n    a = candidate(a)\nassert a == 40")
    assert "more often" in str(verdict(verifier, problem(endless), "def f(x):\n    return x + 1\n").unscored)
    objects = CodeCase("assert candidate(object()) == 1")
    assert verdict(verifier, problem(objects), RIGHT).score is None
    unreadable = problem(CallCase("candidate(1)", "a + b"))
    assert verdict(verifier, unreadable, RIGHT).unscored == "an expected value cannot be read"


def test_no_tests_and_unreadable_tests_are_unscored_and_no_program_is_0(verifier: CodeVerifier) -> None:
    bad = Problem("p", "?", Reference("s", "7", '{"cases": "CANARY"}'))
    pairs = [
        (Problem("p", "?", Reference("s", "7")), fenced(RIGHT)),
        (bad, fenced(RIGHT)),
        (problem(*CALLS), "No idea."),
    ]
    assert [(v.score, v.unscored) for v in verifier.verify(pairs)] == [
        (None, "no stored tests"),
        (None, "the stored tests cannot be read"),
        (0.0, None),
    ]


def test_a_sandbox_that_fails_is_unscored(sandbox: Sandbox) -> None:
    counting = Counting(sandbox, broken=True)
    verifier = CodeVerifier(counting, limits=LIMITS)
    oracle = problem(CallCase("candidate(2)", None), oracle="def f(n):\n    return n\n")
    assert [v.unscored for v in verifier.verify([(problem(*CALLS), fenced(RIGHT)), (oracle, fenced(RIGHT))])] == [
        "the sandbox failed"
    ] * 2
    counting.broken = False
    assert verdict(verifier, problem(*CALLS), RIGHT).score == 1.0


def test_a_limit_fails_the_tests_and_is_believed_the_second_time(sandbox: Sandbox) -> None:
    counting = Counting(sandbox)
    verifier = CodeVerifier(counting, limits=Limits(wall=0.4, cpu=0.3))
    endless = "def f(x):\n    while True:\n        pass\n"
    found = [verdict(verifier, problem(*CALLS), endless) for _ in range(3)]
    assert [(v.score, v.raw) for v in found] == [(0.0, "failed (timeout)")] * 3
    assert counting.batches == 2


def test_each_pair_of_program_and_tests_runs_once_and_a_batch_runs_together(sandbox: Sandbox) -> None:
    counting = Counting(sandbox)
    verifier = CodeVerifier(counting, limits=LIMITS)
    of, other = problem(*CALLS), problem(CallCase("candidate(2)", "62"))
    pairs = [(of, fenced(RIGHT)), (of, "Otherwise put:\n" + fenced(RIGHT)), (of, fenced(HALF)), (other, fenced(RIGHT))]
    assert [v.score for v in verifier.verify(pairs)] == [1.0, 1.0, 0.0, 1.0]
    assert (counting.batches, len(counting.programs)) == (1, 3)
    assert [v.score for v in verifier.verify(pairs)] == [1.0, 1.0, 0.0, 1.0]
    assert counting.batches == 1
    assert verifier.verify([]) == []


def test_a_verdict_shows_no_test(verifier: CodeVerifier) -> None:
    of = problem(
        CallCase("candidate('CANARY')", "'CANARY'"), CodeCase("assert candidate('CANARY') == 'CANARY', 'CANARY'")
    )
    for program in (
        RIGHT,
        "def f(x):\n    raise ValueError(x)\n",
        "def f(x):\n    print(x)\n    return x\n",
        "import CANARY",
    ):
        assert "CANARY" not in repr(verdict(verifier, of, program))


@pytest.mark.parametrize(
    "program", ["\ud800", "x = '\\ud800'", "\0", "(" * 10_000, "def f(x):\n    return f(x)\n", "é" * 9]
)
def test_no_program_text_raises(verifier: CodeVerifier, program: str) -> None:
    assert verdict(verifier, problem(*CALLS, StdinCase("", "x")), program).score == 0.0


@pytest.mark.skipif(not (DATA / "HumanEval.jsonl.gz").exists(), reason=f"{DATA} (EXPRL_DATA) is not there")
def test_some_of_humaneval_passes_and_none_of_it_passes_empty(verifier: CodeVerifier) -> None:
    with gzip.open(DATA / "HumanEval.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    rows = rows[:12] + [row for row in rows if row["task_id"].partition("/")[2] in {"32", "38", "53", "151"}]
    problems = [Problem(row["task_id"], "?", Reference(None, None, read_tests(row, "test"))) for row in rows]
    full = [fenced(row["prompt"] + row["canonical_solution"]) for row in rows]
    empty = [fenced(row["prompt"] + "    return None\n") for row in rows]
    assert {v.score for v in verifier.verify(list(zip(problems, full, strict=True)))} == {1.0}
    assert {v.score for v in verifier.verify(list(zip(problems, empty, strict=True)))} == {0.0}
