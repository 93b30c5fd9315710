"""Correct, no and wrong reference: nobody keeps the own one, and no reference is seen outside."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.config import LLMJudgeConfig, MilestoneJudgeConfig, PanelJudgeConfig, PanelMember
from exprl.errors import ConfigError, DataError
from exprl.judge.calibrate.conditions import (
    derangement,
    needs_reference,
    parse_conditions,
    under,
    without_cache,
    without_reference,
    wrong_references,
)
from exprl.judge.calibrate.labelled import Labelled
from exprl.types import Problem, Reference


def row(name: str, text: str, solution: str, answer: str | None = None) -> Labelled:
    return Labelled(name, Problem(name, text, Reference(solution, answer)), "I say 1", correct=False)


@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=30), st.integers(0, 5))
def test_nobody_keeps_the_own_reference_and_everybody_gets_one(answers: list[str], seed: int) -> None:
    found = derangement(answers, seed)
    assert sorted(found) == list(range(len(answers)))
    assert all(i != other for i, other in enumerate(found))


@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=30), st.integers(0, 5))
def test_equal_answers_are_avoided_wherever_they_can_be(answers: list[str], seed: int) -> None:
    if 2 * max(Counter(answers).values()) <= len(answers):
        assert all(answers[i] != answers[other] for i, other in enumerate(derangement(answers, seed)))


def test_the_derangement_is_the_seeds() -> None:
    answers = [str(i) for i in range(50)]
    assert derangement(answers, 1) == derangement(answers, 1) != derangement(answers, 2)


def test_problems_are_deranged_and_not_rows() -> None:
    rows = [row(f"{p}{i}", f"problem {p}", f"1+{p}={1 + p}\nA: {1 + p}") for p in (1, 2, 3) for i in range(4)]
    wrong = wrong_references(rows, 0)
    assert len(wrong) == 3
    for one, shown in zip(rows, under("wrong", rows, wrong), strict=True):
        assert shown.reference not in (one.problem.reference, Reference(None, None))
        assert (shown.id, shown.text) == (one.problem.id, one.problem.text)


def test_equal_final_answers_are_seen_through_their_dress() -> None:
    # 7, 7.0 and \boxed{7} are one answer: each of them must get an 8
    solutions = ["3+4=7\nA: 7", "6+1 = \\boxed{7}", "so #### 7.0", "A: 8", "4+4=8 \\boxed{8}", "#### 8"]
    rows = [row(str(i), f"problem {i}", text) for i, text in enumerate(solutions)]
    wrong = wrong_references(rows, 3)
    for i, one in enumerate(rows):
        given_ = next(j for j, other in enumerate(rows) if other.problem.reference == wrong[one.problem.text])
        assert (i < 3) != (given_ < 3)


def test_one_problem_has_no_wrong_reference() -> None:
    with pytest.raises(DataError, match="one problem only; leave out 'wrong'"):
        wrong_references([row("a", "p", "A: 1"), row("b", "p", "A: 1")], 0)


def test_without_a_reference_there_is_none_at_all() -> None:
    (shown,) = under("none", [row("a", "p", "A: 1", "1")], {})
    assert not shown.reference.has_solution
    assert not shown.reference.has_answer


def test_a_model_is_told_to_judge_without_and_a_panel_hands_it_on() -> None:
    model = LLMJudgeConfig(model="m")
    panel = PanelJudgeConfig(
        members={"a": PanelMember(judge=model), "b": PanelMember(weight=0, judge=MilestoneJudgeConfig())}
    )
    bare, fresh = without_reference(panel), without_cache(panel)
    assert isinstance(bare, PanelJudgeConfig)
    assert isinstance(fresh, PanelJudgeConfig)
    assert bare.members["a"].judge == model.model_copy(update={"reference": False})
    assert fresh.members["a"].judge == model.model_copy(update={"cache": False})
    assert bare.members["b"] == panel.members["b"]
    assert not needs_reference(panel)
    assert needs_reference(MilestoneJudgeConfig())


def test_conditions_are_read_in_their_own_order() -> None:
    assert parse_conditions(" wrong, correct") == ("correct", "wrong")
    with pytest.raises(ConfigError, match="unknown condition 'wrnog'; there are correct, none, wrong"):
        parse_conditions("correct,wrnog")
    with pytest.raises(ConfigError, match="must hold 'correct'"):
        parse_conditions("none")
