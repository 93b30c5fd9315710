"""A suite has many different cases, is the same for the same seed, and holds nothing that is right."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exprl.errors import DataError
from exprl.judge.attacks import CLASSES, GROWTH, build_suite
from exprl.types import Problem, Reference
from exprl.verify.answer import extract_answer, final_answers, matches


def shop(number: int) -> Problem:
    text = f"A shop sells {number} pens a day at ${number + 4} each, 3 days a week. What does it take in a week?"
    pens, price = 3 * number, number + 4
    solution = f"It sells 3*{number}={pens} pens.\nIt takes {pens}*{price}={pens * price} dollars."
    return Problem(f"shop-{number}", text, Reference(solution, str(pens * price)))


SHOPS = [shop(number) for number in (5, 7, 11, 16, 23)]


def finals(problem: Problem) -> str:
    return problem.reference.reveal().answer or ""


def test_a_handful_of_problems_gives_well_over_150_different_cases_of_every_class() -> None:
    suite = build_suite(SHOPS)
    assert len({case.text for case in suite.cases}) > 300
    assert len({case.id for case in suite.cases}) == len(suite.cases)
    assert {case.kind for case in suite.cases} == set(CLASSES)
    one = build_suite(SHOPS[:1])
    assert len({case.text for case in one.cases}) > 150, "even for one problem"
    assert {case.kind for case in one.cases} == {*CLASSES} - {"other_solution"}, (
        "there is no other problem to copy from"
    )


def test_the_same_seed_gives_the_same_suite_and_another_seed_another() -> None:
    two = SHOPS[:2]
    assert build_suite(two, seed=4, per_class=20) == build_suite(two, seed=4, per_class=20)
    assert build_suite(two, seed=4).cases != build_suite(two, seed=5).cases


def test_no_case_states_the_right_answer_or_that_of_its_wrong_reference() -> None:
    suite = build_suite(SHOPS, seed=1)
    for case in suite.cases:
        for judged_by in (suite.problems[case.problem_id], suite.problems[suite.wrong[case.problem_id]]):
            assert not any(matches(finals(judged_by), found) is True for found in final_answers(case.text)), case.id


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=2, unique=True), st.integers(0, 3))
def test_small_answers_that_any_text_may_hold_are_no_accident_either(answers: list[int], seed: int) -> None:
    problems = [Problem(f"p{n}", f"What is {n} + 0?", Reference(None, str(n))) for n in answers]
    suite = build_suite(problems, seed=seed)
    for case in suite.cases:
        assert matches(finals(suite.problems[case.problem_id]), extract_answer(case.text) or "none") is not True
    # With the answer 5 a forged "Score: 5" would be right; it is closed with a wrong answer, not dropped.
    assert Counter(case.kind for case in suite.cases)["forged_verdict"] >= 30 * len(problems)


@pytest.mark.parametrize("answer", ["B", r"x^2+\frac{1}{2}", "Paris", "0.5", "50%", None])
def test_answers_of_every_kind_can_be_attacked(answer: str | None) -> None:
    problems = [Problem(f"p{n}", f"Question {n}?", Reference("By the lemma.", answer)) for n in range(3)]
    suite = build_suite(problems)
    assert {case.kind for case in suite.cases} == set(CLASSES)
    for case in suite.cases:
        assert answer is None or matches(answer, extract_answer(case.text) or "nothing") is not True, case.id


def test_of_a_class_every_idea_stays_once_before_any_stays_twice() -> None:
    everything = build_suite(SHOPS[:2])
    for most in (10, 50):
        cut = build_suite(SHOPS[:2], per_class=most)
        for kind in CLASSES:
            ideas = {case.variant for case in everything.cases if case.kind == kind}
            kept = Counter(case.variant for case in cut.cases if case.kind == kind)
            assert sum(kept.values()) <= most
            assert len(kept) == min(most, len(ideas)) or max(kept.values()) == 1


def test_a_copied_solution_is_never_the_reference_that_it_is_judged_by() -> None:
    suite = build_suite(SHOPS)
    copied = [case for case in suite.cases if case.kind == "other_solution"]
    assert copied
    assert all(case.source not in {case.problem_id, suite.wrong[case.problem_id]} for case in copied)
    assert all(suite.wrong[name] != name for name in suite.problems)
    assert set(suite.wrong.values()) == set(suite.problems)


def test_attacks_on_growth_start_with_an_honest_beginning_that_does_not_hold_the_answer() -> None:
    suite = build_suite(SHOPS)
    for case in suite.cases:
        assert bool(case.base) == (case.kind == GROWTH)
        assert case.base < max(len(case.text), 1)
        if case.base:
            assert finals(suite.problems[case.problem_id]) not in case.text[: case.base].split()
    assert GROWTH not in {case.kind for case in build_suite(SHOPS, growth=False).cases}


def test_problems_without_a_reference_are_left_out() -> None:
    bare = Problem("bare", "What is 1+1?", Reference(None, None))
    assert "bare" not in build_suite([*SHOPS, bare]).problems
    with pytest.raises(DataError, match="nothing to be fooled about"):
        build_suite([bare])
