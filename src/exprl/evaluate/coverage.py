"""Coverage: pass@k, the chance that at least one of k samples is right, and how sure one can be of it.

    pass@k = mean over problems of 1 - C(n-c, k) / C(n, k)          (Chen et al. 2021, arXiv 2107.03374, eq. 1)

for a problem with n scored samples, c of them right: unbiased for every k <= n. It is computed as a product of min(k,
c) factors, without factorials, to 1e-12. A sample without a verdict is no sample: it lowers its problem's n and never
counts as wrong; a problem left with fewer than k scored samples is left out for that k, and counted in `excluded`.
Intervals are bootstrap over problems (and over seeds of training, where there are several); see `intervals`.

What this module refuses: k larger than the number of samples drawn (`CoverageError`), a problem without samples, counts
that cannot be.

    >>> float(pass_at_k(4, 1, 2))
    0.5
    >>> coverage(Counts.of([4, 4], [1, 3]), ks=[1]).at(1).value
    0.5
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from exprl.errors import CoverageError
from exprl.evaluate.intervals import (
    Floats,
    Interval,
    draw_weights,
    other_seeds,
    percentiles,
    replicate_means,
    widened,
    widened_difference,
)

__all__ = ["Counts", "Coverage", "coverage", "default_ks", "paired_difference", "pass_at_k"]

Ints = npt.NDArray[np.int64]


def pass_at_k(n: npt.ArrayLike, c: npt.ArrayLike, k: npt.ArrayLike) -> Floats:
    """The unbiased estimator, for every problem and every k.

    Args:
        n: samples per problem, any shape.
        c: how many of them are right, same shape.
        k: one k, or (K,) of them.
    Returns:
        `n.shape + k.shape` chances in [0, 1].
    Raises:
        CoverageError: k > n, k < 1, n = 0, c outside [0, n], or counts that are not integers.
    """
    n_, c_, k_ = (_integers(value, name) for value, name in ((n, "n"), (c, "c"), (k, "k")))
    _check_counts(n_, c_)
    if k_.size and n_.size and (k_.min() < 1 or k_.max() > n_.min()):
        raise CoverageError(
            f"pass@k needs 1 <= k <= n, got k={k_.min() if k_.min() < 1 else k_.max()} with n={n_.min()}; "
            "draw more samples or ask for a smaller k"
        )
    kinds = _kinds(n_.reshape(1, -1), c_.reshape(1, -1))
    n_U, c_U = n_.reshape(-1)[kinds.first_U], c_.reshape(-1)[kinds.first_U]
    values_UK = _estimate(n_U[:, None], c_U[:, None], k_.reshape(1, -1))
    return values_UK[kinds.kind_P].reshape(n_.shape + k_.shape)


def default_ks(n: int) -> list[int]:
    """1, 2, 4, ... and n itself.

    >>> default_ks(24)
    [1, 2, 4, 8, 16, 24]
    """
    if n < 1:
        raise CoverageError("pass@k needs at least one sample a problem; none were drawn")
    return [*(2**i for i in range((n - 1).bit_length())), n]


@dataclass(frozen=True, slots=True)
class Counts:
    """Per problem, and per seed of training: samples drawn, samples right, samples without a verdict; each (S,P)."""

    n_SP: Ints
    correct_SP: Ints
    unscored_SP: Ints

    @classmethod
    def of(cls, n: npt.ArrayLike, correct: npt.ArrayLike, unscored: npt.ArrayLike = 0) -> Self:
        """From counts of shape (P,) or (S,P); a single number stands for all problems.

        Raises:
            CoverageError: counts that cannot be, or a problem without samples.
        """
        columns = [_integers(value, name) for value, name in ((n, "n"), (correct, "correct"), (unscored, "unscored"))]
        n_SP, correct_SP, unscored_SP = np.broadcast_arrays(*(np.atleast_2d(column) for column in columns))
        if n_SP.ndim != 2 or n_SP.size == 0:
            raise CoverageError(f"counts are (problems,) or (seeds, problems), got shape {np.shape(correct)}")
        _check_counts(n_SP, correct_SP + unscored_SP)
        _check_counts(n_SP, correct_SP)
        return cls(n_SP, correct_SP, unscored_SP)

    @classmethod
    def of_verdicts(cls, correct_PN: npt.ArrayLike) -> Self:
        """From (P,N) or (S,P,N) verdicts: 1 right, 0 wrong, NaN without a verdict."""
        values = np.asarray(correct_PN, dtype=np.float64)
        unscored = np.isnan(values)
        return cls.of(np.full(values.shape[:-1], values.shape[-1]), (values > 0.5).sum(-1), unscored.sum(-1))

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, object]], ids: Sequence[str]) -> Self:
        """From rows of `samples.jsonl` (`question_id`, `correct`), one column a problem in the order of `ids`.

        Raises:
            CoverageError: a problem of `ids` without samples; rows of other problems are passed over.
        """
        column = {name: index for index, name in enumerate(ids)}
        table = np.zeros((3, len(ids)), dtype=np.int64)
        for row in rows:
            if (index := column.get(str(row["question_id"]))) is not None:
                correct = row["correct"]
                table[0, index] += 1
                table[1, index] += isinstance(correct, int | float) and correct > 0.5
                table[2, index] += correct is None
        if missing := [name for name, drawn in zip(ids, table[0], strict=True) if drawn == 0]:
            raise CoverageError(
                f"{len(missing)} problems have no samples: {', '.join(missing[:5])}; finish sampling first"
            )
        return cls.of(*table)

    @classmethod
    def of_seeds(cls, counts: Sequence[Counts]) -> Self:
        """Stack the counts of several seeds, on the same problems in the same order."""
        tables = ([c.n_SP for c in counts], [c.correct_SP for c in counts], [c.unscored_SP for c in counts])
        if len({table.shape[1] for table in tables[0]}) != 1:
            raise CoverageError("the seeds have different numbers of problems; count all of them on the same ones")
        return cls.of(*(np.concatenate(table) for table in tables))

    def pass_at(self, k: int) -> Floats:
        """(S,P) pass@k; NaN where fewer than k samples were scored.

        Raises:
            CoverageError: k > the number of samples drawn.
        """
        if not 1 <= k <= self.n_SP.max():
            raise CoverageError(
                f"pass@{k} of {self.n_SP.max()} samples a problem does not exist; draw at least {k}, or lower k"
            )
        # The estimator is for k <= n; where too few were scored it is given k samples, and its value thrown away.
        values_SP = _estimate(np.maximum(self.scored_SP, k), self.correct_SP, np.int64(k))
        return np.where(self.scored_SP >= k, values_SP, np.nan)

    @property
    def scored_SP(self) -> Ints:
        """(S,P) samples with a verdict."""
        return self.n_SP - self.unscored_SP

    def of_problems(self, at_U: Ints) -> Counts:
        """The counts of some problems, by their places."""
        return Counts(self.n_SP[:, at_U], self.correct_SP[:, at_U], self.unscored_SP[:, at_U])


@dataclass(frozen=True, slots=True)
class Coverage:
    """pass@k with intervals, one entry a k. `problems` were counted for it, `excluded` had too few scored samples."""

    ks: tuple[int, ...]
    intervals: tuple[Interval, ...]
    problems: tuple[int, ...]
    excluded: tuple[int, ...]
    level: float

    def at(self, k: int) -> Interval:
        """Value, low and high of one k."""
        return self.intervals[self.ks.index(k)]

    def summary(self) -> dict[str, dict[str, float | None]]:
        """As `summary.json` has it: {"pass@1": {"value", "low", "high"}, ...}; None where no problem was counted."""
        return {
            f"pass@{k}": {name: None if np.isnan(end) else end for name, end in interval._asdict().items()}
            for k, interval in zip(self.ks, self.intervals, strict=True)
        }


def coverage(
    counts: Counts, ks: Sequence[int] | None = None, *, bootstrap: int = 2000, level: float = 0.95, seed: int = 0
) -> Coverage:
    """pass@k over problems (and seeds) with bootstrap intervals.

    Args:
        ks: default 1, 2, 4, ... n, where n is the number of samples drawn.
        bootstrap: replicates.
        level: the share of replicates that the interval holds.
        seed: of the resampling.
    Raises:
        CoverageError: some k is larger than the number of samples drawn.
    """
    ks = default_ks(int(counts.n_SP.max())) if ks is None else list(ks)
    seeds, total = counts.n_SP.shape
    kinds = _kinds(counts.n_SP, counts.unscored_SP, counts.correct_SP)
    weights = draw_weights(seeds, kinds.sizes_U, bootstrap, seed)
    alike = counts.of_problems(kinds.first_U)
    intervals, problems = [], []
    for k in ks:
        values_SU = alike.pass_at(k)
        values_SP = values_SU[:, kinds.kind_P]
        counted = int((~np.isnan(values_SP)).any(axis=0).sum())
        problems.append(counted)
        if counted == 0:
            intervals.append(Interval(np.nan, np.nan, np.nan))
            continue
        low, high = percentiles(replicate_means(values_SU, weights), level)
        intervals.append(widened(float(np.nanmean(values_SP)), low, high, values_SP, level))
    excluded = tuple(total - counted for counted in problems)
    return Coverage(tuple(ks), tuple(intervals), tuple(problems), excluded, level)


def paired_difference(
    a: Counts, b: Counts, k: int, *, bootstrap: int = 2000, level: float = 0.95, seed: int = 0, linked: bool = False
) -> Interval:
    """pass@k of `a` minus that of `b` on the same problems, which are resampled together.

    Problems that lack k scored samples on either side are left out. Seeds, where there are several, are resampled as
    well: each side's by itself, for two arms were trained apart; `linked` draws those of both sides together (the same
    seeds before and after a stage, in the same order). Few differing problems widen the interval as in `intervals`.

    Raises:
        CoverageError: different numbers of problems, k too large, no problem left, or `linked` seeds that differ in number.
    """
    if a.n_SP.shape[1] != b.n_SP.shape[1]:
        raise CoverageError(f"a pair needs the same problems, got {a.n_SP.shape[1]} and {b.n_SP.shape[1]}")
    if linked and len(a.n_SP) != len(b.n_SP):
        raise CoverageError(f"linked seeds come in pairs, got {len(a.n_SP)} and {len(b.n_SP)}; compare them unlinked")
    one_SP, other_SP = a.pass_at(k), b.pass_at(k)
    kept_P = (~np.isnan(one_SP)).any(axis=0) & (~np.isnan(other_SP)).any(axis=0)
    if not kept_P.any():
        raise CoverageError(f"no problem has {k} scored samples on both sides; lower k")
    one_SP, other_SP = one_SP[:, kept_P], other_SP[:, kept_P]
    kinds = _kinds(*(rows for counts in (a, b) for rows in (counts.scored_SP[:, kept_P], counts.correct_SP[:, kept_P])))
    weights = draw_weights(len(one_SP), kinds.sizes_U, bootstrap, seed)
    apart = weights if linked else other_seeds(weights, len(other_SP), seed)
    replicates_B = replicate_means(one_SP[:, kinds.first_U], weights) - replicate_means(
        other_SP[:, kinds.first_U], apart
    )
    low, high = percentiles(replicates_B, level)
    value = float(np.nanmean(one_SP) - np.nanmean(other_SP)) + 0.0
    return widened_difference(value, low, high, _over_seeds(one_SP) - _over_seeds(other_SP), level)


def _over_seeds(values_SP: Floats) -> Floats:
    counted_P = (~np.isnan(values_SP)).sum(axis=0)
    return np.where(counted_P > 0, np.nansum(values_SP, axis=0) / np.maximum(counted_P, 1), np.nan)


class _Kinds(NamedTuple):
    """Problems that are alike: (U,) one of each kind, (P,) the kind of each problem, (U,) how many there are."""

    first_U: Ints
    kind_P: Ints
    sizes_U: Ints


def _kinds(*rows: Ints) -> _Kinds:
    """Kinds of columns that agree in all the rows, each (S,P)."""
    code_P = np.zeros(rows[0].shape[1], dtype=np.int64)
    for row_P in (row_P for rows_SP in rows for row_P in rows_SP):
        row_P = row_P - row_P.min(initial=np.iinfo(np.int64).max)
        code_P = code_P * (int(row_P.max(initial=0)) + 1) + row_P
        if int(code_P.max(initial=0)) > 4 * code_P.size:
            code_P = np.unique(code_P, return_inverse=True)[1].reshape(-1)  # dense again, so that nothing overflows
    sizes = np.bincount(code_P)
    places = np.flatnonzero(sizes)
    of_code, one_of = np.zeros(len(sizes), dtype=np.int64), np.zeros(len(sizes), dtype=np.int64)
    of_code[places] = np.arange(len(places))
    one_of[code_P] = np.arange(code_P.size)
    return _Kinds(one_of[places], of_code[code_P], sizes[places])


def _estimate(n: Ints, c: Ints, k: Ints | np.int64) -> Floats:
    """1 - C(n-c, k) / C(n, k), broadcast; the ratio is symmetric in c and k, so the smaller one counts the factors."""
    few, many = np.minimum(c, k), np.maximum(c, k)
    miss = np.ones(np.broadcast_shapes(n.shape, few.shape))
    for i in range(int(few.max(initial=0))):
        # A factor at or below 0 means that fewer than k samples are wrong: every draw of k has a right one.
        miss = np.where(i < few, miss * np.maximum(n - many - i, 0) / np.maximum(n - i, 1), miss)
    return 1.0 - miss


def _integers(values: npt.ArrayLike, name: str) -> Ints:
    array = np.asarray(values)
    if array.dtype.kind not in "iub":
        raise CoverageError(f"{name} is a count, got {array.dtype} {array.ravel()[:3].tolist()}")
    return array.astype(np.int64)


def _check_counts(n: Ints, c: Ints) -> None:
    if n.shape != c.shape:
        raise CoverageError(f"n and c have one entry a problem each, got shapes {n.shape} and {c.shape}")
    if n.size and n.min() < 1:
        raise CoverageError(f"{int((n < 1).sum())} of {n.size} problems have no samples; sample them or leave them out")
    if bad := np.argwhere((c < 0) | (c > n)).tolist():
        at = tuple(bad[0])
        raise CoverageError(f"{c[at]} of {n[at]} samples cannot be (problem {at[-1] if at else 0})")
