"""Samples in the form of other harnesses' logs, made from `samples.jsonl` and written beside it.

    lm_eval      a `samples_*.jsonl` of lm-evaluation-harness: one row a problem
    inspect_log  a JSON log of Inspect: one sample a problem and epoch

Neither package is needed. References stay out: where those logs have a target stands `<redacted>`, since a log is made to be
passed on. Question texts and answers are in them: a log of a benchmark that must not be shown in the open must not either.

>>> write_lm_eval(samples)  # doctest: +SKIP
PosixPath('runs/eval-m/aime26/samples_aime26_2026-02-06T10-00-00.jsonl')
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from exprl.evaluate.export.inspect_log import write_inspect
from exprl.evaluate.export.lm_eval import write_lm_eval
from exprl.evaluate.export.samples import Samples

__all__ = ["EXPORTS", "Samples", "write_inspect", "write_lm_eval"]

EXPORTS: Mapping[str, Callable[[Samples], Path]] = {"lm-eval": write_lm_eval, "inspect": write_inspect}
"""By the name that `--export` takes."""
