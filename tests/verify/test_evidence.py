"""The environment's word: the strongest kind decides, and nothing weaker is asked when it fails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.verify.evidence import Evidence, decide, exit_code, log_shows, passed_tests, state_is

CANARY = "CANARY-7f3a"


def test_tests_outrank_state_and_state_outranks_exit_codes_and_logs() -> None:
    held, broken = state_is({"paid": True}, {"paid": True}), passed_tests(3, 4)
    word = decide([log_shows("done", "done"), exit_code(0), held, broken])
    assert word is not None
    assert (word.score, word.judge, word.share, word.note) == (
        0.0, "tests", 0.75, "exit, log, state would say otherwise",
    )  # fmt: skip
    assert decide([exit_code(1), held]).score == 1.0  # type: ignore[union-attr]
    assert decide([log_shows("done", "done"), exit_code(1)]).score == 0.0  # type: ignore[union-attr]


def test_broken_evidence_is_unscored_and_never_handed_down_to_a_weaker_kind() -> None:
    word = decide([passed_tests(0, 0), exit_code(0)])
    assert word is not None
    assert (word.score, word.unscored) == (None, "tests: no tests were run")


def test_one_failure_is_a_failure_even_beside_evidence_that_could_not_be_told() -> None:
    assert decide([exit_code(None), exit_code(1)]).score == 0.0  # type: ignore[union-attr]


def test_no_evidence_says_nothing() -> None:
    assert decide([]) is None


@pytest.mark.parametrize(
    ("actual", "wanted", "equal"),
    [
        ({"a": [1, 2.0]}, {"a": [1.0, 2]}, True),
        (True, 1, False),
        ({"a": True}, {"a": 1}, False),
        ([1], [1, 2], False),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        (None, None, True),
        ("1", 1, False),
    ],
)
def test_states_are_compared_as_plain_values(actual: object, wanted: object, equal: bool) -> None:
    assert state_is(actual, wanted).held is equal


def test_a_log_may_have_to_lack_a_line() -> None:
    assert log_shows("all well", "error", absent=True).held is True
    assert log_shows("error 7", "error", absent=True).held is False
    assert log_shows(None, "error", absent=True).held is None


def test_what_was_compared_is_not_kept() -> None:
    pieces = [state_is({"x": CANARY}, {"x": CANARY}), log_shows(CANARY, CANARY)]
    assert CANARY not in repr(pieces) + repr(decide(pieces))


def test_evidence_that_cannot_be_is_refused() -> None:
    for wrong in (lambda: passed_tests(5, 4), lambda: log_shows("x", ""), lambda: Evidence("exit", None)):
        with pytest.raises(ValueError, match=r"cannot|every log|says why"):
            wrong()


_PIECE = st.builds(
    Evidence, st.sampled_from(["tests", "state", "exit", "log"]), st.sampled_from([True, False, None]), st.just("why")
)


@given(st.lists(_PIECE, min_size=1, max_size=5))
def test_a_pass_needs_all_of_the_strongest_kind(pieces: list[Evidence]) -> None:
    word = decide(pieces)
    assert word is not None
    strongest = [piece.held for piece in pieces if piece.kind == word.judge]
    assert (word.score == 1.0) == all(held is True for held in strongest)
    assert (word.score == 0.0) == (False in strongest)
