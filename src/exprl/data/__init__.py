"""Problems: where they come from, whether they leak into the evaluation, and which of them are hard.

    load      problems from JSONL, parquet, a Hub id or an embedded world, with errors that name file, line and column
    overlap   exact and n-gram overlap between training and evaluation problems
    hardness  the rule of the hard-set filter, without the sampling

>>> from exprl.config import SourceConfig
>>> from exprl.data import load_problems
>>> problems = load_problems(SourceConfig(path="gsm8k_train.jsonl", limit=50))  # doctest: +SKIP
"""

from exprl.data.hardness import Hardness, Tally, Why, decide_hardness, tally
from exprl.data.load import load_problems, require_answers, require_references, require_tests
from exprl.data.overlap import ExactPair, NgramPair, Overlap, find_overlap, normalise, refuse_overlap

__all__ = [
    "ExactPair",
    "Hardness",
    "NgramPair",
    "Overlap",
    "Tally",
    "Why",
    "decide_hardness",
    "find_overlap",
    "load_problems",
    "normalise",
    "refuse_overlap",
    "require_answers",
    "require_references",
    "require_tests",
    "tally",
]
