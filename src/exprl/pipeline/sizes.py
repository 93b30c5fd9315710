"""How large the sets of a plan are: counted where the data is here, assumed from `limit` where it is not.

A dry run downloads nothing. A Hub set, or a file that is not there yet, counts with its `limit`, and the plan says that this
is assumed and what could not be checked; without a `limit` a Hub set is fetched after all, and a missing file is an error
that names the key. A run itself assumes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from exprl.config import RunConfig, SourceConfig
from exprl.data.rows import is_hub_id
from exprl.judge.budget import longest_problem
from exprl.pipeline.context import TRAIN_SET, load_sets, refuse_overlaps
from exprl.types import Problem
from exprl.verify import route

__all__ = ["Sizes", "planned_sizes"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Problems of every set, of which `assumed` were not counted, and tokens of the longest training problem.

    `judged` are those that only a judge can grade (`exprl.verify.route`), where `verifier.judge` lets it.
    """

    sets: dict[str, int]
    problem_tokens: int
    warnings: tuple[str, ...]
    assumed: tuple[str, ...]
    judged: dict[str, int] = field(default_factory=dict)


def planned_sizes(config: RunConfig) -> Sizes:
    """Load what is here, and take the rest at its word.

    Raises:
        DataError, OverlapError, ConfigError: of the sets that are here; see `load_sets`.
    """
    sources = {TRAIN_SET: config.data.train, **config.data.evaluate}
    away = {name: source.limit for name, source in sources.items() if source.limit is not None and _is_away(source)}
    loaded = load_sets(config, leave_out=away)
    warnings = [_said(name, sources[name], size) for name, size in away.items()]
    if TRAIN_SET in loaded:
        warnings += refuse_overlaps(config, loaded)
        tokens = longest_problem(loaded[TRAIN_SET])
    else:
        tokens = 2 * max(method.max_prompt_tokens for method in config.arms.values())
        warnings.append(f"a training problem with its reference is assumed to have at most {tokens:,} tokens")
    if away:
        warnings.append("assumed sets are not checked for overlap, references and answers; the run itself checks them")
    counted = {name: len(problems) for name, problems in loaded.items()}
    judged = {name: _judged(problems, config) for name, problems in loaded.items()}
    return Sizes({name: (counted | away)[name] for name in sources}, tokens, tuple(warnings), tuple(away), judged)


def _judged(problems: list[Problem], config: RunConfig) -> int:
    return sum(route(problem, config.verifier.domains).way in ("judge", "blind") for problem in problems)


def _is_away(source: SourceConfig) -> bool:
    if source.path.startswith("world:"):
        return False
    return is_hub_id(source.path) or not Path(source.path).exists()


def _said(name: str, source: SourceConfig, size: int) -> str:
    key = f"data.{'train' if name == TRAIN_SET else f'evaluate.{name}'}"
    if is_hub_id(source.path):
        return f"{name}: {size:,} problems assumed ({key}.limit); a dry run does not fetch {source.path} from the Hub"
    return (
        f"{name}: {size:,} problems assumed ({key}.limit); there is no {source.path} yet: set {key}.path before the run"
    )
