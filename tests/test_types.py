"""A reference is privileged: whatever is done to it, by whatever road, its content does not come out."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import logging
import pickle
import pprint
import traceback

import pytest

from exprl.types import Domain, Privileged, Problem, Question, Reference, Rollout, Submission, Usage, Verdict

CANARY = "CANARY-51c2"
REFERENCE = Reference(solution=f"3+4=7 {CANARY}", answer=f"7 {CANARY}", tests=f"assert f() == 7 {CANARY}")
PROBLEM = Problem("p", "3 + 4?", REFERENCE)
REDACTED = "Reference(<redacted>)"


def test_a_reference_is_redacted_wherever_it_is_shown() -> None:
    assert repr(REFERENCE) == str(REFERENCE) == f"{REFERENCE}" == f"{REFERENCE!r}" == f"{REFERENCE:>80}" == REDACTED
    assert "{}".format(REFERENCE) == "%s" % REFERENCE == REDACTED  # noqa: UP031, UP032
    shown = [repr(PROBLEM), str([PROBLEM]), pprint.pformat({"x": PROBLEM}), ascii(PROBLEM), f"{PROBLEM=}"]
    assert all(CANARY not in text and REDACTED in text for text in shown)


def test_an_opened_reference_is_redacted_as_well_but_its_parts_can_be_read() -> None:
    opened = REFERENCE.reveal()
    assert opened == (f"3+4=7 {CANARY}", f"7 {CANARY}", f"assert f() == 7 {CANARY}")
    assert CANARY not in f"{opened} {opened!r} {[opened]}"
    assert Reference(None, None).reveal() == Privileged(None, None)


def test_json_refuses_a_reference_without_showing_it() -> None:
    for default in (None, vars):
        with pytest.raises(TypeError) as caught:
            json.dumps({"problem": REFERENCE}, default=default)
        assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert json.dumps(REFERENCE, default=str) == f'"{REDACTED}"'


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_carries_a_redacted_stand_in(protocol: int) -> None:
    data = pickle.dumps(PROBLEM, protocol)
    back = pickle.loads(data)
    assert CANARY.encode() not in data
    assert back.reference.reveal() == Privileged("<redacted>", None)
    assert back.reference != REFERENCE


def test_a_copy_is_the_same_reference() -> None:
    assert copy.copy(REFERENCE) is REFERENCE
    assert copy.deepcopy(PROBLEM).reference is REFERENCE
    assert dataclasses.replace(PROBLEM, id="q").reference is REFERENCE


def test_what_reads_fields_off_objects_finds_no_content() -> None:
    assert CANARY not in str(dataclasses.asdict(PROBLEM))
    assert CANARY not in str(dataclasses.astuple(PROBLEM))
    assert CANARY not in str(REFERENCE.__getstate__())
    with pytest.raises(TypeError):
        vars(REFERENCE)
    for name in ("solution", "answer", "tests", "_solution", "_tests", "text"):
        with pytest.raises(AttributeError) as caught:
            getattr(REFERENCE, name)
        assert CANARY not in str(caught.value)


def test_a_traceback_that_shows_the_variables_of_its_frames_shows_no_content() -> None:
    def fail(problem: Problem) -> None:
        reference = problem.reference
        opened = reference.reveal()
        raise RuntimeError(f"cannot use {reference} ({opened})")

    try:
        fail(PROBLEM)
    except RuntimeError as error:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "reference = Reference(<redacted>)" in text
    assert CANARY not in text


def test_a_log_line_shows_no_content(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("exprl").warning("problem %s, reference %r", PROBLEM, REFERENCE)
    assert CANARY not in caplog.text
    assert REDACTED in caplog.text


def test_a_reference_is_frozen_and_compared_by_its_digest() -> None:
    same = Reference(f"3+4=7 {CANARY}", f"7 {CANARY}", f"assert f() == 7 {CANARY}")
    assert same == REFERENCE
    assert hash(same) == hash(REFERENCE)
    assert same.digest == REFERENCE.digest
    others = [
        Reference("a", "b"),
        Reference("ab", ""),
        Reference("ab", None),
        Reference(None, "ab"),
        Reference("a\0b", ""),
        Reference("a", "b", ""),
        Reference("a", "b", "c"),
        Reference("a", "b\0c"),
        Reference("a", None, "b"),
    ]
    assert len({reference.digest for reference in others}) == len(others)
    assert REFERENCE != CANARY
    with pytest.raises(AttributeError, match="frozen"):
        REFERENCE.tests = CANARY  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="frozen") as caught:
        REFERENCE.solution = CANARY  # type: ignore[attr-defined]
    assert CANARY not in str(caught.value)


def test_a_reference_says_what_it_has_without_showing_it() -> None:
    assert (REFERENCE.has_solution, REFERENCE.has_answer, REFERENCE.has_tests) == (True, True, True)
    assert (Reference("7", "7").has_tests, Reference(None, None, "7").has_tests) == (False, True)
    assert (Reference(None, "7").has_solution, Reference("7", None).has_answer) == (False, False)


def test_a_reference_without_tests_keeps_the_digest_that_stored_verdicts_know() -> None:
    known = hashlib.sha256(b"9:3 + 4 = 7\x007").hexdigest()
    assert Reference("3 + 4 = 7", "7").digest == known
    assert Reference("3 + 4 = 7", "7", "{}").digest != known


def test_half_a_surrogate_pair_in_a_reference_has_a_digest() -> None:
    assert len(Reference("\ud800", None).digest) == 64


def test_what_the_policy_sees_of_a_problem_has_no_field_for_a_reference() -> None:
    assert [field.name for field in dataclasses.fields(Question)] == ["id", "text", "domain"]
    domain: Domain = "science"
    question = Problem("p", "x?", REFERENCE, domain, {"level": 3}).question
    assert question == Question("p", "x?", "science")
    assert not hasattr(question, "__dict__")
    assert not hasattr(question, "reference")


def test_values_are_frozen() -> None:
    for value in (PROBLEM, PROBLEM.question, Rollout("r", "p", "", 0, False), Usage(), Verdict(1.0)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, dataclasses.fields(value)[0].name, "other")


def test_a_verdict_is_scored_or_unscored_with_a_reason_and_never_both() -> None:
    assert Verdict(0.0).unscored is None
    assert Verdict(None, unscored="timeout").score is None
    with pytest.raises(ValueError, match="either scored or unscored"):
        Verdict(None)
    with pytest.raises(ValueError, match="either scored or unscored"):
        Verdict(0.5, unscored="timeout")


@pytest.mark.parametrize("score", [-0.25, 1.25, float("nan"), float("inf"), 5])
def test_a_score_lies_between_0_and_1(score: float) -> None:
    with pytest.raises(ValueError, match=r"a score lies in \[0, 1\], got"):
        Verdict(score)


def test_usage_adds_up() -> None:
    assert Usage(1, 100, 7, 64) + Usage(2, 50, 3) == Usage(3, 150, 10, 64)


def test_a_submission_shows_no_content() -> None:
    assert CANARY not in repr(Submission(PROBLEM, "r", "3+4=7", (5,), "prefix"))
