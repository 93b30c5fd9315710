"""The problems of a benchmark, from a local file where there is one, else from the Hub.

The folder is `--data`, else the environment's EXPRL_DATA. Where a benchmark's file is in it, that is used and nothing is
asked of the network. `draw` takes some of the problems: always the same ones, spread over the set, and those of a smaller
number among those of a larger one, so that a later call with more problems goes on with what is there.

What this module refuses: a benchmark that is nowhere (it names the file), and a set with another number of problems than
the registry states, since that is another benchmark.

    >>> load_benchmark(benchmarks()["aime26"], Path("data"))  # doctest: +SKIP
    (PosixPath('data/aime26.jsonl'), [...])
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from exprl.config import SourceConfig
from exprl.data import load_problems, require_answers, require_tests
from exprl.errors import DataError
from exprl.evaluate.benchmarks.registry import Benchmark, Place
from exprl.evaluate.benchmarks.shapes import SHAPES
from exprl.evaluate.sample.plan import derive_seed
from exprl.types import Problem

__all__ = ["DATA_ENV", "Loaded", "data_folder", "draw", "load_benchmark"]

DATA_ENV = "EXPRL_DATA"


class Loaded(NamedTuple):
    """All problems of a benchmark, and in words where they are from."""

    origin: str
    problems: list[Problem]


def data_folder(given: Path | None) -> Path | None:
    """The folder of local benchmark files: the one given, else EXPRL_DATA, else none.

    Raises:
        DataError: it is not there.
    """
    folder = given or (Path(os.environ[DATA_ENV]) if os.environ.get(DATA_ENV) else None)
    if folder is not None and not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give one with the benchmarks' files as --data or {DATA_ENV}")
    return folder


def load_benchmark(benchmark: Benchmark, data: Path | None) -> Loaded:
    """Load a benchmark, all of it, and check what its verifier needs.

    Raises:
        DataError: it is nowhere, cannot be read, or is not the edition that the registry states.
    """
    origin, place = _where(benchmark, data)
    source = SourceConfig(path=origin, split=place.split, columns=place.columns, domain=benchmark.domain)
    try:
        problems = load_problems(source, reshape=SHAPES[place.shape] if place.shape else None)
    except DataError as error:
        raise DataError(f"benchmark {benchmark.name}: {error}{_hint(benchmark, place)}") from None
    if len(problems) != place.problems:
        raise DataError(
            f"benchmark {benchmark.name}: {origin} holds {len(problems)} problems, and this benchmark has "
            f"{place.problems}; it is another edition"
        )
    (require_tests if benchmark.verifier == "code" else require_answers)(problems, f"grading {benchmark.name}")
    return Loaded(origin, problems)


def draw(problems: Sequence[Problem], limit: int | None) -> list[Problem]:
    """At most `limit` problems: those whose ids have the lowest hashes, in the order of the set."""
    if limit is None or limit >= len(problems):
        return list(problems)
    chosen = set(sorted((problem.id for problem in problems), key=lambda name: derive_seed(0, ["draw", name]))[:limit])
    return [problem for problem in problems if problem.id in chosen]


def _where(benchmark: Benchmark, data: Path | None) -> tuple[str, Place]:
    if benchmark.file is not None and data is not None and (path := data / benchmark.file.path).is_file():
        return str(path), benchmark.file
    if benchmark.hub is not None:
        return benchmark.hub.path, benchmark.hub
    assert benchmark.file is not None
    raise DataError(
        f"benchmark {benchmark.name}: {benchmark.file.path} is not in {data or 'any folder'}, and it is not on the Hub "
        f"({benchmark.notes}); give the folder that holds it as --data or {DATA_ENV}"
    )


def _hint(benchmark: Benchmark, place: Place) -> str:
    """What else can be done about a Hub set that cannot be loaded."""
    if place is not benchmark.hub:
        return ""
    name = place.path.partition(":")[0]
    login = f"; it is gated: accept its terms at huggingface.co/datasets/{name} and log in" if benchmark.gated else ""
    file = f"; or put {benchmark.file.path} into the folder given as --data" if benchmark.file else ""
    return login + file
