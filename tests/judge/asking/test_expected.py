"""Finer than one whole number: the expected grade of a reply, and the mean of several."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.judge.asking.expected import expected_grade, mean_verdict
from exprl.judge.asking.parse import parse_reply
from exprl.judge.http.wire import TokenChoice
from exprl.types import Usage, Verdict

LOG = {percent: math.log(percent / 100) for percent in (10, 15, 20, 25, 30, 50, 60, 75)}


def tokens(*pieces: str, at: int, alternatives: dict[str, float]) -> list[TokenChoice]:
    """Tokens without alternatives, but for one."""
    return [TokenChoice(piece, tuple(alternatives.items()) if n == at else ()) for n, piece in enumerate(pieces)]


def expected(reply: str, choices: list[TokenChoice], scale: int = 5) -> float | None:
    return expected_grade(reply, parse_reply(reply, scale=scale).at, choices, scale)


class TestExpected:
    @pytest.mark.parametrize(
        ("pieces", "at"),
        [
            (["Fine", ".\n", "Score", ":", " 4"], 4),
            (["Score", ": ", "4", "\n"], 2),
            (["**", "Score", ":**", " ", "4"], 4),
            (['{"', "reason", '": "', "x", '", "', "score", '": ', "4", "}"], 7),
            (['{"score":', " 4}"], 1),
            (["Score", ":", "▁4"], 2),
            (["Score: 1\n", "Score", ": ", "4"], 3),
            (["<think>", "Score: 2", "</think>", "Score: ", "4"], 4),
        ],
    )
    def test_the_mean_is_over_the_grade_token_of_the_last_verdict(self, pieces: list[str], at: int) -> None:
        reply = "".join(pieces).replace("▁", " ")
        choices = tokens(*pieces, at=at, alternatives={pieces[at]: LOG[50], "2": LOG[25]})
        if "▁" in "".join(pieces):
            assert expected(reply, choices) is None  # the tokens are not those of the reply
        else:
            assert expected(reply, choices) == pytest.approx((4 * 0.5 + 2 * 0.25) / 0.75)

    def test_one_grade_spelt_twice_counts_with_both_and_what_is_no_grade_does_not(self) -> None:
        alternatives = {" 4": LOG[30], "4": LOG[20], " 5": LOG[10], " 10": LOG[15], " four": LOG[10], " 6": LOG[15]}
        choices = tokens("Score", ":", " 4", at=2, alternatives=alternatives)
        assert expected("Score: 4", choices) == pytest.approx((4 * 0.5 + 5 * 0.1) / 0.6)

    def test_grades_beyond_the_scale_are_no_grades(self) -> None:
        choices = tokens("Score", ":", " 2", at=2, alternatives={" 2": LOG[50], " 5": LOG[50]})
        assert expected("Score: 2", choices, scale=3) == 2.0

    def test_a_server_that_strips_the_reply_or_takes_the_reasoning_off_is_understood(self) -> None:
        choices = tokens("hm Score: 1 hm", "</think>", "\n\n", "Score", ": ", "4", at=5, alternatives={"4": 0.0})
        assert expected("Score: 4", choices) == 4.0
        assert expected("\nScore: 4 ", choices) == 4.0

    @pytest.mark.parametrize(
        "choices",
        [
            [],
            tokens("Score", ": ", "4", at=2, alternatives={}),
            tokens("Score", ": ", "5", at=2, alternatives={"5": 0.0}),
            tokens("Score: 4", at=0, alternatives={"Score: 4": 0.0}),
            tokens("Score", ": ", "4", at=2, alternatives={"4": -math.inf, "5": math.nan, "3": 700.0}),
            tokens("Score", ": ", "4", at=2, alternatives={"four": 0.0}),
        ],
    )
    def test_what_the_tokens_do_not_say_is_not_guessed(self, choices: list[TokenChoice]) -> None:
        assert expected("Score: 4", choices) is None

    @given(st.dictionaries(st.sampled_from([" 1", "1", "2", " 3", "4", "5"]), st.floats(-20, 0), min_size=1))
    def test_the_mean_lies_between_the_grades_it_is_made_of(self, alternatives: dict[str, float]) -> None:
        mean = expected("Score: 4", tokens("Score", ": ", "4", at=2, alternatives=alternatives))
        grades = [int(token) for token in alternatives]
        assert mean is not None
        assert min(grades) - 1e-9 <= mean <= max(grades) + 1e-9


class TestMean:
    def test_unscored_samples_are_left_out_and_the_note_says_how_many_counted(self) -> None:
        samples = [
            Verdict(1.0, likert=5, raw="a", usage=Usage(1, 10), judge="j", prompt_hash="h"),
            Verdict(None, unscored="no verdict in the reply", usage=Usage(1, 10)),
            Verdict(0.5, likert=3, raw="b", usage=Usage(1, 10), note="cut"),
        ]
        mean = mean_verdict(samples)
        assert (mean.score, mean.likert, mean.note) == (0.75, None, "mean of 2 of 3 samples; cut")
        assert (mean.usage, mean.raw, mean.judge, mean.prompt_hash) == (Usage(3, 30), "a\n\nb", "j", "h")

    def test_all_unscored_is_unscored(self) -> None:
        mean = mean_verdict([Verdict(None, unscored="down", usage=Usage(2)), Verdict(None, unscored="late")])
        assert (mean.score, mean.unscored, mean.usage) == (None, "down", Usage(2))

    def test_equal_grades_stay_a_grade_and_one_sample_stays_as_it_is(self) -> None:
        one = Verdict(0.5, likert=3)
        assert mean_verdict([one, one]).likert == 3
        assert mean_verdict([one]) is one
