"""Class defaults are the paper's setting, and what cannot be run is refused with the key and the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from exprl.cli.settings import load_config
from exprl.config import (
    POLICY_SYSTEM_PROMPT,
    EvaluateConfig,
    FilterConfig,
    LLMJudgeConfig,
    Optimisation,
    OutcomeConfig,
    PolicyConfig,
    ProcessConfig,
    PromptConfig,
    RunConfig,
    SegmentConfig,
    SparseConfig,
    Stage2Config,
)

MINIMAL: dict[str, object] = {"name": "x", "data": {"train": {"path": "train.jsonl"}}}


def config(**changes: object) -> RunConfig:
    return RunConfig.model_validate(MINIMAL | changes)


# -- the paper's table of hyperparameters (arXiv 2606.17024)

# fmt: off
TABLE = {
    #                        Outcome      Process      sparse       Stage II
    "steps":                (230,         230,         230,         500),
    "prompts_per_step":     (36,          36,          32,          16),
    "rollouts_per_prompt":  (10,          16,          16,          32),
    "updates_per_step":     (2,           1,           2,           1),
    "clip_low":             (0.2,         0.2,         0.2,         4.0),
    "clip_high":            (0.28,        0.26,        0.26,        4.0),
    "kl":                   (0.001,       0.001,       0.001,       0.0),
    "normalise_std":        (True,        None,        True,        False),
    "learning_rate":        (1e-6,        1e-6,        1e-6,        1e-6),
    "adam_betas":           ((0.9, 0.999), (0.9, 0.999), (0.9, 0.999), (0.9, 0.999)),
    "weight_decay":         (0.01,        0.01,        0.01,        0.01),
    "grad_clip":            (1.0,         1.0,         1.0,         0.3),
    "entropy_bonus":        (0.0,         0.0,         0.0,         1e-4),
    "temperature":          (0.8,         0.8,         0.8,         0.8),
    "max_prompt_tokens":    (4096,        4096,        4096,        4096),
    "max_tokens":           (16_384,      16_384,      16_384,      16_384),
}
# fmt: on
METHODS = (OutcomeConfig, ProcessConfig, SparseConfig, Stage2Config)


@pytest.mark.parametrize("key", TABLE)
def test_class_defaults_are_the_papers_setting(key: str) -> None:
    assert tuple(getattr(method(), key, None) for method in METHODS) == TABLE[key]


def test_the_table_misses_no_hyperparameter() -> None:
    ours = {
        "type",
        "micro_batch",
        "save_every",
        "credit",
        "scope",
        "outcome_weight",
        "execution",
    }  # not in the paper's table
    assert {key for method in METHODS for key in method.model_fields} - ours == set(TABLE)


def test_the_papers_process_arm_scores_prefixes_by_delta_norm_and_nothing_else() -> None:
    assert (ProcessConfig().credit, ProcessConfig().scope, ProcessConfig().outcome_weight) == (
        "delta_norm",
        "prefix",
        0,
    )
    assert (SegmentConfig().rule, SegmentConfig().marker) == ("marker", "###")


def test_the_rest_of_the_papers_setting() -> None:
    assert (FilterConfig().n, FilterConfig().temperature, FilterConfig().max_tokens) == (64, 0.8, 32_768)
    assert (EvaluateConfig().n, EvaluateConfig().temperature) == (128, 0.8)
    judge = LLMJudgeConfig(model="m")
    assert (judge.temperature, judge.max_tokens) == (0.0, 2048)
    assert (PolicyConfig().model, PolicyConfig().dtype) == ("Qwen/Qwen3-4B-Instruct-2507", "bfloat16")
    assert config().unscored_limit == 0.2


def test_an_empty_table_named_as_a_method_is_that_method() -> None:
    arms = config(arms={"process": {}, "outcome": {}, "sparse": {}, "mine": {"type": "process", "steps": 3}}).arms
    assert arms["process"] == ProcessConfig()
    assert arms["outcome"] == OutcomeConfig()
    assert arms["sparse"] == SparseConfig()
    assert arms["mine"] == ProcessConfig(steps=3)
    assert (
        config(arms={"process": {"type": "sparse"}}).arms["process"] == SparseConfig()
    )  # a type that is written counts


# -- prompts


def test_the_default_prompt_asks_for_steps_and_a_boxed_answer() -> None:
    assert PromptConfig().system == POLICY_SYSTEM_PROMPT
    assert "\\boxed{}" in POLICY_SYSTEM_PROMPT
    assert POLICY_SYSTEM_PROMPT.isprintable()
    assert PromptConfig(system="").system is None


@pytest.mark.parametrize(
    "template", ["{problem} \boxed{}", "{problem}\x00", "{problem}\r", "{problem}\x7f", "{problem}\x9b"]
)
def test_a_control_character_in_a_template_is_refused_with_its_position(template: str) -> None:
    for key in ("system", "user"):
        with pytest.raises(ValidationError, match=r"control character '.+' at position \d+; write \\boxed in a TOML"):
            PromptConfig.model_validate({key: template})


def test_a_boxed_that_lost_its_backslash_is_refused() -> None:
    with pytest.raises(ValidationError, match="without its backslash"):
        PromptConfig(system="Put it in boxed{}.")
    assert PromptConfig(system="Put it in \\boxed{}.\n\tThink.").system == "Put it in \\boxed{}.\n\tThink."


@pytest.mark.parametrize("user", ["", "Solve it.", "{problem} {problem}", "{ problem }"])
def test_a_user_template_holds_the_problem_exactly_once(user: str) -> None:
    with pytest.raises(ValidationError, match="exactly once"):
        PromptConfig(user=user)


# -- contradictions


def test_rollouts_divide_into_updates_and_micro_batches() -> None:
    Optimisation(prompts_per_step=3, rollouts_per_prompt=4, updates_per_step=3, micro_batch=2)
    with pytest.raises(ValidationError, match=r"3 x 3 rollouts do not divide into updates_per_step=2"):
        Optimisation(prompts_per_step=3, rollouts_per_prompt=3, updates_per_step=2)
    with pytest.raises(ValidationError, match=r"6 rollouts an update do not divide by micro_batch=4"):
        Optimisation(prompts_per_step=3, rollouts_per_prompt=4, updates_per_step=2, micro_batch=4)


def test_a_group_has_at_least_two_rollouts() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        SparseConfig(rollouts_per_prompt=1)


@pytest.mark.parametrize("name", ["base", "a/b", "..", ".hidden", "", "a b"])
def test_an_arm_has_a_name_of_its_own_that_can_be_a_folder(name: str) -> None:
    with pytest.raises(ValidationError, match=r"names the policy before training|cannot be a file name"):
        config(arms={name: {"type": "sparse"}})


def test_sets_and_runs_have_names_that_can_be_folders() -> None:
    for name in ("a/b", "..", "hard_train"):
        with pytest.raises(ValidationError, match=r"cannot be a file name|names the training set itself"):
            config(data={"train": {"path": "t"}, "evaluate": {name: {"path": "e"}}})
    for name in ("../x", "a/b", "", "-x"):
        with pytest.raises(ValidationError, match="name"):
            config(name=name)


def test_a_run_has_arms_and_seeds() -> None:
    for key, empty in (("arms", {}), ("seeds", [])):
        with pytest.raises(ValidationError, match=key):
            config(**{key: empty})


def test_an_unknown_key_is_refused_at_every_depth() -> None:
    def models(model: type[BaseModel]) -> set[type[BaseModel]]:
        found = {model}
        for sub in model.__subclasses__():
            found |= models(sub)
        return found

    settings = models(PromptConfig.__base__)  # type: ignore[arg-type]
    assert len(settings) > 15
    assert {model.__name__ for model in settings if model.model_config.get("extra") != "forbid"} == set()
    assert {model.__name__ for model in settings if not model.model_config.get("frozen")} == set()


# -- switching off, and writing down


def test_false_switches_an_optional_table_off() -> None:
    off = config(stage2=False, data={"train": {"path": "t"}, "filter": False}, policy={"lora": False})
    assert (off.stage2, off.data.filter, off.policy.lora) == (None, None, None)
    with pytest.raises(ValidationError, match="stage2"):
        config(stage2=True)
    with pytest.raises(ValidationError, match="judge"):
        config(judge=False)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"stage2": False, "data": {"train": {"path": "t"}, "filter": False}},
        {"judge": {"type": "llm", "model": "m"}, "prompt": {"system": ""}},
        {"arms": {"a": {"type": "process", "credit": "group_norm", "adam_betas": [0.8, 0.9]}}, "seeds": [0, 1]},
        {"policy": {"lora": {"target_modules": ["q_proj", "v_proj"]}}},
    ],
)
def test_what_a_run_writes_down_is_a_configuration_that_gives_the_same_run(
    changes: dict[str, object], tmp_path: Path
) -> None:
    before = config(**changes)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(before.model_dump(mode="json")), "utf-8")
    assert load_config(path) == before
