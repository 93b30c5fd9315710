"""Grade one candidate: which programs to run, and what their results mean.

A grading is a generator. It yields lists of programs and is sent their results, so that the gradings of a whole batch go
forward together, each wave through one `run_many`. It returns the cases that passed and the cases there are.

    calls    sixteen a program, each program with limits of its own; what each call gives is compared here
    stdin    a program a case
    code     rounds of two programs: the tests' own jail asks for calls, the candidate's jail answers them; the asserts run
             where the candidate never was (`exprl.verify.code.harness`), and what counts is the word of that jail

Without `every`, grading ends at the first group that does not pass in full: cheap cases come first.

Whatever a candidate does in its jail (an exception, a limit, a signal) fails its cases. What a test program does in its own
jail, where no candidate is, is not the candidate's fault: `NotGradedError`, which becomes unscored.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple, TypeAlias

from exprl.verify.code.compare import compare, same_output
from exprl.verify.code.harness import Answer, Asked, calls_program, judging_program, replay_program
from exprl.verify.code.literal import NotPlainError, read_literal
from exprl.verify.code.tests import CallCase, CodeCase, StdinCase, Suite
from exprl.verify.sandbox.program import Plain, Program, Result, Returned

__all__ = ["Expected", "Grade", "Grading", "NotGradedError", "grade", "oracle_programs", "oracle_values"]

_ROUNDS = 16
_CHUNK = 16

Grading: TypeAlias = Generator[list[Program], list[Result], "Grade"]
_Marks: TypeAlias = Generator[list[Program], list[Result], list[bool]]
Expected: TypeAlias = "dict[int, Plain]"


class NotGradedError(Exception):
    """The tests could not be brought to a verdict, for no fault of the candidate's."""


class Grade(NamedTuple):
    """Cases passed of all cases; `stopped` names the limit that ended a run (timeout, memory, ...), or is empty."""

    passed: int
    cases: int
    stopped: str


def oracle_programs(suite: Suite) -> list[Program]:
    """The programs that say what is expected where cases do not; none where each case says it."""
    calls = [case.call for case in suite.cases if isinstance(case, CallCase) and case.expect is None]
    return _call_programs(suite, suite.oracle or "", calls)


def oracle_values(suite: Suite, results: Sequence[Result]) -> Expected:
    """What the oracle gave, by the place of the case.

    Raises:
        NotGradedError: the oracle failed on one of its calls.
    """
    places = [n for n, case in enumerate(suite.cases) if isinstance(case, CallCase) and case.expect is None]
    returned = [one for result in results for one in result.returned]
    if any(one.error is not None for one in returned) or len(returned) != len(places):
        raise NotGradedError("the stored solution failed on its own tests")
    return {place: one.value for place, one in zip(places, returned, strict=True)}


def grade(suite: Suite, candidate: str, expected: Expected, every: bool) -> Grading:
    """Grade a candidate program.

    Args:
        suite: the tests.
        candidate: untrusted source.
        expected: what the oracle gave, see `oracle_values`.
        every: run every case, for the fraction; else stop where it is clear that not all pass.
    """
    source = _whole(suite, candidate)
    passed, stopped = 0, ""
    for group in (*_calls(suite, source, expected, every), *_stdin(suite, source, every), *_code(suite, source)):
        try:
            marks = yield from group
        except _StoppedError as error:
            marks, stopped = error.marks, error.status
        passed += sum(marks)
        if not every and not all(marks):
            break
    return Grade(passed, len(suite.cases), stopped)


class _StoppedError(Exception):
    """A limit ended a run; `marks` are the cases of its group all the same, some of which may have passed before."""

    def __init__(self, status: str, marks: list[bool]) -> None:
        super().__init__(status)
        self.status, self.marks = status, marks


def _whole(suite: Suite, candidate: str) -> str:
    body_alone = candidate[:1] in (" ", "\t") or candidate.lstrip("\n")[:1] in (" ", "\t")
    whole = suite.prefix + candidate if body_alone and suite.prefix else candidate
    return whole.encode("utf-8", "replace").decode()


def _calls(suite: Suite, source: str, expected: Expected, every: bool) -> list[_Marks]:
    cases = [(n, case) for n, case in enumerate(suite.cases) if isinstance(case, CallCase)]
    groups = [cases] if every else [cases[:_CHUNK], cases[_CHUNK:]]  # most wrong programs fail early
    return [_called(suite, source, expected, group) for group in groups if group]


def _called(suite: Suite, source: str, expected: Expected, cases: Sequence[tuple[int, CallCase]]) -> _Marks:
    results = yield _call_programs(suite, source, [case.call for _, case in cases])
    returned = [one for result in results for one in result.returned]
    marks = [
        one.error is None and _meets(case, one.value, expected.get(place))
        for (place, case), one in zip(cases, returned, strict=True)
    ]
    _note_limits(results, marks)
    return marks


def _call_programs(suite: Suite, source: str, calls: Sequence[str]) -> list[Program]:
    return [
        calls_program(suite.setup, source, suite.entry or "", calls[start : start + _CHUNK])
        for start in range(0, len(calls), _CHUNK)
    ]


def _note_limits(results: Sequence[Result], marks: list[bool]) -> None:
    stopped = [result.status for result in results if result.status not in ("ok", "error")]
    if stopped:
        raise _StoppedError(stopped[0], marks)


def _meets(case: CallCase, value: Plain, from_oracle: Plain) -> bool:
    try:
        wanted = from_oracle if case.expect is None else read_literal(case.expect)
    except NotPlainError:
        raise NotGradedError("an expected value cannot be read") from None
    return compare(case.how, value, wanted, case.atol, case.rtol)


def _stdin(suite: Suite, source: str, every: bool) -> list[_Marks]:
    cases = [case for case in suite.cases if isinstance(case, StdinCase)]
    groups = [cases] if every else [cases[:1], cases[1:]]  # most wrong programs fail the first
    return [_printed(source, group) for group in groups if group]


def _printed(source: str, cases: Sequence[StdinCase]) -> _Marks:
    results = yield [Program(source, stdin=case.stdin) for case in cases]
    marks = [
        result.status == "ok" and same_output(result.stdout, case.stdout)
        for case, result in zip(cases, results, strict=True)
    ]
    _note_limits(results, marks)
    return marks


def _code(suite: Suite, source: str) -> list[_Marks]:
    return [_judged(suite, source, case) for case in suite.cases if isinstance(case, CodeCase)]


def _judged(suite: Suite, source: str, case: CodeCase) -> _Marks:
    """Ask and answer until the test has all that it asks for."""
    answers: list[Answer] = []
    for _ in range(_ROUNDS):
        [judging] = yield [judging_program(suite.setup, case.code, answers)]
        try:
            word, asked = _word(judging)
        except NotGradedError:
            if answers:  # they ran before the candidate's answers came: it must not choose to be unscored
                return [False]
            raise
        if word != "unknown":
            return [word == "passed"]
        [replay] = yield [replay_program(suite.setup, source, suite.entry or "", asked)]
        if replay.status not in ("ok", "error"):
            raise _StoppedError(replay.status, [False])
        answers.extend(_answer(one, given) for one, given in zip(asked, replay.returned, strict=True))
    raise NotGradedError("the tests ask for calls one after another, more often than is allowed")


def _word(judging: Result) -> tuple[Plain, list[Asked]]:
    """What the tests' own jail says: its verdict, and the calls that it needs answered."""
    word, explored = judging.returned
    if word.error is not None or word.value not in ("passed", "failed", "unknown"):
        raise NotGradedError("the tests cannot be run")
    asked = explored.value if explored.error is None else None
    if word.value == "unknown" and not (isinstance(asked, list) and asked):
        raise NotGradedError("the tests ask for a call that cannot be made with plain data")
    return word.value, [Asked(*one) for one in asked if isinstance(one, list)] if isinstance(asked, list) else []


def _answer(asked: Asked, given: Returned) -> Answer:
    if given.error is not None or not isinstance(given.value, list) or len(given.value) != 2:
        return Answer(asked, None, None, given.error or "TypeError")
    return Answer(asked, given.value[0], given.value[1], None)
