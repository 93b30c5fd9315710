"""Execution truth for code: a candidate's tests, run in a jail and judged outside of it.

    score 1.0   every test passes
    score 0.0   a test fails, the program raises or meets a limit, the trace holds no program
    unscored    no stored tests; tests that cannot be read or run by themselves; a sandbox that failed

With `dense` no test is left out once one has failed, and `Verdict.share` is the share of them that passed: the dense reward.

Each verdict is for the program and the tests, whatever the trace says around it, so it is kept in a memo under both. A run
that met its time limit is kept from the second time on: the first may be the machine's fault.

    verifier = CodeVerifier(open_sandbox())
    verifier.verify([(problem, "```python\\ndef add(a, b):\\n    return a + b\\n```")])[0].score

`Verdict.raw` holds counts only. `Verdict.note` says where asserts that are more than one call each were replayed: they run in
a jail of their own against the candidate's recorded answers, see `exprl.verify.code.harness`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from threading import Lock
from typing import TypeVar

from exprl.errors import SandboxError
from exprl.types import Problem, Verdict
from exprl.verify.code.extract import extract_program
from exprl.verify.code.grading import (
    Expected,
    Grade,
    Grading,
    NotGradedError,
    grade,
    oracle_programs,
    oracle_values,
)
from exprl.verify.code.tests import CodeCase, Suite, TestsError, read_suite
from exprl.verify.sandbox.program import Limits, Program, Result, Sandbox

__all__ = ["CodeVerifier"]

_MEMO = 65_536
_SUITES = 4_096
_DEFAULT = Limits()
_NO_TESTS = "no stored tests"
_BAD_TESTS = "the stored tests cannot be read"
_SANDBOX = "the sandbox failed"
_NOTE = "asserts that are more than one call were replayed against recorded answers"

_K = TypeVar("_K")
_V = TypeVar("_V")
_Key = tuple[str, str]
_LIMITS = ("timeout", "memory", "output")
_Outcome = Grade | str  # a grade, or why there is none


class CodeVerifier:
    """Programs against their tests. Safe to call from several threads, one of which runs at a time.

    Args:
        sandbox: where programs run; closed with the verifier.
        dense: run every test, and say in `Verdict.share` how many of them passed.
        limits: what one run may use. Sixteen calls are one run; tests whose own solution needs more get more.
    """

    name = "code"

    def __init__(self, sandbox: Sandbox, *, dense: bool = False, limits: Limits = _DEFAULT) -> None:
        self._sandbox, self._dense, self._limits = sandbox, dense, limits
        self._suites: dict[str, Suite | str] = {}
        self._expected: dict[str, Expected | str] = {}
        self._memo: dict[_Key, Grade] = {}
        self._timeouts: set[_Key] = set()
        self._heavy: set[str] = set()
        self._lock = Lock()

    def verify(self, pairs: Sequence[tuple[Problem, str]]) -> list[Verdict]:
        """Grade traces; see `exprl.verify.Verifier.verify`."""
        with self._lock:
            wanted: dict[_Key, tuple[Suite, str]] = {}
            settled = [self._at_once(problem, text, wanted) for problem, text in pairs]
            outcomes = self._grade(wanted)
            return [self._verdict(one, outcomes, wanted) if isinstance(one, tuple) else one for one in settled]

    def close(self) -> None:
        """Stop the sandbox's workers."""
        with self._lock:
            self._sandbox.close()

    def _at_once(self, problem: Problem, text: str, wanted: dict[_Key, tuple[Suite, str]]) -> Verdict | _Key:
        """The verdict without a run, or the key of what has to be graded, which is put into `wanted`."""
        if not problem.reference.has_tests:
            return self._unscored(_NO_TESTS)
        suite = self._suite(problem)
        if isinstance(suite, str):
            return self._unscored(suite)
        program = extract_program(text)
        if program is None:
            return Verdict(0.0, judge=self.name, raw="no program", share=0.0 if self._dense else None)
        tests = hashlib.sha256((problem.reference.reveal().tests or "").encode("utf-8", "surrogatepass")).hexdigest()
        key = (tests, hashlib.sha256(program.encode("utf-8", "surrogatepass")).hexdigest())
        wanted.setdefault(key, (suite, program))
        return key

    def _suite(self, problem: Problem) -> Suite | str:
        """The problem's tests, or why they cannot be used."""
        digest = problem.reference.digest
        if digest not in self._suites:
            _make_room(self._suites, _SUITES)
            try:
                self._suites[digest] = read_suite(problem.reference.reveal().tests or "")
            except TestsError:
                self._suites[digest] = _BAD_TESTS
        return self._suites[digest]

    def _grade(self, wanted: dict[_Key, tuple[Suite, str]]) -> dict[_Key, _Outcome]:
        outcomes: dict[_Key, _Outcome] = {key: self._memo[key] for key in wanted if key in self._memo}
        new = {key: both for key, both in wanted.items() if key not in outcomes}
        self._ask_oracles({key[0]: suite for key, (suite, _) in new.items()})
        for heavy in (False, True):
            limits = _heavier(self._limits) if heavy else self._limits
            gradings: dict[_Key, Grading] = {}
            for key, (suite, program) in new.items():
                expected = self._expected.get(key[0], {})
                if isinstance(expected, str):
                    outcomes[key] = expected
                elif (key[0] in self._heavy) == heavy:
                    gradings[key] = grade(suite, program, expected, self._dense)
            for key, outcome in self._drive(gradings, limits).items():
                outcomes[key] = outcome
                self._remember(key, outcome)
        return outcomes

    def _ask_oracles(self, suites: dict[str, Suite]) -> None:
        """Have what is expected computed for suites that leave it to a trusted program; kept for all later batches.

        Tests whose own solution needs more than half of a limit are heavy: they and all candidates get more.
        """
        unasked = {tests: suite for tests, suite in suites.items() if tests not in self._expected}
        asked = {tests: programs for tests, suite in unasked.items() if (programs := oracle_programs(suite))}
        first = self._run_groups(asked, _halved(self._limits))
        heavy = {tests for tests, results in first.items() if any(one and one.status in _LIMITS for one in results)}
        again = self._run_groups({tests: asked[tests] for tests in heavy}, _heavier(self._limits))
        self._heavy.update(heavy)
        for tests, results in {**first, **again}.items():
            _make_room(self._expected, _SUITES)
            self._expected[tests] = _expected(suites[tests], results)

    def _drive(self, gradings: dict[_Key, Grading], limits: Limits) -> dict[_Key, _Outcome]:
        """Carry all gradings forward, wave by wave, each wave in one batch."""
        outcomes: dict[_Key, _Outcome] = {}
        waiting: dict[_Key, list[Program]] = {}
        for key, grading in gradings.items():
            _advance(key, grading, None, waiting, outcomes)
        while waiting:
            wave, waiting = waiting, {}
            for key, results in self._run_groups(wave, limits).items():
                given = [one for one in results if one is not None]
                if len(given) < len(results):
                    outcomes[key] = _SANDBOX
                else:
                    _advance(key, gradings[key], given, waiting, outcomes)
        return outcomes

    def _run_groups(self, groups: dict[_K, list[Program]], limits: Limits) -> dict[_K, list[Result | None]]:
        """Run several lists of programs in one batch."""
        results = iter(self._run([program for programs in groups.values() for program in programs], limits))
        return {key: [next(results) for _ in programs] for key, programs in groups.items()}

    def _run(self, programs: list[Program], limits: Limits) -> list[Result | None]:
        """The results; None for a program with which the sandbox failed."""
        if not programs:
            return []
        try:
            return list(self._sandbox.run_many(programs, limits))
        except SandboxError:
            return [self._run_one(program, limits) for program in programs]

    def _run_one(self, program: Program, limits: Limits) -> Result | None:
        try:
            return self._sandbox.run(program, limits)
        except SandboxError:
            return None

    def _remember(self, key: _Key, outcome: _Outcome) -> None:
        if isinstance(outcome, str):
            return
        if outcome.stopped and key not in self._timeouts:
            self._timeouts.add(key)
            return
        _make_room(self._memo, _MEMO)
        self._timeouts.discard(key)
        self._memo[key] = outcome

    def _verdict(self, key: _Key, outcomes: dict[_Key, _Outcome], wanted: dict[_Key, tuple[Suite, str]]) -> Verdict:
        outcome = outcomes[key]
        if isinstance(outcome, str):
            return self._unscored(outcome)
        fraction = outcome.passed / outcome.cases
        raw = f"{outcome.passed} of {outcome.cases}" if self._dense or fraction == 1.0 else "failed"
        note = _NOTE if any(isinstance(case, CodeCase) for case in wanted[key][0].cases) else ""
        return Verdict(
            float(fraction == 1.0),
            judge=self.name,
            raw=f"{raw} ({outcome.stopped})" if outcome.stopped else raw,
            note=note,
            share=fraction if self._dense else None,
        )

    def _unscored(self, reason: str) -> Verdict:
        return Verdict(None, unscored=reason, judge=self.name)


def _halved(limits: Limits) -> Limits:
    return limits._replace(wall=limits.wall / 2, cpu=limits.cpu / 2, output=limits.output // 2)


def _heavier(limits: Limits) -> Limits:
    return limits._replace(
        wall=limits.wall * 8, cpu=limits.cpu * 8, memory=limits.memory * 4, output=limits.output * 16
    )


def _expected(suite: Suite, results: list[Result | None]) -> Expected | str:
    """What the oracle gave, or why there is nothing."""
    given = [one for one in results if one is not None]
    if len(given) < len(results):
        return _SANDBOX
    try:
        return oracle_values(suite, given)
    except NotGradedError as error:
        return str(error)


def _advance(
    key: _Key,
    grading: Grading,
    results: list[Result] | None,
    waiting: dict[_Key, list[Program]],
    outcomes: dict[_Key, _Outcome],
) -> None:
    """One step of one grading: to its next programs, or to its end."""
    try:
        waiting[key] = next(grading) if results is None else grading.send(results)
    except StopIteration as stop:
        outcomes[key] = stop.value
    except NotGradedError as error:
        outcomes[key] = str(error)


def _make_room(memo: dict[_K, _V], size: int) -> None:
    """Drop the oldest entry of a memo that is full."""
    if len(memo) >= size:
        del memo[next(iter(memo))]
