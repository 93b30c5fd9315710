"""One policy by itself: its samples of a set, and its coverage. What `exprl sample` and `exprl eval` do."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from exprl.config import RunConfig
from exprl.errors import ConfigError, CoverageError
from exprl.evaluate.coverage import Counts, Coverage, coverage
from exprl.evaluate.sample import count_correct, derive_seed
from exprl.pipeline.context import load_sets, open_sampler, policy_path
from exprl.pipeline.jobs import evaluation_sets
from exprl.verify import build_verifier

__all__ = ["evaluate_policy", "sample_set"]


def sample_set(config: RunConfig, policy: str | None, name: str, path: Path, n: int) -> Counts:
    """Fill `path` with n graded samples of every problem of the set `name`; returns the counts.

    Raises:
        ConfigError: no set of that name.
    """
    sets = load_sets(config)
    if name not in sets:
        raise ConfigError(f"no set {name!r}; there are {', '.join(sets)}")
    with (
        closing(build_verifier(config.verifier)) as verifier,
        open_sampler(config, policy_path(policy or config.policy.model), base=policy is None) as sampler,
    ):
        return count_correct(
            path,
            sets[name],
            sampler,
            verifier,
            n=n,
            temperature=config.evaluate.temperature,
            max_tokens=config.evaluate.max_tokens,
            seed=derive_seed(config.seeds[0], ["evaluate"]),
            batch=config.policy.sample_batch,
        )


def evaluate_policy(
    config: RunConfig, policy: str | None, folder: Path, *, ks: Sequence[int] | None = None
) -> dict[str, Coverage]:
    """Coverage of a policy on every evaluation set of the configuration.

    Raises:
        CoverageError: some k is larger than `evaluate.n`; said before anything is sampled.
    """
    n = config.evaluate.n
    if ks and max(ks) > n:
        raise CoverageError(f"pass@{max(ks)} needs at least {max(ks)} samples a problem, and evaluate.n is {n}")
    results: dict[str, Coverage] = {}
    for name in evaluation_sets(config):
        path = folder / name / "samples.jsonl"
        counts = sample_set(config, policy, name, path, n)
        results[name] = coverage(counts, ks, bootstrap=config.evaluate.bootstrap, level=config.evaluate.level)
    return results
