"""Which problems a suite is made against: a sample, without repetitions, of a file or of a configuration's set.

A file may hold problems (`problem`, `solution`, `answer`) or labelled answers (`problem`, `reference`, ...): in the latter
several rows answer one problem, and count as one.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from exprl.config import ColumnMap, RunConfig, SourceConfig
from exprl.data import load_problems
from exprl.data.rows import read_rows
from exprl.errors import ConfigError, DataError
from exprl.types import Problem

__all__ = ["chosen", "problems_of"]

_TRAIN = "hard_train"


def problems_of(config: RunConfig, data: Path | None, set_name: str) -> list[Problem]:
    """The problems of a file, or of the configuration's set.

    Raises:
        ConfigError: no set of that name.
        DataError: whatever cannot be loaded, with its place.
    """
    if data is not None:
        return load_problems(_source(data))
    sources = {_TRAIN: config.data.train, **config.data.evaluate}
    if set_name not in sources:
        raise ConfigError(f"no set {set_name!r}; there are {', '.join(sources)}")
    return load_problems(sources[set_name])


def chosen(problems: Sequence[Problem], count: int, seed: int) -> list[Problem]:
    """At most `count` different problems that have a reference, drawn by the seed.

    Raises:
        DataError: none has one.
    """
    usable = {p.text: p for p in reversed(problems) if p.reference.has_solution or p.reference.has_answer}
    if not usable:
        raise DataError("no problem has a reference solution or an answer, so there is nothing to be fooled about")
    found = list(usable.values())[::-1]
    return random.Random(f"{seed}:problems").sample(found, min(count, len(found)))


def _source(path: Path) -> SourceConfig:
    source = SourceConfig(path=str(path))
    if source.path.startswith("world:"):
        return source
    cells = next((row.cells for row in read_rows(source)), {})
    if "reference" in cells and "solution" not in cells:
        return source.model_copy(update={"columns": ColumnMap(solution="reference")})
    return source
