"""Search with a hidden reference: what is chosen, what is taken back, and what the actor is ever told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from exprl.agents import EarlyStop, Move, Signal, View, backtrack, best_of_n
from exprl.errors import ConfigError, DataError, LeakError
from exprl.judge import MilestoneJudge
from exprl.turns import ChatMessage
from exprl.types import Problem, Reference, Submission, Verdict
from exprl.verify.evidence import exit_code

CANARY = "CANARY-7f3a"
SOLUTION = f"First you multiply the price by the number of cups ({CANARY}).\n3*4=12\n12+5=17\n\\boxed{{17}}"
PROBLEM = Problem("p", "What do 3 teas at 4 and a cake at 5 cost?", Reference(SOLUTION, "17"), "math")


def said(text: str) -> dict[str, object]:
    return {"role": "assistant", "content": text}


def scripted(choose: Callable[[View], str | Move], seen: list[View] | None = None) -> Callable[..., object]:
    async def act(view: View) -> Move:
        if seen is not None:
            seen.append(view)
        chosen = choose(view)
        return chosen if isinstance(chosen, Move) else Move([said(chosen)], done="boxed" in chosen)

    return act


class Broken:
    name = template_hash = "broken"

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        return [(Verdict(None, unscored="timeout"),) * len(one.cuts) for one in submissions]

    async def aclose(self) -> None:
        """Nothing."""


FULL = "3*4=12, 12+5=17, so \\boxed{17}"


async def test_the_best_of_n_is_the_one_with_the_best_outcome_and_the_first_on_a_tie() -> None:
    attempts = ["\\boxed{3}", "3*4=12 \\boxed{12}", FULL, FULL]
    found = await best_of_n(scripted(lambda view: attempts[view.attempt]), PROBLEM, MilestoneJudge(), 4)
    assert (found.chosen, found.score, found.scores) == (2, 1.0, (0.0, 0.25, 1.0, 1.0))
    assert found.path == (said(FULL),)
    assert found.ended == ("done",) * 4


async def test_attempts_know_nothing_of_each_other_or_of_the_judge() -> None:
    seen: list[View] = []
    actor = scripted(lambda view: FULL if view.path else "3*4=12", seen)
    await best_of_n(actor, PROBLEM, MilestoneJudge(), 3, early=EarlyStop())
    assert {view.signal for view in seen} == {Signal()}
    assert sorted((view.attempt, len(view.path)) for view in seen) == [(n, d) for n in range(3) for d in range(2)]


async def test_an_attempt_ends_early_where_it_has_enough_or_does_not_rise() -> None:
    steps = ["3*4=12", "hm", "hm", "12+5=17"]
    actor = scripted(lambda view: steps[len(view.path)])
    patient = await best_of_n(actor, PROBLEM, MilestoneJudge(), 1, max_steps=4, early=EarlyStop(patience=3))
    assert (patient.ended, patient.moves) == (("steps",), 4)
    hasty = await best_of_n(actor, PROBLEM, MilestoneJudge(), 1, max_steps=4, early=EarlyStop(patience=2))
    assert (hasty.ended, hasty.moves, hasty.score) == (("patience",), 3, 0.25)
    content = await best_of_n(actor, PROBLEM, MilestoneJudge(), 1, max_steps=4, early=EarlyStop(enough=0.25))
    assert (content.ended, content.moves) == (("enough",), 1)


async def test_evidence_chooses_over_the_judges_head() -> None:
    attempts = [FULL, "3*4=12"]

    def gather(path: tuple[ChatMessage, ...]) -> list[object]:
        return [exit_code(0 if "boxed" not in str(path[-1]["content"]) else 1)]

    actor = scripted(lambda view: Move([said(attempts[view.attempt])], done=True))
    found = await best_of_n(actor, PROBLEM, MilestoneJudge(), 2, gather=gather)
    assert (found.chosen, found.scores) == (1, (0.0, 1.0))


async def test_what_could_not_be_scored_is_never_chosen() -> None:
    found = await best_of_n(scripted(lambda view: FULL), PROBLEM, Broken(), 2)
    assert (found.chosen, found.score, found.path, found.scores) == (None, None, (), (None, None))


async def test_a_move_that_loses_ground_is_taken_back() -> None:
    """From 3*4=12 the first try gives the value another result, which loses the milestone; the second goes on."""
    seen: list[View] = []

    def choose(view: View) -> str:
        if not view.path:
            return "3*4=12"
        if len(view.path) == 1:
            return ["3*4=13", "12+5=17"][min(view.signal.retry, 1)]
        return "so \\boxed{17}"

    found = await backtrack(scripted(choose, seen), PROBLEM, MilestoneJudge())
    assert [str(message["content"]) for message in found.path] == ["3*4=12", "12+5=17", "so \\boxed{17}"]
    assert (found.score, found.ended, found.moves) == (1.0, ("enough",), 4)
    assert [view.signal for view in seen] == [Signal(None, 0), Signal(0.25, 0), Signal(0.25, 1), Signal(0.5, 0)]


async def test_a_node_without_a_good_move_is_taken_back_itself() -> None:
    def choose(view: View) -> str:
        if not view.path:
            return ["4*5=20", "3*4=12"][view.signal.retry]  # the first is a dead end
        if "20" in str(view.path[0]["content"]):
            return "\\boxed{20}"
        return "12+5=17 \\boxed{17}"

    found = await backtrack(scripted(choose), PROBLEM, MilestoneJudge(), branches=2)
    assert (found.score, found.moves, found.scores) == (1.0, 5, (0.0, 0.0, 1.0))


async def test_a_search_ends_with_its_budget_or_when_nothing_is_left_to_try() -> None:
    wrong = scripted(lambda view: "\\boxed{3}")
    spent = await backtrack(wrong, PROBLEM, MilestoneJudge(), budget=2)
    assert (spent.ended, spent.moves, spent.score) == (("budget",), 2, 0.0)
    tried = await backtrack(wrong, PROBLEM, MilestoneJudge(), branches=3)
    assert (tried.ended, tried.moves) == (("exhausted",), 3)


async def test_the_longest_kept_path_stands_where_none_was_finished() -> None:
    found = await backtrack(scripted(lambda view: "3*4=12"), PROBLEM, MilestoneJudge(), budget=3)
    assert (len(found.path), found.score) == (3, 0.25)


async def test_the_actor_is_never_shown_the_reference() -> None:
    seen: list[View] = []
    steps = ["3*4=12", "hm", FULL]
    for find in (
        lambda actor: best_of_n(actor, PROBLEM, MilestoneJudge(), 2, early=EarlyStop()),
        lambda actor: backtrack(actor, PROBLEM, MilestoneJudge()),
    ):
        await find(scripted(lambda view: steps[min(len(view.path), 2)], seen))
    assert seen
    assert CANARY not in repr(seen)
    assert not any(isinstance(field, Problem | Reference | Verdict) for view in seen for field in view)


@pytest.mark.parametrize("role", ["user", "tool", "system"])
async def test_a_world_that_would_show_the_solution_is_stopped_before_it_does(role: str) -> None:
    leak = {"role": role, "content": [{"type": "text", "text": f"hint: {SOLUTION}"}]}
    seen: list[View] = []
    actor = scripted(lambda view: Move([said("help?"), leak]), seen)
    with pytest.raises(LeakError, match="message 1 holds words of the solution") as caught:
        await best_of_n(actor, PROBLEM, MilestoneJudge(), 1)
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(seen)


async def test_what_the_actor_says_itself_is_no_leak() -> None:
    actor = scripted(lambda view: Move([said(SOLUTION)], done=bool(view.path)))
    assert (await best_of_n(actor, PROBLEM, MilestoneJudge(), 1)).score == 1.0


async def test_wrong_arguments_and_moves_are_refused() -> None:
    actor = scripted(lambda view: FULL)
    with pytest.raises(ConfigError, match="n=0"):
        await best_of_n(actor, PROBLEM, MilestoneJudge(), 0)
    with pytest.raises(ConfigError, match="branches"):
        await backtrack(actor, PROBLEM, MilestoneJudge(), branches=0)
    with pytest.raises(DataError, match="begins with an assistant"):
        await best_of_n(scripted(lambda view: Move([])), PROBLEM, MilestoneJudge(), 1)
