"""Where a run's GPUs go, what a step then costs, and what it waits for (`exprl cluster`, and `--dry-run` on a cluster).

    plan = plan_cluster(config, nodes=1, gpus=8)
    plan = plan_configured(config)                    # the GPUs and endpoints that the configuration names
    plan.stages[0].judge_gpus, plan.stages[0].time.total, plan.stages[0].time.bottleneck

For each arm, and Stage II, the GPUs are divided between policy and judge so that a step is shortest and all fits
(`exprl.cluster.step`, `exprl.cluster.memory`); `judge_gpus` fixes the division instead. The same number in all stages is
not asked for: a judge's server can be started for its stage. Baselines without rollouts (SFT) are not planned.

A plan is arithmetic on assumptions, all of which it shows. It ranks placements and finds what is wasted better than it
predicts seconds: measure one step, give what it took (`exprl.cluster.assumptions`), and plan again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from exprl.cluster.assumptions import Assumptions
from exprl.cluster.memory import Memory, memory
from exprl.cluster.shape import Shape, shape_of
from exprl.cluster.step import StepTime, step_time
from exprl.cluster.workload import Workload, workload
from exprl.config import LLMJudgeConfig, RunConfig, SelfDistillConfig, SftConfig
from exprl.errors import ConfigError

__all__ = ["ClusterPlan", "StagePlan", "plan_cluster", "plan_configured"]

_FEW = 0.8  # of the time of sampling, in which one rollout alone would be done


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage on its GPUs."""

    work: Workload
    policy_gpus: int
    judge_gpus: int
    time: StepTime
    memory: Memory

    @property
    def hours(self) -> float:
        """Of all its steps."""
        return self.work.steps * self.time.total / 3600

    @property
    def judge_tokens(self) -> float:
        """Tokens that the judge is sent a step."""
        return 0.0 if self.work.judging is None else self.work.rollouts * self.work.judging.sent

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            **asdict(self),
            "step_s": self.time.total,
            "hours": self.hours,
            "bottleneck": self.time.bottleneck,
            "tokens_sampled": self.work.sampled,
            "tokens_trained": self.work.trained,
            "tokens_judged": self.judge_tokens,
        }


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """Every stage of a run on `gpus` GPUs, under what was assumed."""

    gpus: int
    stages: tuple[StagePlan, ...]
    assumed: Assumptions
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "gpus": self.gpus,
            "stages": [stage.as_dict() for stage in self.stages],
            "assumed": {name: value for name, value, _ in self.assumed.rows()},
            "notes": list(self.notes),
        }


def plan_cluster(
    config: RunConfig,
    *,
    nodes: int = 1,
    gpus: int = 8,
    judge_gpus: int | None = None,
    arms: Sequence[str] = (),
    assumed: Assumptions | None = None,
) -> ClusterPlan:
    """Plan every arm (or those named) and Stage II on `nodes` machines of `gpus` GPUs each.

    Args:
        judge_gpus: GPUs for the judge; default: as many as make a step shortest.
    Raises:
        ConfigError: an arm that is not there, a model of unknown shape, or a run that does not fit.
    """
    assumed = assumed or Assumptions()
    works, notes = _works(config, arms, assumed)
    stages = tuple(_placed(work, nodes, nodes * gpus, judge_gpus, assumed) for work in works)
    return ClusterPlan(nodes * gpus, stages, assumed, (*notes, *_few_rollouts(stages)))


def plan_configured(config: RunConfig, *, arms: Sequence[str] = (), assumed: Assumptions | None = None) -> ClusterPlan:
    """Plan the arms and Stage II on the GPUs that `config.cluster` names, with a copy of judge or teacher behind each endpoint.

    Raises:
        ConfigError: see `plan_cluster`.
    """
    cluster = config.cluster
    given = {"policy_copy_gpus": cluster.tensor_parallel, "sampler_memory": cluster.gpu_memory}
    assumed = (assumed or Assumptions()).model_copy(update=given)
    works, notes = _works(config, arms, assumed)
    policy = cluster.nodes * cluster.gpus_per_node
    own = {work.name: _endpoints(config, work) * assumed.judge_copy_gpus for work in works}
    stages = tuple(
        _placed(work, cluster.nodes, policy + own[work.name], own[work.name] or None, assumed) for work in works
    )
    return ClusterPlan(policy + max(own.values()), stages, assumed, (*notes, *_few_rollouts(stages)))


def _endpoints(config: RunConfig, work: Workload) -> int:
    """Of the judge, or of self-distillation's teacher, that a stage asks."""
    if work.judging is None:
        return 0
    if isinstance(config.arms.get(work.name), SelfDistillConfig):
        teacher = config.cluster.teacher
        return 1 if teacher is None else len(teacher.urls)
    return len(config.judge.urls) if isinstance(config.judge, LLMJudgeConfig) else 0


def _works(config: RunConfig, arms: Sequence[str], assumed: Assumptions) -> tuple[list[Workload], list[str]]:
    """What is planned, and what is said of the rest."""
    if unknown := [arm for arm in arms if arm not in config.arms]:
        raise ConfigError(f"no arm {unknown[0]!r}; the arms are {', '.join(config.arms)}")
    chosen = {name: method for name, method in config.arms.items() if not arms or name in arms}
    notes = [f"{name} samples nothing and is not planned" for name, m in chosen.items() if isinstance(m, SftConfig)]
    notes += [
        f"{name}: the judge is its teacher's server" for name, m in chosen.items() if isinstance(m, SelfDistillConfig)
    ]
    works = [
        workload(config, name, method, assumed) for name, method in chosen.items() if not isinstance(method, SftConfig)
    ]
    if config.stage2 is not None:
        works.append(workload(config, "Stage II", config.stage2, assumed))
    return works, notes


def _placed(work: Workload, nodes: int, gpus: int, judge_gpus: int | None, assumed: Assumptions) -> StagePlan:
    policy = shape_of(work.policy)
    judge = None if work.judging is None else shape_of(work.judging.model)
    counts = _divisions(judge, gpus, judge_gpus, assumed)
    plans = [_at(work, policy, judge, nodes, gpus - count, count, assumed) for count in counts]
    if not plans:
        given = "" if judge_gpus is None else f" with {judge_gpus} for the judge"
        raise ConfigError(
            f"{work.name}: {gpus} GPUs{given} do not divide into copies of {assumed.policy_copy_gpus} (policy) and "
            f"{assumed.judge_copy_gpus} (judge)"
        )
    fitting = [plan for plan in plans if plan.memory.fits]
    if not fitting:
        raise ConfigError(f"{work.name} does not fit on {gpus} x {assumed.gpu}: {'; '.join(plans[0].memory.problems)}")
    return min(fitting, key=lambda plan: plan.time.total)


def _divisions(judge: Shape | None, gpus: int, wanted: int | None, assumed: Assumptions) -> list[int]:
    """How many GPUs the judge may have."""
    if judge is None:
        counts = [0]
    elif wanted is not None:
        counts = [wanted] if wanted > 0 and wanted % assumed.judge_copy_gpus == 0 else []
    else:
        counts = list(range(assumed.judge_copy_gpus, gpus, assumed.judge_copy_gpus))
    # What is left over, where copies of the policy take several GPUs, stands idle.
    return [count for count in counts if gpus - count >= assumed.policy_copy_gpus]


def _at(
    work: Workload, policy: Shape, judge: Shape | None, nodes: int, left: int, judge_gpus: int, assumed: Assumptions
) -> StagePlan:
    own = left // assumed.policy_copy_gpus * assumed.policy_copy_gpus
    return StagePlan(
        work,
        own,
        judge_gpus,
        step_time(work, policy, judge, own, judge_gpus, assumed, machines=nodes),
        memory(work, policy, judge, own, assumed),
    )


def _few_rollouts(stages: Sequence[StagePlan]) -> list[str]:
    """What more GPUs would not help with."""
    return [
        f"{stage.work.name}: sampling takes {stage.time.sample:.0f} s, the longest rollout alone {stage.time.longest:.0f} s: "
        f"{stage.work.rollouts:,} rollouts a step are few for {stage.policy_gpus} GPUs. More prompts a step, a shorter "
        f"max_tokens or fewer GPUs would waste less"
        for stage in stages
        if stage.time.longest > _FEW * stage.time.sample
    ]
