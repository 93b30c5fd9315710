"""What a run will do, in numbers, before it spends anything (`--dry-run`).

Upper bounds: every rollout as long as its budget, every trace cut into `max_segments`. Judge prompts are estimated from
the trace budget, since references are not opened here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from exprl.config import LLMJudgeConfig, MethodConfig, ProcessConfig, RunConfig
from exprl.methods import needs_judge

__all__ = ["Plan", "PlanRow", "plan", "plan_judging", "plan_samples"]


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One piece of work: `rollouts` sampled, at most `tokens` generated, at most `judge_calls` made."""

    what: str
    rollouts: int
    tokens: int
    judge_calls: int
    updates: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """All the work of a run; `judge_tokens` is the ceiling of what the judge writes."""

    rows: tuple[PlanRow, ...]
    judge_tokens: int

    @property
    def total(self) -> PlanRow:
        """The sum of the rows."""
        return PlanRow(
            "total",
            sum(row.rollouts for row in self.rows),
            sum(row.tokens for row in self.rows),
            sum(row.judge_calls for row in self.rows),
            sum(row.updates for row in self.rows),
        )

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "rows": [asdict(row) for row in self.rows],
            "total": asdict(self.total),
            "judge_tokens": self.judge_tokens,
        }


def plan(config: RunConfig, train: int, evaluate: dict[str, int]) -> Plan:
    """Count the work of `config`.

    Args:
        train: number of candidate training problems (the filter may keep fewer).
        evaluate: number of problems of each evaluation set.
    """
    rows: list[PlanRow] = []
    kept = train
    if (filtered := config.data.filter) is not None:
        candidates = train + (sum(evaluate.values()) if config.data.filter_evaluate else 0)
        rows.append(PlanRow("filter", candidates * filtered.n, candidates * filtered.n * filtered.max_tokens, 0))
        kept = min(train, filtered.keep or train)
        if config.data.filter_evaluate:
            evaluate = {name: min(size, filtered.keep or size) for name, size in evaluate.items()}
    problems = sum(evaluate.values()) + (kept if config.evaluate.train_problems else 0)
    one_eval = problems * config.evaluate.n
    rows.append(PlanRow("evaluate base", one_eval, one_eval * config.evaluate.max_tokens, 0))
    seeds = len(config.seeds)
    for arm, method in config.arms.items():
        rows.append(_stage(f"{arm}, Stage I", method, config, seeds))
        stages = 1
        if config.stage2 is not None:
            rows.append(_stage(f"{arm}, Stage II", config.stage2, config, seeds))
            stages = 2
        total = one_eval * seeds * stages
        rows.append(PlanRow(f"{arm}, evaluate", total, total * config.evaluate.max_tokens, 0))
    return _with_judge(config, rows)


def plan_samples(config: RunConfig, sizes: dict[str, int], n: int) -> Plan:
    """Count the work of `n` samples of each problem of the sets."""
    rollouts = {name: size * n for name, size in sizes.items()}
    rows = [PlanRow(f"sample {name}", count, count * config.evaluate.max_tokens, 0) for name, count in rollouts.items()]
    return _with_judge(config, rows)


def plan_judging(config: RunConfig, cuts: int) -> Plan:
    """Count the work of judging traces that are there already, cut into `cuts` pieces in all."""
    return _with_judge(config, [PlanRow("judge", 0, 0, cuts)])


def _with_judge(config: RunConfig, rows: list[PlanRow]) -> Plan:
    calls = sum(row.judge_calls for row in rows)
    ceiling = calls * config.judge.max_tokens if isinstance(config.judge, LLMJudgeConfig) else 0
    return Plan(tuple(rows), ceiling)


def _stage(what: str, method: MethodConfig, config: RunConfig, seeds: int) -> PlanRow:
    rollouts = method.steps * method.prompts_per_step * method.rollouts_per_prompt * seeds
    cuts = config.segments.max_segments if isinstance(method, ProcessConfig) else 1
    calls = rollouts * cuts if needs_judge(method) else 0
    updates = method.steps * method.updates_per_step * seeds
    return PlanRow(what, rollouts, rollouts * method.max_tokens, calls, updates)
