"""The paper's numbers, for where they may stand beside ours: the same model on the same, whole benchmark.

They are kept in `paper.toml`. A number matches if the policy is the paper's model (by its last path part), the evaluation set
is one of the paper's benchmarks (by its name or the last part of its source) with the number of problems that the benchmark
has, and the arm's method is one of the paper's. Everything else gets None: a number of another model, or of a part of a
benchmark, would be compared with what it cannot be compared with.

    >>> benchmark("AIME-26", "data/x.jsonl", 30), benchmark("aime26", "data/x.jsonl", 12)
    ('aime26', None)
    >>> paper_value("Qwen/Qwen3-4B-Instruct-2507", "aime26", "outcome", "stage2", 1)
    0.617
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import NamedTuple

__all__ = ["LABEL", "benchmark", "paper_value"]

LABEL = "the paper's, not ours"


class _Benchmark(NamedTuple):
    names: frozenset[str]
    problems: int


class _Paper(NamedTuple):
    model: str
    methods: tuple[str, ...]
    benchmarks: Mapping[str, _Benchmark]
    numbers: Mapping[tuple[str, str, int], tuple[float, ...]]


@cache
def _paper() -> _Paper:
    table = tomllib.loads(resources.files("exprl.evaluate").joinpath("paper.toml").read_text(encoding="utf-8"))
    benchmarks = {
        name: _Benchmark(frozenset(entry["names"]), int(entry["problems"]))
        for name, entry in table["benchmarks"].items()
    }
    numbers = {
        (stage, name, int(k)): tuple(float(value) for value in row)
        for stage in ("stage1", "stage2")
        for name, rows in table[stage].items()
        for k, row in rows.items()
    }
    return _Paper(_plain(table["model"]), tuple(table["methods"]), benchmarks, numbers)


def benchmark(set_: str, source: str, problems: int) -> str | None:
    """Which of the paper's benchmarks an evaluation set is: by name or source, and only if it is the whole of it."""
    called = {_plain(set_), _plain(source)}
    for name, known in _paper().benchmarks.items():
        if called & known.names and problems == known.problems:
            return name
    return None


def paper_value(model: str, benchmark: str | None, role: str, stage: str, k: int) -> float | None:
    """The paper's pass@k as a share, or None where it has none for this model, benchmark, method, stage and k.

    Args:
        role: a method, as `exprl.evaluate.orderings.role` calls it; `base` is the policy before training.
    """
    paper = _paper()
    row = paper.numbers.get((stage, benchmark or "", k))
    if row is None or _plain(model) != paper.model or role not in paper.methods:
        return None
    return round(row[paper.methods.index(role)] / 100, 4)


def _plain(name: str) -> str:
    """The last part of a path or Hub id, in letters and digits only."""
    last = name.rstrip("/").rsplit("/", 1)[-1]
    return re.sub(r"[^a-z0-9]", "", re.sub(r"\.(jsonl(\.gz)?|parquet)$", "", last).lower())
