"""Verdicts in replies: strictly read, or unscored with a reason."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exprl.judge.parse import parse_reply


@pytest.mark.parametrize(
    ("reply", "likert"),
    [
        ("Score: 4", 4),
        ("Fine.\n\n**Score:** 3\n", 3),
        ("**Score: 5**", 5),
        ("score = 2.", 2),
        ("Score: 1\nOn reflection:\nScore: 4", 4),
        ('{"why": "gap", "score": 3}', 3),
        ('Score: 1\n```json\n{"score": 5}\n```', 5),
        ('{"score": 5}\nScore: 2', 2),
        ("<think>Score: 5</think>\nScore: 2", 2),
        ("it seems Score: 5</think>\nScore: 2", 2),
        ("Score: 3\n<think>Score: 5", 3),
    ],
)
def test_the_last_verdict_is_the_grade(reply: str, likert: int) -> None:
    assert parse_reply(reply) == (likert, None)


@pytest.mark.parametrize(
    "verdict", ["10", "0", "6", "-1", "4.5", "4.0", "3/5", "4 or 5", "five", "", "４", "4 (mostly)", "<number>"]
)
def test_what_is_not_a_whole_number_from_1_to_5_is_no_grade(verdict: str) -> None:
    assert parse_reply(f"Score: 3\nScore: {verdict}") == (None, "the verdict is not a whole number from 1 to 5")


@pytest.mark.parametrize("value", ["4.0", '"4"', "true", "null", "[4]", "10", "4.5"])
def test_json_scores_are_whole_numbers_too(value: str) -> None:
    assert parse_reply(f'{{"score": {value}}}').likert is None


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "no verdict in the reply"),
        ("I would give it a 4.", "no verdict in the reply"),
        ("The score is 4", "no verdict in the reply"),
        ("<think>Score: 5", "the reply ends inside its reasoning"),
        ("<think>Score: 5</think>", "no verdict in the reply"),
        ("{'score': 5}", "no verdict in the reply"),
    ],
)
def test_a_reply_without_a_verdict_says_so(reply: str, reason: str) -> None:
    assert parse_reply(reply) == (None, reason)


def test_the_last_line_of_a_reply_cut_short_is_not_read() -> None:
    assert parse_reply("Score: 1", cut_short=True) == (None, "no verdict before the token limit")
    assert parse_reply("Score: 4\nBecause", cut_short=True).likert == 4


@settings(deadline=None)
@given(st.text(alphabet='Score:=12345 \n*{}"<think>/.', max_size=300))
def test_no_reply_raises_and_no_grade_is_out_of_range(reply: str) -> None:
    grade = parse_reply(reply)
    assert (grade.likert is None) != (grade.reason is None)
    assert grade.likert in (None, 1, 2, 3, 4, 5)


@pytest.mark.parametrize("reply", ["{" * 10**6, "Score: " + " " * 10**6 + "x", '{"score"' * 10**5, "Score:\n" * 10**5])
def test_a_megabyte_is_read_in_a_second(reply: str) -> None:
    assert parse_reply(reply).likert is None


class TestStructuredReplies:
    def test_braces_and_verdict_lines_inside_the_reason_are_not_the_verdict(self) -> None:
        reply = json.dumps({"reason": "it says \\boxed{7}\nScore: 5", "score": 2})
        assert parse_reply(reply).likert == 2

    @pytest.mark.parametrize("reply", ["[5]", "5", '"5"', "[" * 100_000, '{"score": ' * 5_000])
    def test_json_that_is_no_object_is_no_verdict(self, reply: str) -> None:
        assert parse_reply(reply).likert is None
