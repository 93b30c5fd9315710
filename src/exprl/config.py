"""Every key that a user can write, and nothing else.

A configuration is a TOML file, changed by flags (`--judge.model x`). A method is a type of its own (`type = "process"`),
not a matrix of flags. Class defaults are the paper's setting (arXiv 2606.17024, table of hyperparameters), so an empty
`[arms.process]` is the paper's process arm; a smaller run states what it changes. Unknown keys are refused.

Loading, flags and "did you mean" live in `exprl.cli.settings`; this file only says what a valid configuration is.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

__all__ = [
    "ColumnMap",
    "Credit",
    "DataConfig",
    "EvaluateConfig",
    "FilterConfig",
    "JudgeConfig",
    "LLMJudgeConfig",
    "LoraSettings",
    "MethodConfig",
    "MilestoneJudgeConfig",
    "Optimisation",
    "OutcomeConfig",
    "PolicyConfig",
    "ProcessConfig",
    "PromptConfig",
    "RunConfig",
    "SegmentConfig",
    "SourceConfig",
    "SparseConfig",
    "Stage2Config",
    "VerifierConfig",
]

Credit = Literal["delta_norm", "end_norm", "group_norm"]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
# TOML has no null: `stage2 = false` switches an optional table off.
_CanBeFalse = BeforeValidator(lambda value: None if value is False else value)

POLICY_SYSTEM_PROMPT = (
    "Reason step by step. End every step with a line that holds only ###. Put your final answer within \\boxed{}."
)


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class PromptConfig(_Settings):
    """How a question becomes a policy prompt. `{problem}` is the one placeholder, and it must be there."""

    system: str | None = Field(default=POLICY_SYSTEM_PROMPT, description="'' for none")
    user: str = "{problem}"

    @field_validator("system", "user")
    @classmethod
    def _no_control_characters(cls, value: str | None) -> str | None:
        # A template written in a non-raw string turns \b of \boxed into a backspace, unseen (a fault found in a release).
        if value is not None and (bad := re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", value)):
            raise ValueError(
                f"control character {bad.group()!r} at position {bad.start()}; write \\boxed in a TOML '...' string"
            )
        if value is not None and re.search(r"(?<!\\)\bboxed\{", value):
            raise ValueError("'boxed{' without its backslash; write \\boxed{} in a TOML '...' string")
        return value

    @field_validator("system")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return value or None  # TOML has no null

    @field_validator("user")
    @classmethod
    def _holds_the_problem(cls, value: str) -> str:
        if value.count("{problem}") != 1:
            raise ValueError("the user template holds {problem} exactly once")
        return value


class LoraSettings(_Settings):
    """Low-rank adaptation of the policy."""

    rank: Positive = 16
    alpha: Positive = 32
    target_modules: str | tuple[str, ...] = "all-linear"


class PolicyConfig(_Settings):
    """The policy: a Hub id, a local path, or an embedded world's (`world:chain`)."""

    model: str = "Qwen/Qwen3-4B-Instruct-2507"
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    lora: Annotated[LoraSettings | None, _CanBeFalse] = None
    chat: bool | None = Field(default=None, description="apply the chat template; default: if the tokenizer has one")
    vllm: bool = Field(default=False, description="sample training rollouts with a colocated vLLM")
    url: str | None = Field(
        default=None, description="OpenAI-compatible server of `model`, for `filter`, `sample`, `eval`"
    )
    threads: Positive = Field(default=1, description="CPU threads for torch; 1 is fastest for tiny models")
    sample_batch: Positive = Field(default=256, description="rollouts sampled at once outside training")


class ColumnMap(_Settings):
    """Which column holds what. `id` may be missing in the data: rows are then numbered."""

    id: str = "id"
    problem: str = "problem"
    solution: str = "solution"
    answer: str = "answer"
    domain: str | None = None


class SourceConfig(_Settings):
    """Where problems come from: a .jsonl, .jsonl.gz or .parquet path, a Hub id, or `world:chain/hard_train`."""

    path: str
    split: str = "train"
    columns: ColumnMap = ColumnMap()
    domain: Literal["math", "science", "code", "general"] = "math"
    offset: Annotated[int, Field(ge=0)] = 0
    limit: Positive | None = None


class FilterConfig(_Settings):
    """The hard-set filter: 0 of `n` samples correct, and the reference's own final answer grades as the stored one."""

    n: Positive = 64
    temperature: Annotated[float, Field(gt=0)] = 0.8
    max_tokens: Positive = 32_768
    keep: Positive | None = Field(default=None, description="stop once this many problems are kept")


class DataConfig(_Settings):
    """Training problems, held-out evaluation sets by name, and the filter that makes the hard set."""

    train: SourceConfig
    evaluate: dict[str, SourceConfig] = {}
    filter: Annotated[FilterConfig | None, _CanBeFalse] = FilterConfig()
    filter_evaluate: bool = Field(default=False, description="apply the filter to the evaluation sets as well")
    overlap_ngram: Positive = Field(default=13, description="words in a row that count as n-gram overlap (a warning)")


class SegmentConfig(_Settings):
    """How a trace is cut. `max_segments` merges the shortest neighbours."""

    rule: Literal["marker", "paragraph", "line", "heading", "tokens"] = "marker"
    marker: Annotated[str, Field(min_length=1)] = "###"
    token_budget: Positive = 512
    max_segments: Positive = 16


class MilestoneJudgeConfig(_Settings):
    """The deterministic judge of the embedded default: needs no model."""

    type: Literal["milestone"] = "milestone"


class LLMJudgeConfig(_Settings):
    """A judge behind any OpenAI-compatible chat endpoint. The key is read from the environment, never from here."""

    type: Literal["llm"] = "llm"
    model: str
    url: str = "http://127.0.0.1:8000/v1"
    api_key_env: str = "EXPRL_JUDGE_API_KEY"
    temperature: Annotated[float, Field(ge=0)] = 0.0
    max_tokens: Positive = 2048
    structured: bool = Field(
        default=False, description="have the server enforce a JSON verdict; for judges too small to keep to the format"
    )
    concurrency: Positive = 32
    timeout: Annotated[float, Field(gt=0)] = 120.0
    retries: Annotated[int, Field(ge=0)] = 4


JudgeConfig = Annotated[MilestoneJudgeConfig | LLMJudgeConfig, Field(discriminator="type")]


class VerifierConfig(_Settings):
    """The final-answer check: bounded in time, never raising."""

    timeout: Annotated[float, Field(gt=0)] = 2.0
    workers: Positive = 1


class Optimisation(_Settings):
    """What every method shares (METHOD table; constant rate, AdamW, token-mean loss)."""

    steps: Positive = 230
    prompts_per_step: Positive = 36
    rollouts_per_prompt: Annotated[int, Field(ge=2)] = 16
    updates_per_step: Positive = 1
    micro_batch: Positive | None = Field(
        default=None, description="rollouts per forward pass; default: all of an update"
    )
    learning_rate: Annotated[float, Field(gt=0)] = 1e-6
    adam_betas: tuple[Share, Share] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    grad_clip: Annotated[float, Field(gt=0)] = 1.0
    clip_low: Annotated[float, Field(gt=0)] = 0.2
    clip_high: Annotated[float, Field(gt=0)] = 0.26
    kl: Annotated[float, Field(ge=0)] = 0.001
    entropy_bonus: Annotated[float, Field(ge=0)] = 0.0
    temperature: Annotated[float, Field(gt=0)] = 0.8
    max_prompt_tokens: Positive = 4096
    max_tokens: Positive = 16_384
    save_every: Positive = 50

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        rollouts = self.prompts_per_step * self.rollouts_per_prompt
        if rollouts % self.updates_per_step:
            raise ValueError(
                f"{self.prompts_per_step} x {self.rollouts_per_prompt} rollouts do not divide into "
                f"updates_per_step={self.updates_per_step}"
            )
        if self.micro_batch is not None and (rollouts // self.updates_per_step) % self.micro_batch:
            raise ValueError(
                f"{rollouts // self.updates_per_step} rollouts an update do not divide by micro_batch={self.micro_batch}"
            )
        return self


class OutcomeConfig(Optimisation):
    """ExpRL Outcome: the judge scores the whole trace; group-normalised."""

    type: Literal["outcome"] = "outcome"
    rollouts_per_prompt: Annotated[int, Field(ge=2)] = 10
    updates_per_step: Positive = 2
    clip_high: Annotated[float, Field(gt=0)] = 0.28
    normalise_std: bool = True


class ProcessConfig(Optimisation):
    """ExpRL Process: the judge scores each prefix; credit is given segment by segment.

    `outcome_weight` adds group-relative outcome credit of the final score (0 = the paper).
    """

    type: Literal["process"] = "process"
    credit: Credit = "delta_norm"
    scope: Literal["prefix", "segment"] = "prefix"
    outcome_weight: Annotated[float, Field(ge=0)] = 0.0


class SparseConfig(Optimisation):
    """Sparse GRPO: reward 1 for a right final answer, else 0."""

    type: Literal["sparse"] = "sparse"
    prompts_per_step: Positive = 32
    updates_per_step: Positive = 2
    normalise_std: bool = True


MethodConfig = Annotated[OutcomeConfig | ProcessConfig | SparseConfig, Field(discriminator="type")]
_METHODS = frozenset(method.model_fields["type"].default for method in get_args(get_args(MethodConfig)[0]))


class Stage2Config(SparseConfig):
    """Stage II: sparse RL from a Stage-I checkpoint (16 x 32, no KL, no std, clip practically off)."""

    steps: Positive = 500
    prompts_per_step: Positive = 16
    rollouts_per_prompt: Annotated[int, Field(ge=2)] = 32
    updates_per_step: Positive = 1
    grad_clip: Annotated[float, Field(gt=0)] = 0.3
    clip_low: Annotated[float, Field(gt=0)] = 4.0
    clip_high: Annotated[float, Field(gt=0)] = 4.0
    kl: Annotated[float, Field(ge=0)] = 0.0
    entropy_bonus: Annotated[float, Field(ge=0)] = 1e-4
    normalise_std: bool = False


class EvaluateConfig(_Settings):
    """Coverage: `n` samples a problem, pass@k for k = 1, 2, 4, ... n, bootstrap intervals over problems."""

    n: Positive = 128
    temperature: Annotated[float, Field(gt=0)] = 0.8
    max_tokens: Positive = 16_384
    train_problems: bool = Field(default=True, description="evaluate on the hard training set as well, as hard_train")
    bootstrap: Positive = 2000
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95


class RunConfig(_Settings):
    """One experiment: filter, Stage I per arm, Stage II per arm, evaluation, report."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    output: str = "runs"
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    parallel: Positive = Field(default=1, description="arms trained at once, each in a process of its own")
    unscored_limit: Share = Field(
        default=0.2, description="share of unscored rollouts in a step at which the run pauses"
    )
    policy: PolicyConfig = PolicyConfig()
    prompt: PromptConfig = PromptConfig()
    data: DataConfig
    segments: SegmentConfig = SegmentConfig()
    judge: JudgeConfig = MilestoneJudgeConfig()
    verifier: VerifierConfig = VerifierConfig()
    arms: Annotated[dict[str, MethodConfig], Field(min_length=1)] = {
        "sparse": SparseConfig(),
        "outcome": OutcomeConfig(),
        "process": ProcessConfig(),
    }
    stage2: Annotated[Stage2Config | None, _CanBeFalse] = Stage2Config()
    evaluate: EvaluateConfig = EvaluateConfig()

    @field_validator("arms", mode="before")
    @classmethod
    def _type_from_name(cls, arms: object) -> object:
        if not isinstance(arms, dict):
            return arms
        return {
            name: {"type": name, **arm} if name in _METHODS and isinstance(arm, dict) else arm
            for name, arm in arms.items()
        }

    @model_validator(mode="after")
    def _arm_names(self) -> Self:
        if "base" in self.arms:
            raise ValueError("'base' names the policy before training; give the arm another name")
        for name in [*self.arms, *self.data.evaluate]:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
                raise ValueError(f"{name!r} cannot be a file name; use letters, digits, '.', '_' and '-'")
        if "hard_train" in self.data.evaluate:
            raise ValueError("'hard_train' names the training set itself; give the evaluation set another name")
        return self
