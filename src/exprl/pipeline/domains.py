"""Coverage split by domain, for sets that hold more than one: mathematics beside code says more than their mean.

    {"code": {arm: {stage: {set: {"pass@1": {...}, ..., "problems": 48}}}}, "math": {...}}

A set of one domain has no entry, since its numbers would be those of the whole set again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from exprl.config import RunConfig
from exprl.evaluate.coverage import Counts, coverage

__all__ = ["by_domain"]

Place = tuple[str, str, str]


def by_domain(
    config: RunConfig, counted: Mapping[Place, Counts], domains: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, dict[str, dict[str, dict[str, object]]]]]:
    """pass@k of every policy on every mixed set, a domain at a time.

    Args:
        counted: counts by arm, stage and set; their columns are the set's problems.
        domains: the domain of each problem of a set, in the order of those columns.
    """
    split: dict[str, dict[str, dict[str, dict[str, dict[str, object]]]]] = {}
    for (arm, stage, name), counts in counted.items():
        labels = np.array(domains[name])
        for domain in sorted(set(domains[name])) if len(set(domains[name])) > 1 else ():
            numbers = _numbers(config, counts, np.flatnonzero(labels == domain))
            split.setdefault(domain, {}).setdefault(arm, {}).setdefault(stage, {})[name] = numbers
    return split


def _numbers(
    config: RunConfig, counts: Counts, columns: np.ndarray[tuple[int], np.dtype[np.intp]]
) -> dict[str, object]:
    part = Counts.of(counts.n_SP[:, columns], counts.correct_SP[:, columns], counts.unscored_SP[:, columns])
    found = coverage(part, bootstrap=config.evaluate.bootstrap, level=config.evaluate.level)
    return {**found.summary(), "problems": len(columns), "unscored": int(part.unscored_SP.sum())}
