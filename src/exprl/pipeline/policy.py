"""One policy by itself: its samples of a set, and its coverage. What `exprl sample` and `exprl eval` do."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from exprl.config import RunConfig
from exprl.errors import ConfigError, CoverageError
from exprl.evaluate.advice import Advice, advise
from exprl.evaluate.coverage import Counts, Coverage, coverage
from exprl.evaluate.sample import count_correct, derive_seed
from exprl.pipeline.context import named_set, open_sampler, open_verifier, policy_path
from exprl.pipeline.jobs import evaluation_sets

__all__ = ["Evaluated", "check_ks", "evaluate_policy", "sample_set"]


_SERVED_BATCH = 8
"""Rows graded and written at once where a server samples one by one: no more than these are lost with the process."""


class Evaluated(NamedTuple):
    """One set: its coverage, and what it says should be done next (None where nothing was scored)."""

    coverage: Coverage
    advice: Advice | None

    def summary(self) -> dict[str, object]:
        """As `--json` has it."""
        return {**self.coverage.summary(), "advice": None if self.advice is None else self.advice.as_dict()}


def sample_set(config: RunConfig, policy: str | None, name: str, path: Path, n: int) -> Counts:
    """Fill `path` with n graded samples of every problem of the set `name`; returns the counts.

    Raises:
        ConfigError: no set of that name.
    """
    problems = named_set(config, name)
    with (
        closing(open_verifier(config, store=path.parent)) as verifier,
        open_sampler(config, policy_path(policy or config.policy.model), base=policy is None) as sampler,
    ):
        return count_correct(
            path,
            problems,
            sampler,
            verifier,
            n=n,
            temperature=config.evaluate.temperature,
            max_tokens=config.evaluate.max_tokens,
            seed=derive_seed(config.seeds[0], ["evaluate"]),
            batch=_SERVED_BATCH if policy is None and config.policy.url is not None else config.policy.sample_batch,
        )


def evaluate_policy(
    config: RunConfig, policy: str | None, folder: Path, *, ks: Sequence[int] | None = None
) -> dict[str, Evaluated]:
    """Coverage of a policy on every evaluation set of the configuration.

    Raises:
        CoverageError: see `check_ks`; said before anything is sampled.
        ConfigError: there is no set to evaluate on.
    """
    check_ks(config, ks or ())
    if not evaluation_sets(config):
        raise ConfigError(
            "nothing to evaluate on: set evaluate.train_problems = true or add a [data.evaluate.NAME] table"
        )
    n = config.evaluate.n
    results: dict[str, Evaluated] = {}
    for name in evaluation_sets(config):
        path = folder / name / "samples.jsonl"
        counts = sample_set(config, policy, name, path, n)
        bootstrap, level = config.evaluate.bootstrap, config.evaluate.level
        advice = advise(counts, bootstrap=bootstrap, level=level) if counts.scored_SP.any() else None
        results[name] = Evaluated(coverage(counts, ks, bootstrap=bootstrap, level=level), advice)
    return results


def check_ks(config: RunConfig, ks: Sequence[int]) -> None:
    """Refuse a pass@k that `evaluate.n` samples cannot give.

    Raises:
        CoverageError: some k is larger than `evaluate.n`.
    """
    n, most = config.evaluate.n, max(ks, default=0)
    if most > n:
        raise CoverageError(
            f"pass@{most} needs at least {most} samples a problem, and evaluate.n is {n}; "
            f"ask for k up to {n}, or set --evaluate.n {most}"
        )
