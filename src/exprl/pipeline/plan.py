"""What a run will do, in numbers, before it spends anything (`--dry-run`).

Upper bounds: every rollout as long as its budget, every trace cut into `max_segments`; what the judge costs at most is
reckoned in `exprl.judge.budget`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from exprl.config import MethodConfig, ProcessConfig, RunConfig, SftConfig
from exprl.judge.budget import Ceiling, judging_ceiling, longest_problem
from exprl.methods import needs_judge
from exprl.types import Submission

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
    """All the work of a run, the ceiling of what its judge reads, writes and costs, and what must be said of it."""

    rows: tuple[PlanRow, ...]
    judge: Ceiling = _NOTHING
    notes: tuple[str, ...] = ()

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
            "notes": list(self.notes),
        }


def plan(
    config: RunConfig,
    train: int,
    evaluate: dict[str, int],
    *,
    problem_tokens: int = 0,
    judged: int = 0,
    arms: Sequence[str] = (),
    stages: Sequence[str] = ("stage1", "stage2"),
) -> Plan:
    """Count the work of `config`.

    Args:
        train: number of candidate training problems (the filter may keep fewer).
        evaluate: number of problems of each evaluation set.
        problem_tokens: of the longest training problem with its reference, as `exprl.judge.budget` reckons it.
        judged: problems, of all sets, that only the judge can grade; with any, every rollout is taken to be graded so.
        arms: those to count; none named: all.
        stages: those to count.
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
    chosen = {arm: config.arms[arm] for arm in arms or config.arms}
    for arm, method in chosen.items():
        evaluations = 0
        if "stage1" in stages:
            cost = _judging(method, config, seeds, problem_tokens)
            judging = judging.plus(cost)
            rows.append(_stage(f"{arm}, Stage I", method, seeds, cost.calls, kept))
            evaluations += 1
        if config.stage2 is not None and "stage2" in stages:
            rows.append(_stage(f"{arm}, Stage II", config.stage2, seeds, 0, kept))
            evaluations += 1
        total = one_eval * seeds * evaluations
        rows.append(PlanRow(f"{arm}, evaluate", total, total * config.evaluate.max_tokens, 0))
    if judged:
        tokens = max([config.evaluate.max_tokens, *(method.max_tokens for method in chosen.values())])
        rollouts = sum(row.rollouts for row in rows)
        cost = judging_ceiling(
            config.judge, traces=rollouts, cuts=1, trace_tokens=tokens, problem_tokens=problem_tokens
        )
        judging = judging.plus(cost)
        rows.append(PlanRow("grading by the judge", 0, 0, cost.calls))
    return Plan(tuple(rows), judging, _budgets(chosen) if "stage1" in stages else ())


def plan_samples(config: RunConfig, sizes: dict[str, int], n: int) -> Plan:
    """Count the work of `n` samples of each problem of the sets."""
    rollouts = {name: size * n for name, size in sizes.items()}
    rows = [PlanRow(f"sample {name}", count, count * config.evaluate.max_tokens, 0) for name, count in rollouts.items()]
    return Plan(tuple(rows))


def plan_judging(config: RunConfig, submissions: Sequence[Submission]) -> Plan:
    """Count the work of judging traces that are there already."""
    cost = judging_ceiling(
        config.judge,
        traces=sum(len(submission.cuts) for submission in submissions),
        cuts=1,
        trace_tokens=max((len(submission.text) // 2 for submission in submissions), default=0),
        problem_tokens=longest_problem(submission.problem for submission in submissions),
    )
    return Plan((PlanRow("judge", 0, 0, cost.calls),), cost)


def _budgets(arms: Mapping[str, MethodConfig]) -> tuple[str, ...]:
    """One line where the arms do not have the same budget of Stage-I rollouts."""
    rollouts = {arm: _rollouts(method, 1) for arm, method in arms.items()}
    if len(set(rollouts.values())) <= 1:
        return ()
    said = [f"{arm} {count:,}" if count else f"{arm} none (it reads the references)" for arm, count in rollouts.items()]
    return (f"the arms differ in Stage-I rollouts a seed: {', '.join(said)}",)


def _rollouts(method: MethodConfig, seeds: int) -> int:
    if isinstance(method, SftConfig):
        return 0
    return method.steps * method.prompts_per_step * method.rollouts_per_prompt * seeds


def _judging(method: MethodConfig, config: RunConfig, seeds: int, problem_tokens: int) -> Ceiling:
    if isinstance(method, SftConfig) or not needs_judge(method):
        return _NOTHING
    cuts = config.segments.max_segments if isinstance(method, ProcessConfig) else 1
    return judging_ceiling(
        config.judge,
        traces=_rollouts(method, seeds),
        cuts=cuts,
        trace_tokens=method.max_tokens,
        problem_tokens=problem_tokens,
    )


def _stage(what: str, method: MethodConfig, seeds: int, judge_calls: int, problems: int) -> PlanRow:
    rollouts = _rollouts(method, seeds)
    if isinstance(method, SftConfig):
        return PlanRow(what, 0, 0, 0, method.updates(problems) * seeds)
    updates = method.steps * method.updates_per_step * seeds
    return PlanRow(what, rollouts, rollouts * method.max_tokens, judge_calls, updates)
