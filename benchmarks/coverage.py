"""pass@k and its bootstrap: whole arrays against the usual loop over problems.

10,000 problems x 7 k's (1, 2, 4, ... 64) of 128 samples each, intervals from 2,000 resamplings, on one core. Seconds are of
this process, so that a busy machine slows neither side.

The usual way is that of the HumanEval and verl code: one call of `1 - prod(1 - k / arange(n - c + 1, n + 1))` a problem
and k, and a bootstrap that for every replicate takes `[data[i] for i in indices]`, the indices an array drawn with
replacement, and numpy's mean of that list.

exprl reckons each pair (n, c) once, and draws how often each *pair* comes up, which is the same bootstrap: problems with
the same counts have the same value. So that both sides can be held to each other exactly, the loop is given the problems
that exprl's own draws amount to, and does not pay for drawing.

    python benchmarks/coverage.py
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from exprl.evaluate import Counts, coverage, pass_at_k
from exprl.evaluate.intervals import draw_weights

PROBLEMS, SAMPLES, KS = 10_000, 128, [1, 2, 4, 8, 16, 32, 64]
REPLICATES = 2000
RATIO_GOAL, ERROR_GOAL = 100.0, 1e-12

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def loop_estimate(n: list[int], c: list[int], k: int) -> list[float]:
    """The usual estimator, a problem at a time."""
    return [
        1.0 if total - right < k else float(1.0 - np.prod(1.0 - k / np.arange(total - right + 1, total + 1)))
        for total, right in zip(n, c, strict=True)
    ]


def loop_bootstrap(values: list[list[float]], drawn_BP: list[Ints]) -> Floats:
    """(K, 2) percentiles of the means of what each replicate drew, the usual way."""
    ends = []
    for column in values:
        means = [np.mean([column[i] for i in drawn]) for drawn in drawn_BP]
        ends.append([np.percentile(means, 2.5), np.percentile(means, 97.5)])
    return np.array(ends)


def drawn_problems(c_P: Ints) -> list[Ints]:
    """The problems that exprl's draws amount to: for each kind, as many of it as were drawn."""
    _, first_U, sizes_U = np.unique(c_P, return_index=True, return_counts=True)
    counts_BU = draw_weights(1, sizes_U, REPLICATES, 0).problems_BU.astype(np.int64)
    return [np.repeat(first_U, row_U) for row_U in counts_BU]


def timed(work: Callable[[], object], times: int) -> float:
    """Median seconds of this process."""
    seconds = []
    for _ in range(times):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def main() -> int:
    """Print the table; 1 where a goal is missed."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rng = np.random.default_rng(0)
    c_P = rng.binomial(SAMPLES, rng.beta(0.5, 1.5, PROBLEMS))
    n, c = [SAMPLES] * PROBLEMS, c_P.tolist()
    counts, drawn = Counts.of(SAMPLES, c_P), drawn_problems(c_P)

    estimate = timed(lambda: pass_at_k(n, c_P, KS), 9)
    whole = timed(lambda: coverage(counts, KS, bootstrap=REPLICATES), 5)
    result = coverage(counts, KS, bootstrap=REPLICATES)
    start = time.process_time()
    values = [loop_estimate(n, c, k) for k in KS]
    loop_estimated = time.process_time() - start
    ends = loop_bootstrap(values, drawn)
    loop_whole = time.process_time() - start

    errors = (
        float(np.abs(pass_at_k(n, c_P, KS) - np.array(values).T).max()),
        float(np.abs(np.array([[i.low, i.high] for i in result.intervals]) - ends).max()),
    )
    ratios = (loop_estimated / estimate, loop_whole / whole)
    print(f"{PROBLEMS:,} problems x {len(KS)} k's of {SAMPLES} samples, {REPLICATES:,} bootstrap replicates, one core")
    print(f"{'what':<28}{'exprl, s':>10}{'loop, s':>10}{'ratio':>8}  largest difference")
    rows = (("pass@k", estimate, loop_estimated), ("pass@k with intervals", whole, loop_whole))
    for (what, ours, loop), ratio, error in zip(rows, ratios, errors, strict=True):
        print(f"{what:<28}{ours:>10.4f}{loop:>10.2f}{ratio:>8.0f}  {error:.1e}")
    good = min(ratios) >= RATIO_GOAL and max(errors) <= ERROR_GOAL
    print(
        f"{'ok' if good else 'MISSED'}: {min(ratios):.0f} times faster (goal >= {RATIO_GOAL:g}), "
        f"equal to {max(errors):.0e} (goal <= {ERROR_GOAL:g})"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
