"""Benchmarks by name.

    registry  which there are: where their problems are, how they are asked, who grades them (registry.toml)
    problems  their problems, from a local folder or the Hub
    shapes    rows of other forms, brought to ours

>>> from exprl.evaluate.benchmarks import benchmarks
>>> benchmarks()["aime26"].problems
30
"""

from exprl.evaluate.benchmarks.problems import DATA_ENV, Loaded, data_folder, draw, load_benchmark
from exprl.evaluate.benchmarks.registry import Benchmark, Place, benchmarks, find_benchmarks, groups

__all__ = [
    "DATA_ENV",
    "Benchmark",
    "Loaded",
    "Place",
    "benchmarks",
    "data_folder",
    "draw",
    "find_benchmarks",
    "groups",
    "load_benchmark",
]
