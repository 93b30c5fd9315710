"""Traces against hidden references: who decides the outcome, what a step is credited, and what nobody is shown."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import json
import logging
import pickle
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import exprl
from exprl.agents import TraceScore, Trial, outcome_batch, score, score_batch
from exprl.errors import DataError
from exprl.types import Reference, Submission, Usage, Verdict
from exprl.verify.evidence import exit_code, passed_tests

CANARY = "CANARY-7f3a"
SOLUTION = f"Tea is 4 ({CANARY}).\n3*4=12\n12+5=17\n\\boxed{{17}}"
REFERENCE = Reference(SOLUTION, "17")
QUESTION = "What do 3 teas and a cake at 5 cost? Tea costs 4."


def call(name: str, arguments: str) -> dict[str, object]:
    return {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}


TRACE: list[dict[str, object]] = [
    {"role": "user", "content": QUESTION},
    {"role": "assistant", "content": None, "tool_calls": [call("calculate", "3*4")]},
    {"role": "tool", "tool_call_id": "c", "content": "3*4 = 12"},
    {"role": "assistant", "content": None, "tool_calls": [call("calculate", "12+5")]},
    {"role": "tool", "tool_call_id": "c", "content": "12+5 = 17"},
    {"role": "assistant", "content": "The answer is \\boxed{17}."},
]


class Says:
    """A judge with scores to give, which remembers what it was asked and quotes the reference in its words."""

    name = "says"
    template_hash = "says-1"

    def __init__(self, *scores: float | None) -> None:
        self._scores = scores
        self.asked: list[Submission] = []

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        self.asked += submissions
        return [tuple(map(self._verdict, range(len(one.cuts)))) for one in submissions]

    async def aclose(self) -> None:
        """Nothing to close."""

    def _verdict(self, place: int) -> Verdict:
        value = self._scores[place % len(self._scores)]
        return Verdict(value, None if value is not None else "timeout", raw=SOLUTION, judge="says", usage=Usage(1))


def numbers(scored: TraceScore) -> tuple[list[float | None], list[float | None]]:
    return [step.score for step in scored.steps], [step.credit for step in scored.steps]


def test_a_tool_trajectory_is_scored_step_by_step_without_any_model() -> None:
    scored = score(TRACE, REFERENCE)
    assert numbers(scored) == ([0.25, 0.5, 1.0], [-0.75, 0.25, 0.5])
    assert scored.outcome == 1.0
    assert scored.decided_by == "math"
    assert [step.step.tools for step in scored.steps] == [("calculate",), ("calculate",), ()]


def test_it_is_a_public_name() -> None:
    assert exprl.score is score
    assert exprl.score_batch is score_batch


def test_text_is_cut_by_segments() -> None:
    scored = score("3*4=12 ###\n12+5=17 ###\n\\boxed{17}", REFERENCE, question=QUESTION)
    assert numbers(scored)[0] == [0.25, 0.5, 1.0]


def test_the_question_of_a_conversation_is_what_stands_before_the_first_assistant_message() -> None:
    judge = Says(0.5)
    score(TRACE, REFERENCE, judge=judge)
    assert {one.problem.text for one in judge.asked} == {QUESTION}
    assert QUESTION not in judge.asked[0].text


def test_evidence_outranks_the_verifier_and_the_judge_in_outcome_and_credit() -> None:
    judge = Says(0.25, 0.5, 1.0)
    scored = score(TRACE, REFERENCE, judge=judge, evidence=[passed_tests(1, 2), exit_code(0)])
    assert (scored.outcome, scored.decided_by) == (0.0, "tests")
    assert numbers(scored) == ([0.25, 0.5, 0.0], [0.25, 0.25, -0.5])  # the last step is what broke it
    assert [one.scope for one in judge.asked] == ["prefix"]  # nobody asks the judge for an outcome that is known


def test_the_verifier_outranks_the_judge_and_reads_no_tools_result() -> None:
    judge = Says(1.0)
    unsaid = TRACE[:-1]  # the tool found 17, and the agent never said so
    assert score(unsaid, REFERENCE, judge=judge).outcome == 0.0
    assert score(unsaid, REFERENCE, judge=judge, verifier=None).outcome == 1.0


def test_prose_is_for_the_judge() -> None:
    scored = score("It is the second law.", Reference("Because entropy grows.", None), judge=Says(0.75))
    assert (scored.outcome, scored.decided_by) == (0.75, "says")


def test_evidence_that_could_not_be_told_leaves_the_trace_unscored_and_never_zero() -> None:
    scored = score(TRACE, REFERENCE, judge=Says(1.0), evidence=[exit_code(None)])
    assert (scored.outcome, scored.unscored) == (None, "exit: no exit code")
    assert numbers(scored) == ([1.0, 1.0, None], [None, None, None])


def test_a_prefix_without_a_score_leaves_the_credit_and_not_the_outcome() -> None:
    scored = score(TRACE, REFERENCE, judge=Says(0.25, None, 1.0))
    assert scored.outcome == 1.0
    assert numbers(scored) == ([0.25, None, 1.0], [None, None, None])
    assert scored.steps[1].unscored == "timeout"


def test_a_truncated_attempt_has_outcome_0_and_no_credit() -> None:
    scored = score(TRACE, REFERENCE, judge=Says(0.5), truncated=True)
    assert (scored.outcome, scored.decided_by) == (0.0, "budget")
    assert numbers(scored)[1] == [0.0, 0.0, 0.0]


def test_an_empty_trace_is_scored_as_empty() -> None:
    scored = score([{"role": "user", "content": QUESTION}], REFERENCE)
    assert (scored.outcome, numbers(scored)[0]) == (0.0, [0.0])
    assert score("", REFERENCE).outcome == 0.0


async def test_attempts_at_one_problem_are_a_group() -> None:
    good, bad = Trial(TRACE, REFERENCE), Trial([TRACE[0], {"role": "assistant", "content": "17?"}], REFERENCE)
    other = Trial(TRACE, Reference("other", None), "Another one")
    scored = await score_batch([good, bad, other], credit="group_norm", verifier=None, judge=Says(0.5, 1.0, 0.0))
    assert [step.credit for step in scored[0].steps] == [0.0, 0.5, -0.5]  # the means of both are 0.5
    assert [step.credit for step in scored[2].steps] == [0.0, 0.5, -0.5]  # a group of its own


async def test_outcomes_alone_cost_one_call_at_most() -> None:
    judge = Says(0.75)
    trials = [Trial(TRACE, REFERENCE), Trial("prose", Reference("prose", None)), Trial("x", REFERENCE, truncated=True)]
    words = await outcome_batch(trials, judge=judge)
    assert [word.score for word in words] == [1.0, 0.75, 0.0]
    assert [one.scope for one in judge.asked] == ["outcome"]


async def test_score_works_where_a_loop_runs() -> None:
    assert score(TRACE, REFERENCE).outcome == 1.0


def test_costs_are_summed() -> None:
    assert score(TRACE, Reference("prose", None), judge=Says(0.5)).usage.calls == 4  # three prefixes and the outcome


def test_a_reference_that_is_plain_text_is_refused_and_not_quoted() -> None:
    with pytest.raises(DataError, match=r"got str; write Reference\(solution=") as caught:
        score(TRACE, SOLUTION)  # type: ignore[arg-type]
    assert CANARY not in str(caught.value)


def test_the_judges_words_stay_on_the_evaluators_side(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        scored = score(TRACE, REFERENCE, judge=Says(0.5))
    assert CANARY in scored.reasons.read().prefixes[0].raw  # the evaluator may read them
    shown = [repr(scored), str(scored), json.dumps(scored.as_dict()), str(dataclasses.asdict(scored)), caplog.text]
    shown += [repr(copy.deepcopy(scored)), pickle.dumps(scored.reasons).decode("latin-1"), scored.text]
    assert [text for text in shown if CANARY in text] == []
    with pytest.raises(TypeError):
        json.dumps(scored.reasons)
    with pytest.raises(AttributeError):
        scored.reasons.other = 1  # type: ignore[attr-defined]


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=6))
def test_the_credits_of_a_trace_sum_to_nothing_and_say_who_made_the_progress(scores: list[float]) -> None:
    trace = [{"role": "assistant", "content": str(number)} for number in range(len(scores))]
    trial = Trial(trace, Reference("prose", None))
    (scored,) = asyncio.run(score_batch([trial], judge=Says(*scores)))
    credits = [step.credit for step in scored.steps]
    assert sum(credits) == pytest.approx(0.0)  # type: ignore[arg-type]
    assert credits[1:] == [after - before for before, after in pairwise(scores)]
