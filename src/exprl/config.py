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
    "JUDGE_EXECUTION",
    "ClusterConfig",
    "ColumnMap",
    "Credit",
    "DataConfig",
    "EvaluateConfig",
    "Execution",
    "FilterConfig",
    "Floor",
    "JudgeCardConfig",
    "JudgeConfig",
    "LLMJudgeConfig",
    "Limit",
    "LoraSettings",
    "MethodConfig",
    "MilestoneJudgeConfig",
    "MonitorConfig",
    "Optimisation",
    "OutcomeConfig",
    "PanelJudgeConfig",
    "PanelMember",
    "PolicyConfig",
    "ProcessConfig",
    "PromptConfig",
    "RunConfig",
    "SegmentConfig",
    "SelfDistillConfig",
    "SftConfig",
    "SingleJudgeConfig",
    "SourceConfig",
    "SparseConfig",
    "Stage2Config",
    "Tracker",
    "VerifierConfig",
    "Way",
]

Credit = Literal["delta_norm", "end_norm", "group_norm"]
Execution = Literal["share", "all", "never"]
_Executed = Annotated[
    Execution,
    Field(
        description="reward of programs with tests: the share that pass, all or nothing, or never: the judge (the paper)"
    ),
]
Way = Literal["tests", "choice", "science", "math", "judge", "blind"]
_Domain = Literal["math", "science", "code", "general"]
Tracker = Literal["trackio", "wandb", "tensorboard"]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
Price = Annotated[float, Field(ge=0)] | None
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
    tests: str = "tests"
    domain: str | None = None


class SourceConfig(_Settings):
    """Where problems come from: a .jsonl, .jsonl.gz or .parquet path, a Hub id, or `world:chain/hard_train`."""

    path: str
    split: str = "train"
    columns: ColumnMap = ColumnMap()
    domain: _Domain = "math"
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
    url: str | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        default="http://127.0.0.1:8000/v1", description="one endpoint, or several that serve the same model"
    )
    routing: Literal["sticky", "round_robin"] = Field(
        default="sticky", description="sticky: all calls of a problem to one endpoint, whose prefix cache then holds it"
    )
    load_bound: Annotated[float, Field(ge=1, allow_inf_nan=False)] = Field(
        default=1.25, description="most that one endpoint is given, as a multiple of its even share"
    )
    api_key_env: str = "EXPRL_JUDGE_API_KEY"
    temperature: Annotated[float, Field(ge=0)] = 0.0
    max_tokens: Positive = 2048
    structured: bool = Field(
        default=False, description="have the server enforce a JSON verdict; for judges too small to keep to the format"
    )
    samples: Positive = Field(
        default=1, description="verdicts per item, whose mean is the score; more need temperature"
    )
    expected: bool = Field(
        default=False,
        description="the score is the mean over the grade token's probabilities, where the server has them",
    )
    prefixes: Literal["each", "once", "bisect"] = Field(
        default="each", description="one call a prefix, one call for all of a trace, or only where the score changes"
    )
    reference: bool = Field(default=True, description="false: judge without the reference (to compare)")
    rubrics: dict[str, str] = Field(
        default={}, description="scope, or domain.scope -> a shipped rubric's name or the path of your own .toml"
    )
    trace_limit: Positive = Field(default=60_000, description="characters of a trace; a longer one loses its middle")
    concurrency: Positive = Field(
        default=32, description="most calls in flight at all endpoints together; fewer where one asks for it"
    )
    timeout: Annotated[float, Field(gt=0)] = Field(default=120.0, description="seconds for one call")
    batch_timeout: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="seconds for a batch; what is not judged by then is unscored"
    )
    retries: Annotated[int, Field(ge=0)] = 4
    cache: bool | str = Field(default=True, description="true: in the run's directory; a path: shared; false: none")
    price_in: Price = Field(default=None, description="per million prompt tokens, in any currency")
    price_cached: Price = Field(default=None, description="per million cached prompt tokens; default: price_in")
    price_out: Price = Field(default=None, description="per million completion tokens")
    cost_limit: Price = Field(default=None, description="stop asking once this much is spent; needs the prices")

    @property
    def urls(self) -> tuple[str, ...]:
        """The endpoints, one or several."""
        return (self.url,) if isinstance(self.url, str) else self.url

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f"samples = {self.samples} at temperature 0 would ask the same thing again; set temperature"
            )
        if self.cost_limit is not None and (self.price_in is None or self.price_out is None):
            raise ValueError("cost_limit needs price_in and price_out")
        return self


JUDGE_EXECUTION = frozenset(
    {
        *("url", "routing", "load_bound", "api_key_env", "concurrency", "timeout", "batch_timeout", "retries", "cache"),
        *("price_in", "price_cached", "price_out", "cost_limit"),
    }
)
"""Settings of a judge that say where and how fast, and change no verdict."""

SingleJudgeConfig = Annotated[MilestoneJudgeConfig | LLMJudgeConfig, Field(discriminator="type")]


class PanelMember(_Settings):
    """One judge of a panel. Weight 0 only monitors: its verdicts are kept and never enter a score."""

    weight: Annotated[float, Field(ge=0)] = 1.0
    judge: SingleJudgeConfig


class PanelJudgeConfig(_Settings):
    """Several judges; the score is the weighted mean of those that gave one."""

    type: Literal["panel"] = "panel"
    members: Annotated[dict[str, PanelMember], Field(min_length=1)]

    @model_validator(mode="after")
    def _somebody_counts(self) -> Self:
        if not any(member.weight for member in self.members.values()):
            raise ValueError("every member of the panel has weight 0; give at least one a weight")
        return self


JudgeConfig = Annotated[MilestoneJudgeConfig | LLMJudgeConfig | PanelJudgeConfig, Field(discriminator="type")]


class JudgeCardConfig(_Settings):
    """What Stage I demands of its judge before it spends anything: a card that `exprl calibrate` wrote."""

    path: str
    max_misplacement: Share = Field(
        default=0.3, description="upper end of the card's interval with the correct reference; chance is 0.5"
    )


class _Threshold(_Settings):
    warn: Annotated[float | None, _CanBeFalse] = Field(default=None, description="false: no warning")
    stop: Annotated[float | None, _CanBeFalse] = Field(
        default=None, description="pause the run before the update; false: never"
    )


class Limit(_Threshold):
    """An alarm at or above a value."""

    @model_validator(mode="after")
    def _warns_first(self) -> Self:
        if self.warn is not None and self.stop is not None and self.stop < self.warn:
            raise ValueError(f"stop = {self.stop:g} would be reached before warn = {self.warn:g}")
        return self


class Floor(_Threshold):
    """An alarm at or below a value."""

    @model_validator(mode="after")
    def _warns_first(self) -> Self:
        if self.warn is not None and self.stop is not None and self.stop > self.warn:
            raise ValueError(f"stop = {self.stop:g} would be reached before warn = {self.warn:g}")
        return self


class MonitorConfig(_Settings):
    """When training warns or pauses because the reward may no longer mean what it should (`exprl.monitor`).

    A number is the mean over the last `window` steps, and over as many more as it takes to have `minimum` rollouts; the
    start is the same from the front. With 200 rollouts the standard error of a rank correlation is 0.07 (of a difference
    of two, 0.1), of a share at most 0.035, of a gap of scores about 0.02: every default lies three to five of them from
    where a sound run stands.
    """

    window: Positive = Field(default=10, description="steps that a number is the mean of, at least")
    minimum: Positive = Field(default=200, description="rollouts that a number is the mean of, at least")
    length: Limit = Field(
        # Longer complete traces do establish more: 0.2 to 0.3 is usual. From 0.5 on length explains the reward.
        default=Limit(warn=0.5),
        description="rank correlation of reward with length within groups",
    )
    length_growth: Limit = Field(
        # A policy that learns to pad shows first as a change, whatever the level was.
        default=Limit(warn=0.4),
        description="how much `length` has risen since the start",
    )
    high_but_wrong: Limit = Field(
        # Judges worth using stay under 0.35 (the paper's math judge: about 0.2). At 0.95 the judge says yes to
        # everything, so that its reward holds no information: the one default that pauses a run.
        default=Limit(warn=0.5, stop=0.95),
        description="share of verified wrong answers that the judge scores 0.75 or more",
    )
    low_but_right: Limit = Field(
        # A judge that sees the reference should rarely miss a right answer; at a half it is at chance.
        default=Limit(warn=0.5),
        description="share of verified right answers that the judge scores under 0.75",
    )
    held_out_gap: Limit = Field(
        # Two judges may differ by a grade (0.25) in severity; two grades are a disagreement.
        default=Limit(warn=0.5),
        description="mean score minus that of a judge of weight 0",
    )
    held_out_gap_growth: Limit = Field(
        # Severity is constant: what grows is what only the rewarding judge can be talked into.
        default=Limit(warn=0.15),
        description="how much `held_out_gap` has risen since the start",
    )
    held_out_rank: Floor = Field(
        # Only the order within a group is learned from: near 0 the two judges would teach unrelated things.
        default=Floor(warn=0.1),
        description="rank correlation of the score with that of a judge of weight 0, within groups",
    )
    markers: Limit = Field(
        # Answers often double in length while training works, and their markers with them; tripling is something else.
        default=Limit(warn=3.0),
        description="factor by which segment markers a rollout rose or fell since the start",
    )
    segments: Limit = Field(
        # As for markers, for rules of segmentation without one. Few segments leave nothing to give credit to.
        default=Limit(warn=3.0),
        description="factor by which segments a rollout rose or fell since the start",
    )
    unscored: Limit = Field(
        # A judge that fails one call in twenty fails on a kind of trace; `unscored_limit` pauses on a single step.
        default=Limit(warn=0.05),
        description="share of complete rollouts without a score",
    )
    truncated: Limit = Field(
        # A truncated rollout's reward is 0 whatever it says: at 0.3 length is a large part of what is learned.
        default=Limit(warn=0.3),
        description="share of rollouts that ran into the token budget",
    )

    @model_validator(mode="before")
    @classmethod
    def _over_the_defaults(cls, given: object) -> object:
        # Who sets `stop` alone keeps the default `warn`.
        if not isinstance(given, dict):
            return given
        defaults = {name: field.default for name, field in cls.model_fields.items()}
        return {
            name: {**defaults[name].model_dump(), **value}
            if isinstance(defaults.get(name), _Threshold) and isinstance(value, dict)
            else value
            for name, value in given.items()
        }


class VerifierConfig(_Settings):
    """How answers are graded: by the strongest verifier that a problem's data allow (`exprl.verify.route`)."""

    timeout: Annotated[float, Field(gt=0)] = Field(default=2.0, description="seconds for comparing one answer")
    workers: Positive = Field(default=1, description="answers, or programs, checked at the same time")
    domains: dict[_Domain, Way] = Field(
        default={}, description="domain -> tests, choice, science, math, judge or blind, against what the data say"
    )
    judge: bool = Field(
        default=False, description="let the [judge] grade answers that nothing else can; costs a call each"
    )
    sandbox: Literal["strict", "weak"] = Field(
        default="strict", description="weak: with the layers of isolation that this machine has"
    )
    code_timeout: Annotated[float, Field(gt=0)] = Field(default=6.0, description="seconds for one run of a program")
    code_memory: Positive = Field(default=512, description="MiB for one run of a program")


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
    execution: _Executed = "share"


class ProcessConfig(Optimisation):
    """ExpRL Process: the judge scores each prefix; credit is given segment by segment.

    `outcome_weight` adds group-relative outcome credit of the final score (0 = the paper).
    """

    type: Literal["process"] = "process"
    credit: Credit = "delta_norm"
    scope: Literal["prefix", "segment"] = "prefix"
    outcome_weight: Annotated[float, Field(ge=0)] = 0.0
    execution: _Executed = "share"


class SparseConfig(Optimisation):
    """Sparse GRPO: reward 1 for a right final answer, else 0."""

    type: Literal["sparse"] = "sparse"
    prompts_per_step: Positive = 32
    updates_per_step: Positive = 2
    normalise_std: bool = True


class SelfDistillConfig(Optimisation):
    """Self-distillation, a baseline: the initial weights, shown the reference, are the teacher (`exprl.baselines`).

    On-policy, so the ratio is 1 and there is nothing to clip; the clip is set out of reach for more updates a step.
    """

    type: Literal["self_distill"] = "self_distill"
    prompts_per_step: Positive = 32
    learning_rate: Annotated[float, Field(gt=0)] = 1e-7
    clip_low: Annotated[float, Field(gt=0)] = 1.0
    clip_high: Annotated[float, Field(gt=0)] = 1e6
    kl: Annotated[float, Field(ge=0)] = 0.0
    max_teacher_tokens: Positive = Field(
        default=16_384, description="of the teacher's prompt, which holds the reference as well"
    )


class SftConfig(_Settings):
    """Supervised fine-tuning on the reference solutions, a baseline without rollouts (`exprl.baselines`)."""

    type: Literal["sft"] = "sft"
    epochs: Positive = 2
    batch: Positive = Field(default=32, description="reference solutions an update")
    micro_batch: Positive | None = Field(default=None, description="of them per forward pass; default: all")
    learning_rate: Annotated[float, Field(gt=0)] = 1e-6
    warmup: Share = Field(default=0.1, description="share of the updates in which the rate rises; then a cosine")
    adam_betas: tuple[Share, Share] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    grad_clip: Annotated[float, Field(gt=0)] = 1.0
    max_prompt_tokens: Positive = 4096
    max_tokens: Positive = Field(default=16_384, description="of a reference solution with its end-of-text token")
    save_every: Positive = 50

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.micro_batch is not None and self.batch % self.micro_batch:
            raise ValueError(f"batch={self.batch} does not divide by micro_batch={self.micro_batch}")
        return self

    def updates(self, problems: int) -> int:
        """Optimiser updates on that many problems; the last of an epoch may be on fewer than `batch`."""
        return self.epochs * -(-problems // self.batch)


MethodConfig = Annotated[
    OutcomeConfig | ProcessConfig | SparseConfig | SelfDistillConfig | SftConfig, Field(discriminator="type")
]
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


class TeacherServerConfig(_Settings):
    """A server of the *initial* weights, which self-distillation under verl asks (`exprl.baselines.served_teacher`)."""

    url: str | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="one endpoint, or several, with vLLM's `prompt_logprobs`"
    )
    model: str = Field(default="", description="what the server calls them; default: policy.model")
    alternatives: Positive = Field(
        default=20, description="likeliest tokens asked for at each place, for a temperature below 1"
    )
    api_key_env: str = "EXPRL_TEACHER_API_KEY"
    concurrency: Positive = Field(default=32, description="calls in flight, in each worker")
    timeout: Annotated[float, Field(gt=0)] = Field(default=300.0, description="seconds for one call")
    retries: Annotated[int, Field(ge=0)] = 4

    @property
    def urls(self) -> tuple[str, ...]:
        """The endpoints, one or several."""
        return (self.url,) if isinstance(self.url, str) else self.url


class ClusterConfig(_Settings):
    """Where the updates run with `engine = "verl"`; says how the work is carried out, not what is computed."""

    nodes: Positive = 1
    gpus_per_node: Positive = Field(
        default=4, description="for the policy; all of them must divide the rollouts of an update"
    )
    trainer: Literal["fsdp", "fsdp2", "megatron"] = "fsdp2"
    rollout: Literal["vllm", "sglang", "cpu"] = Field(
        default="vllm", description="who samples; cpu: sampling and training without a GPU, for trials"
    )
    tensor_parallel: Positive = Field(default=1, description="GPUs of one policy server")
    gpu_memory: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.6, description="share of a GPU's memory for the policy server"
    )
    workers: Positive = Field(default=8, description="processes that drive rollouts and judge them")
    teacher: Annotated[TeacherServerConfig | None, _CanBeFalse] = Field(
        default=None, description="for self-distillation; the trial without a GPU needs none"
    )
    older_trainer: bool = Field(default=False, description="verl's trainer of before 0.9")
    address: str | None = Field(default=None, description="Ray's, such as 'auto'; default: started on this machine")
    overrides: tuple[str, ...] = Field(
        default=(), description="of verl's own configuration, as its command line takes them; they come last"
    )


class RunConfig(_Settings):
    """One experiment: filter, Stage I per arm, Stage II per arm, evaluation, report."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    output: str = "runs"
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    parallel: Positive = Field(default=1, description="arms trained at once, each in a process of its own")
    unscored_limit: Share = Field(
        default=0.2, description="share of unscored rollouts in a step at which the run pauses"
    )
    tracker: Annotated[Tracker | None, _CanBeFalse] = Field(
        default=None, description="mirrors the rows of metrics.jsonl; they are always written"
    )
    engine: Literal["trl", "verl"] = Field(default="trl", description="who updates: one machine, or a cluster")
    cluster: ClusterConfig = ClusterConfig()
    policy: PolicyConfig = PolicyConfig()
    prompt: PromptConfig = PromptConfig()
    data: DataConfig
    segments: SegmentConfig = SegmentConfig()
    judge: JudgeConfig = MilestoneJudgeConfig()
    judge_card: Annotated[JudgeCardConfig | None, _CanBeFalse] = None
    verifier: VerifierConfig = VerifierConfig()
    monitor: MonitorConfig = MonitorConfig()
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
