"""Plans of the paper's run: the numbers of its table by hand, the best division, and what is said of 64 machines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exprl.cli import main
from exprl.cli.settings import load_config
from exprl.cluster import Assumptions, assume, plan_cluster, plan_configured
from exprl.config import RunConfig
from exprl.errors import ConfigError


def paper(*overrides: str) -> RunConfig:
    return load_config(Path("paper/math-4b"), overrides)


def test_the_work_of_the_papers_process_step_by_hand() -> None:
    (stage, _) = plan_cluster(paper(), arms=["process"]).stages
    assert stage.work.rollouts == 36 * 16
    assert stage.work.sampled == 576 * 8192
    assert stage.work.trained == 576 * (256 + 8192)
    judging = stage.work.judging
    assert judging is not None
    head = 200 + 256 + 1024
    assert judging.calls == 8
    assert judging.sent == 8 * (head + 300) + 8192 * (8 + 1) / 2
    assert judging.floor == head / 16 + 8192 + 8 * 300
    assert judging.prefilled(1) == judging.floor
    assert judging.prefilled(0) == judging.sent
    assert stage.judge_tokens == 576 * 51_104


def test_the_papers_division_can_be_asked_for() -> None:
    (stage, amplified) = plan_cluster(paper(), judge_gpus=2, arms=["outcome"]).stages
    assert (stage.policy_gpus, stage.judge_gpus) == (6, 2)
    assert (amplified.work.name, amplified.policy_gpus, amplified.judge_gpus) == ("Stage II", 8, 0)
    assert amplified.work.judging is None
    assert amplified.hours == pytest.approx(500 * amplified.time.total / 3600)


@pytest.mark.parametrize("arm", ["outcome", "process"])
def test_no_division_is_better_than_the_one_that_is_chosen(arm: str) -> None:
    best = plan_cluster(paper(), arms=[arm]).stages[0]
    given = [plan_cluster(paper(), arms=[arm], judge_gpus=count).stages[0] for count in range(1, 6)]
    assert best.time.total == min(stage.time.total for stage in given)


def test_on_64_machines_the_longest_rollout_is_what_is_waited_for_unless_there_is_more_work() -> None:
    few = plan_cluster(paper(), nodes=64, arms=["process"])
    assert few.gpus == 512
    assert few.stages[0].time.bottleneck == "the longest rollout"
    assert any("576 rollouts a step are few" in note for note in few.notes)
    many = plan_cluster(paper("--arms.process.prompts_per_step=2304"), nodes=64, arms=["process"])
    assert many.stages[0].time.bottleneck in {"sampling", "judging"}
    assert not any(note.startswith("process") for note in many.notes)


def test_the_gpus_and_endpoints_that_a_configuration_names_are_planned_as_they_are() -> None:
    urls = '["http://a/v1", "http://b/v1"]'
    config = paper("--cluster.nodes=2", "--cluster.gpus_per_node=3", "--judge.url", urls, "--cluster.gpu_memory=0.5")
    plan = plan_configured(config, arms=["process"])
    assert [(stage.policy_gpus, stage.judge_gpus) for stage in plan.stages] == [(6, 2), (6, 0)]
    assert plan.assumed.sampler_memory == 0.5
    here = plan_cluster(paper(), judge_gpus=2, arms=["process"]).stages[0]
    assert plan.stages[0].work == here.work
    assert plan.stages[0].time.judge == here.time.judge
    assert plan.stages[0].memory.cache_tokens < here.memory.cache_tokens


def test_a_teachers_server_stands_in_the_judges_place() -> None:
    work = plan_cluster(paper(), arms=["self_distill"]).stages[0].work
    assert work.judging is not None
    assert work.judging.model == paper().policy.model
    assert (work.judging.calls, work.judging.reply) == (1, 1)
    assert (
        work.judging.sent == work.judging.floor == 256 + 1024 + 8192
    )  # nothing is cached where probabilities are read
    assert (work.forwards, work.frozen_copy) == (1, False)
    config = paper("--cluster.teacher.url", '["http://a/v1", "http://b/v1", "http://c/v1"]')
    plan = plan_configured(config, arms=["self_distill", "process"])
    assert [(stage.work.name, stage.policy_gpus, stage.judge_gpus) for stage in plan.stages] == [
        ("process", 4, 1),
        ("self_distill", 4, 3),
        ("Stage II", 4, 0),
    ]
    assert "self_distill: the judge is its teacher's server" in plan.notes


def test_sft_is_not_planned_and_a_judge_without_a_model_takes_no_gpu() -> None:
    plan = plan_cluster(paper())
    assert "sft samples nothing and is not planned" in plan.notes
    assert [stage.work.name for stage in plan.stages][-1] == "Stage II"
    rules = plan_cluster(paper("--judge", '{type = "milestone"}'), arms=["process"])
    assert rules.stages[0].judge_gpus == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"arms": ["proces"]}, "no arm 'proces'; the arms are sparse, outcome"),
        ({"gpus": 1}, "do not divide into copies of 1"),
        ({"judge_gpus": 8}, "8 GPUs with 8 for the judge do not divide"),
        ({"judge_gpus": 0}, "with 0 for the judge"),
        ({"assumed": assume(["gpu=A100-40GB", "gpu_memory=1.5e10"])}, "does not fit on 8 x A100-40GB: training takes"),
    ],
)
def test_a_plan_that_cannot_be_says_why(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan_cluster(paper("--stage2", "false"), **({"arms": ["process"]} | options))  # type: ignore[arg-type]


def test_a_judge_twice_as_fast_needs_no_more_gpus() -> None:
    slow = plan_cluster(paper(), arms=["process"], assumed=Assumptions(judge_reply_tokens=1024)).stages[0]
    quick = plan_cluster(paper(), arms=["process"], assumed=Assumptions(judge_reply_tokens=128)).stages[0]
    assert quick.judge_gpus <= slow.judge_gpus
    assert quick.time.total < slow.time.total


def test_the_command_prints_the_plan_and_all_that_it_assumes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["cluster", "paper/math-4b", "--nodes", "2", "--arm", "process", "--assume", "slots=128"])
    assert not ended.value.code
    shown = capsys.readouterr().out
    assert "a step on 16 x H100-80GB" in shown
    for name in Assumptions.model_fields:
        assert name in shown


def test_the_command_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["cluster", "paper/mixed-8b", "--json", "--judge-gpus", "2"])
    plan = json.loads(capsys.readouterr().out)
    assert [stage["work"]["name"] for stage in plan["stages"]] == ["sparse", "outcome", "Stage II"]
    assert plan["stages"][1]["judge_gpus"] == 2
    assert plan["stages"][1]["bottleneck"] == "sampling"
    assert plan["assumed"]["slots"] == 256


@pytest.mark.parametrize("arguments", [["--nodes", "0"], ["--gpus", "-1"]])
def test_no_machine_is_no_plan(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["cluster", "paper/math-4b", *arguments])
    assert ended.value.code == 2
    assert "at least 1" in capsys.readouterr().err
