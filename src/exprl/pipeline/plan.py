"""What a run will do, in numbers, before it spends anything (`--dry-run`).

Upper bounds: every rollout as long as its budget, every trace cut into `max_segments`; what the judge costs at most is
reckoned in `exprl.judge.budget`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from exprl.config import MethodConfig, ProcessConfig, RunConfig
from exprl.judge.budget import Ceiling, judging_ceiling
from exprl.methods import needs_judge

__all__ = ["Plan", "PlanRow", "plan", "plan_judging", "plan_samples"]


_NOTHING = Ceiling(0, 0, 0, 0.0)


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
    """All the work of a run, and the ceiling of what its judge reads, writes and costs."""

    rows: tuple[PlanRow, ...]
    judge: Ceiling = _NOTHING

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
            "judge": self.judge._asdict(),
        }


def plan(config: RunConfig, train: int, evaluate: dict[str, int], *, problem_tokens: int = 0) -> Plan:
    """Count the work of `config`.

    Args:
        train: number of candidate training problems (the filter may keep fewer).
        evaluate: number of problems of each evaluation set.
        problem_tokens: of the longest training problem with its reference, as `exprl.judge.budget` reckons it.
    """
    rows: list[PlanRow] = []
    judging = _NOTHING
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
        cost = _judging(method, config, seeds, problem_tokens)
        judging = judging.plus(cost)
        rows.append(_stage(f"{arm}, Stage I", method, seeds, cost.calls))
        stages = 1
        if config.stage2 is not None:
            rows.append(_stage(f"{arm}, Stage II", config.stage2, seeds, 0))
            stages = 2
        total = one_eval * seeds * stages
        rows.append(PlanRow(f"{arm}, evaluate", total, total * config.evaluate.max_tokens, 0))
    return Plan(tuple(rows), judging)


def plan_samples(config: RunConfig, sizes: dict[str, int], n: int) -> Plan:
    """Count the work of `n` samples of each problem of the sets."""
    rollouts = {name: size * n for name, size in sizes.items()}
    rows = [PlanRow(f"sample {name}", count, count * config.evaluate.max_tokens, 0) for name, count in rollouts.items()]
    return Plan(tuple(rows))


def plan_judging(config: RunConfig, cuts: int, *, trace_tokens: int = 0, problem_tokens: int = 0) -> Plan:
    """Count the work of judging traces that are there already, cut into `cuts` pieces in all.

    Args:
        trace_tokens: of the longest trace.
        problem_tokens: see `plan`.
    """
    cost = judging_ceiling(config.judge, traces=cuts, cuts=1, trace_tokens=trace_tokens, problem_tokens=problem_tokens)
    return Plan((PlanRow("judge", 0, 0, cost.calls),), cost)


def _rollouts(method: MethodConfig, seeds: int) -> int:
    return method.steps * method.prompts_per_step * method.rollouts_per_prompt * seeds


def _judging(method: MethodConfig, config: RunConfig, seeds: int, problem_tokens: int) -> Ceiling:
    if not needs_judge(method):
        return _NOTHING
    cuts = config.segments.max_segments if isinstance(method, ProcessConfig) else 1
    return judging_ceiling(
        config.judge,
        traces=_rollouts(method, seeds),
        cuts=cuts,
        trace_tokens=method.max_tokens,
        problem_tokens=problem_tokens,
    )


def _stage(what: str, method: MethodConfig, seeds: int, judge_calls: int) -> PlanRow:
    rollouts = _rollouts(method, seeds)
    updates = method.steps * method.updates_per_step * seeds
    return PlanRow(what, rollouts, rollouts * method.max_tokens, judge_calls, updates)
