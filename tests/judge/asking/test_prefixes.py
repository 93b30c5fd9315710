"""Three ways to score the prefixes of a rollout, and that their costs add up."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.judge.asking.prefixes import AskPrefix, bisect, each, once
from exprl.judge.asking.rubric import load_rubric
from exprl.types import Usage, Verdict

PREFIX = load_rubric("prefix")
CALL = Usage(calls=1, prompt_tokens=10)
BETWEEN = "between two prefixes of equal score"
Grades = list[int | None]


def asking(grades: Grades) -> tuple[AskPrefix, list[int]]:
    asked: list[int] = []

    async def ask(place: int) -> Verdict:
        asked.append(place)
        await asyncio.sleep(0)
        likert = grades[place]
        score = None if likert is None else (likert - 1) / 4
        return Verdict(score, unscored=None if likert else "down", likert=likert, judge="j", usage=CALL)

    return ask, asked


def likerts(verdicts: tuple[Verdict, ...]) -> Grades:
    return [verdict.likert for verdict in verdicts]


def cost(verdicts: tuple[Verdict, ...]) -> Usage:
    return sum((verdict.usage for verdict in verdicts), Usage())


class TestEach:
    async def test_every_prefix_is_one_call_and_the_longest_goes_first(self) -> None:
        ask, asked = asking([1, 2, None, 4])
        got = await each(4, ask)
        assert likerts(got) == [1, 2, None, 4]
        assert asked == [3, 0, 1, 2]
        assert cost(got).calls == 4

    async def test_nothing_to_score_is_no_call(self) -> None:
        ask, asked = asking([])
        assert (await each(0, ask), await bisect(0, ask), asked) == ((), (), [])


class TestBisect:
    @pytest.mark.parametrize(
        ("grades", "asked"),
        [
            ([3], [0]),
            ([1, 5], [1, 0]),
            ([2] * 8, [7, 0]),
            ([1, 1, 1, 1, 1, 1, 1, 3], [7, 0, 3, 5, 6]),
            ([1, 2, 3, 4, 5], [4, 0, 2, 1, 3]),
        ],
    )
    async def test_only_ranges_whose_ends_differ_are_split(self, grades: Grades, asked: list[int]) -> None:
        ask, places = asking(grades)
        got = await bisect(len(grades), ask)
        assert likerts(got) == grades
        assert places == asked
        assert cost(got) == Usage(calls=len(asked), prompt_tokens=10 * len(asked))
        assert all(got[n].note == BETWEEN and got[n].usage == Usage() for n in range(len(grades)) if n not in asked)

    async def test_an_unscored_end_proves_nothing_about_what_lies_between(self) -> None:
        ask, asked = asking([None, 2, 3, None])
        assert likerts(await bisect(4, ask)) == [None, 2, 3, None]
        assert sorted(asked) == [0, 1, 2, 3]

    @given(st.lists(st.integers(1, 5), min_size=1, max_size=20))
    def test_scores_that_never_fall_are_found_exactly(self, grades: list[int]) -> None:
        ask, asked = asking(sorted(grades))
        assert likerts(asyncio.run(bisect(len(grades), ask))) == sorted(grades)
        assert len(asked) == len(set(asked)) <= len(grades)


class TestOnce:
    def whole(self, scores: object, **changes: object) -> Verdict:
        return Verdict(0.5, likert=3, raw=json.dumps({"reason": "r", "scores": scores}), judge="j", usage=CALL)

    def test_one_call_grades_all_and_its_cost_stands_with_the_last(self) -> None:
        got = once(self.whole([1, 2, 3]), 3, PREFIX)
        assert likerts(got) == [1, 2, 3]
        assert [verdict.score for verdict in got] == [0.0, 0.25, 0.5]
        assert [verdict.usage for verdict in got] == [Usage(), Usage(), CALL]
        assert got[0].note == "one call graded all 3 prefixes; its cost stands with the last"

    def test_a_call_that_failed_leaves_every_prefix_unscored_at_the_cost_of_one(self) -> None:
        got = once(Verdict(None, unscored="judge answered HTTP 503", usage=CALL), 3, PREFIX)
        assert [verdict.unscored for verdict in got] == ["judge answered HTTP 503"] * 3
        assert cost(got) == CALL
