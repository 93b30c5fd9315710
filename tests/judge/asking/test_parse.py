"""Verdicts in replies: strictly read, or unscored with a reason."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exprl.judge.asking.parse import Grade, parse_reply, parse_scores, scores_format, verdict_format


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
        ("[THINK]Score: 5[/THINK]\nScore: 2", 2),
        ("<|channel|>analysis<|message|>Score: 5<|end|><|channel|>final<|message|>Score: 2", 2),
        ("◁think▷Score: 5◁/think▷Score: 2", 2),
        ("Score: 4\r\n", 4),
        ("Score: <4>", 4),
        ('```json\n{"reason": "as {x} says Score: 5", "score": 2}\n```', 2),
    ],
)
def test_the_last_verdict_is_the_grade(reply: str, likert: int) -> None:
    grade = parse_reply(reply)
    assert grade[:2] == (likert, None)
    assert reply[grade.at] == str(likert)


@pytest.mark.parametrize(
    "verdict",
    ["10", "0", "6", "-1", "4.5", "4.0", "3/5", "4 or 5", "five", "", "４", "4 (mostly)", "<number>", ">4", "²"],
)
def test_what_is_not_a_whole_number_from_1_to_5_is_no_grade(verdict: str) -> None:
    assert parse_reply(f"Score: 3\nScore: {verdict}") == Grade(None, "the verdict is not a whole number from 1 to 5")


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
        ('{"\\u0073core": 5}', "no verdict in the reply"),
        ("| Score: 5", "no verdict in the reply"),
        ("[THINK]Score: 5", "the reply ends inside its reasoning"),
    ],
)
def test_a_reply_without_a_verdict_says_so(reply: str, reason: str) -> None:
    assert parse_reply(reply) == Grade(None, reason)


def test_the_last_line_of_a_reply_cut_short_is_not_read() -> None:
    assert parse_reply("Score: 1", cut_short=True) == Grade(None, "no verdict before the token limit")
    assert parse_reply("Score: 4\nBecause", cut_short=True).likert == 4


@settings(deadline=None)
@given(st.text(alphabet='Score:=12345 \n*{}"<think>/.', max_size=300))
def test_no_reply_raises_and_no_grade_is_out_of_range(reply: str) -> None:
    grade = parse_reply(reply)
    assert (grade.likert is None) != (grade.reason is None)
    assert grade.likert in (None, 1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    "reply",
    ["{" * 10**6, "Score: " + " " * 10**6 + "x", '{"score"' * 10**5, "Score:\n" * 10**5, '{"score": 9}' * 10**5],
)
def test_a_megabyte_is_read_in_a_second(reply: str) -> None:
    start = time.process_time()
    assert parse_reply(reply).likert is None
    assert parse_scores(reply, 2).likerts is None
    assert time.process_time() - start < 2


@pytest.mark.parametrize(("reply", "likert"), [("Score: 3", 3), ("Score: 4", None), ('{"score": 4}', None)])
def test_the_range_is_the_rubrics_scale(reply: str, likert: int | None) -> None:
    grade = parse_reply(reply, scale=3)
    assert grade.likert == likert
    assert likert or grade.reason == "the verdict is not a whole number from 1 to 3"


class TestStructuredReplies:
    def test_braces_and_verdict_lines_inside_the_reason_are_not_the_verdict(self) -> None:
        reply = json.dumps({"reason": "it says \\boxed{7}\nScore: 5", "score": 2})
        assert parse_reply(reply).likert == 2

    @pytest.mark.parametrize("reply", ["[5]", "5", '"5"', "[" * 100_000, '{"score": ' * 5_000])
    def test_json_that_is_no_object_is_no_verdict(self, reply: str) -> None:
        assert parse_reply(reply).likert is None


class TestListsOfScores:
    @pytest.mark.parametrize(
        "reply",
        [
            '{"reason": "r {x} Score: 5", "scores": [1, 2, 4]}',
            '```json\n{"scores": [1, 2, 4]}\n```',
            'First {"scores": [5, 5, 5]}, on reflection {"scores": [1, 2, 4]}.',
            '<think>{"scores": [5, 5, 5]}</think>{"scores": [1, 2, 4]}',
        ],
    )
    def test_the_last_list_grades_all_parts(self, reply: str) -> None:
        assert parse_scores(reply, 3) == ((1, 2, 4), None)

    @pytest.mark.parametrize(
        ("reply", "reason"),
        [
            ('{"scores": [1, 2]}', "the reply has 2 scores for 3 prefixes"),
            ('{"scores": [1, 2, 3, 4]}', "the reply has 4 scores for 3 prefixes"),
            ('{"scores": [1, 2, 6]}', "a score in the reply is not a whole number from 1 to 5"),
            ('{"scores": [1, 2.0, 3]}', "a score in the reply is not a whole number from 1 to 5"),
            ('{"scores": [1, "2", true]}', "a score in the reply is not a whole number from 1 to 5"),
            ('{"scores": 3}', "no list of scores in the reply"),
            ("Score: 3", "no list of scores in the reply"),
            ("<think>", "the reply ends inside its reasoning"),
        ],
    )
    def test_anything_else_leaves_all_of_them_unscored(self, reply: str, reason: str) -> None:
        assert parse_scores(reply, 3) == (None, reason)

    def test_a_reply_cut_short_is_not_read(self) -> None:
        assert parse_scores('{"scores": [1]}\n', 1, cut_short=True).reason == "no verdict before the token limit"


def test_the_server_is_told_to_put_the_reason_before_the_grades_and_how_many_there_are() -> None:
    one, many = json.dumps(verdict_format(3)), json.dumps(scores_format(4, 5))
    assert one.index('"reason"') < one.index('"score"')
    assert '"enum": [1, 2, 3]' in one
    assert '"minItems": 4, "maxItems": 4' in many
