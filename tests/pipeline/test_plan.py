"""A plan counts what a run will do at most; these numbers are worked by hand."""

from __future__ import annotations

from exprl.config import RunConfig
from exprl.judge.budget import Ceiling
from exprl.pipeline.plan import PlanRow, plan, plan_judging, plan_samples
from exprl.types import Problem, Reference, Submission

SMALL = {"steps": 2, "prompts_per_step": 3, "rollouts_per_prompt": 4, "updates_per_step": 2, "max_tokens": 10}


def config(**changes: object) -> RunConfig:
    table: dict[str, object] = {
        "name": "x",
        "seeds": [0, 1],
        "data": {
            "train": {"path": "t"},
            "evaluate": {"held": {"path": "h"}},
            "filter": {"n": 8, "max_tokens": 5, "keep": 6},
        },
        "segments": {"max_segments": 5},
        "judge": {"type": "llm", "model": "m", "max_tokens": 100},
        "arms": {"process": SMALL, "outcome": SMALL, "sparse": SMALL},
        "stage2": {**SMALL, "steps": 3},
        "evaluate": {"n": 4, "max_tokens": 7},
    }
    return RunConfig.model_validate(table | changes)


def test_every_piece_of_work_is_counted() -> None:
    rows = {row.what: row for row in plan(config(), train=20, evaluate={"held": 10}).rows}
    assert list(rows) == [
        *("filter", "evaluate base", "process, Stage I", "process, Stage II", "process, evaluate"),
        *("outcome, Stage I", "outcome, Stage II", "outcome, evaluate"),
        *("sparse, Stage I", "sparse, Stage II", "sparse, evaluate"),
    ]
    assert rows["filter"] == PlanRow("filter", 20 * 8, 20 * 8 * 5, 0)
    # 6 kept training problems and 10 held-out ones, 4 samples each
    assert rows["evaluate base"] == PlanRow("evaluate base", 64, 448, 0)
    # 2 steps x 3 x 4 x 2 seeds = 48 rollouts, each in at most 5 segments; 2 steps x 2 updates x 2 seeds
    assert rows["process, Stage I"] == PlanRow("process, Stage I", 48, 480, 240, 8)
    assert rows["outcome, Stage I"] == PlanRow("outcome, Stage I", 48, 480, 48, 8)
    assert rows["sparse, Stage I"] == PlanRow("sparse, Stage I", 48, 480, 0, 8)
    assert rows["process, Stage II"] == PlanRow("process, Stage II", 72, 720, 0, 12)
    assert rows["process, evaluate"] == PlanRow("process, evaluate", 256, 1792, 0)  # 64 x 2 seeds x 2 stages


def test_the_total_is_the_sum_and_the_judge_has_a_ceiling() -> None:
    result = plan(config(), train=20, evaluate={"held": 10}, problem_tokens=7)
    rollouts = 160 + 64 + 3 * (48 + 72 + 256)
    tokens = 800 + 448 + 3 * (480 + 720 + 1792)
    assert result.total == PlanRow("total", rollouts, tokens, 288, 3 * 20)
    # Without prices there is no cost; 1,500 tokens of rubric, 7 of the longest problem, 10 of the trace a call.
    assert result.judge == Ceiling(288, 288 * (1500 + 7 + 10), 288 * 100, None)
    assert result.as_dict()["total"] == {
        "what": "total",
        "rollouts": rollouts,
        "tokens": tokens,
        "judge_calls": 288,
        "updates": 60,
    }


def test_a_judge_without_a_model_writes_nothing() -> None:
    result = plan(config(judge={"type": "milestone"}), train=1, evaluate={})
    assert result.judge == Ceiling(288, 0, 0, 0.0)


def test_what_is_switched_off_is_not_counted() -> None:
    data = {"train": {"path": "t"}, "filter": False}
    result = plan(config(stage2=False, data=data, evaluate={"n": 4, "train_problems": False}), train=20, evaluate={})
    assert [row.what for row in result.rows if "Stage II" in row.what or row.what == "filter"] == []
    assert {row.rollouts for row in result.rows if "evaluate" in row.what} == {0}


def test_a_filter_of_the_evaluation_sets_samples_them_as_well_and_keeps_as_many_at_most() -> None:
    data = {"train": {"path": "t"}, "filter": {"n": 8, "max_tokens": 5, "keep": 6}, "filter_evaluate": True}
    rows = plan(config(data=data), train=20, evaluate={"a": 10, "b": 2}).rows
    assert rows[0] == PlanRow("filter", 32 * 8, 32 * 8 * 5, 0)
    assert rows[1].rollouts == (6 + 6 + 2) * 4


def test_the_pieces_by_themselves_are_counted_too() -> None:
    assert plan_samples(config(), {"a": 3, "b": 2}, n=4).total == PlanRow("total", 20, 140, 0)
    problem = Problem("p", "?" * 40, Reference("1", "1"))
    texts = [Submission(problem, "r", "x" * 90, (20, 50, 90), "prefix"), Submission(problem, "s", "x", (1,), "outcome")]
    judging = plan_judging(config(), texts)
    assert (judging.total.judge_calls, judging.judge.completion_tokens) == (4, 400)
    longer = plan_judging(config(), [*texts, Submission(problem, "t", "x" * 900, (900,), "outcome")])
    assert longer.judge.prompt_tokens > judging.judge.prompt_tokens * 5 / 4, "the longest trace counts for every call"


def test_an_sft_arm_samples_nothing_and_the_plan_says_that_its_budget_differs() -> None:
    arms = {"sparse": SMALL, "self_distill": SMALL, "sft": {"epochs": 3, "batch": 4}}
    result = plan(config(arms=arms), train=20, evaluate={"held": 10})
    rows = {row.what: row for row in result.rows}
    # 6 kept problems in batches of 4 are 2 updates an epoch; 3 epochs, 2 seeds
    assert rows["sft, Stage I"] == PlanRow("sft, Stage I", 0, 0, 0, 12)
    assert rows["sft, Stage II"].rollouts == 72
    assert rows["self_distill, Stage I"] == PlanRow("self_distill, Stage I", 48, 480, 0, 8)
    said = "the arms differ in Stage-I rollouts a seed: sparse 24, self_distill 24, sft none (it reads the references)"
    assert result.notes == (said,)
    assert result.judge.calls == 0
    assert plan(config(), train=20, evaluate={}).notes == ()  # all arms alike: nothing to say


def test_problems_that_only_the_judge_can_grade_are_in_the_ceiling() -> None:
    without, with_ = plan(config(), 4, {}), plan(config(), 4, {}, judged=1)
    assert with_.total.judge_calls == without.total.judge_calls + without.total.rollouts


def test_a_stage_of_some_arms_is_planned_without_the_others() -> None:
    rows = plan(config(), train=20, evaluate={}, arms=["outcome"], stages=["stage1"]).rows
    assert [row.what for row in rows if "," in row.what] == ["outcome, Stage I", "outcome, evaluate"]
    both = {row.what: row for row in plan(config(), train=20, evaluate={}, arms=["outcome"]).rows}
    assert both["outcome, evaluate"].rollouts == 2 * rows[-1].rollouts
    rows = plan(config(), train=20, evaluate={}, stages=["stage2"]).rows
    assert not any("Stage I" in row.what.split() for row in rows)
    assert {row.what for row in rows if row.updates} == {f"{arm}, Stage II" for arm in config().arms}
