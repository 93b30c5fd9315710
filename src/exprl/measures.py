"""What a training step says of its reward, in a few means. Pure.

    length           rank correlation of reward with length within groups
    high_but_wrong   share of verified wrong answers that the judge scores 0.75 or more
    low_but_right    share of verified right answers that it scores less
    held_out_gap     mean score minus that of a judge of weight 0             (held_out_gap:judge)
    held_out_rank    rank correlation of the two within groups                (held_out_rank:judge)
    markers          segment markers a rollout, and segments a rollout        (segments)
    unscored         share of complete rollouts without a score
    truncated        share of rollouts that ran into the token budget

A `Measure` is a mean and the number of rollouts behind it, so steps pool without their rollouts; `exprl.monitor` does.

What it refuses: to count a truncated or unscored rollout as a judge's opinion, to compare a verifier with itself, and to
give 0 where there is nothing to measure.

    >>> group_rank(np.array([0.0, 0.5, 1.0]), np.array([10.0, 20.0, 30.0]), np.zeros(3, dtype=np.int64))
    Measure(value=1.0, n=3)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exprl.judge.protocol import RIGHT
from exprl.methods.batch import Credits, Floats, Ints, RolloutBatch, unscored_rollouts

__all__ = ["Measure", "Measures", "group_rank", "measure", "read_measures"]

_SMALLEST_GROUP = 3  # two rollouts always correlate by 1 or -1


class Measure(NamedTuple):
    """A mean over `n` rollouts of one step."""

    value: float
    n: int


Measures = Mapping[str, Measure]
"""By name; what was measured against one held-out judge is `name:judge`."""


def measure(batch: RolloutBatch, credits: Credits, *, marker: str) -> dict[str, Measure]:
    """All that can be measured of one step; what has no rollout to be measured on is left out.

    Args:
        marker: what ends a segment; its occurrences are counted in the text, however the text was cut.
    """
    score_R = np.where(batch.truncated_R, np.nan, credits.rewards_R)
    tokens_R = np.array([rollout.tokens for rollout in batch.rollouts], dtype=np.float64)
    found = {
        "length": group_rank(score_R, tokens_R, batch.group_R),
        "markers": _mean([rollout.text.count(marker) for rollout in batch.rollouts]),
        "segments": _mean([len(spans) for spans in credits.segments]),
        "unscored": _mean(unscored_rollouts(credits, batch.truncated_R)[~batch.truncated_R]),
        "truncated": _mean(batch.truncated_R),
    }
    if credits.judged:
        found |= _against_verifier(_of_judge(score_R, batch, credits), batch)
        found |= _against_held_out(score_R, batch, credits)
    return {name: known for name, known in found.items() if known is not None}


def group_rank(x_R: Floats, y_R: Floats, group_R: Ints) -> Measure | None:
    """Spearman's rank correlation within groups, averaged over groups by their size; ties share their mean rank.

    Args:
        x_R, y_R: (R,) numbers; a rollout with a NaN is left out.
        group_R: (R,) group of each rollout.
    Returns:
        None where no group of three or more has both numbers vary.
    """
    total, n = 0.0, 0
    known_R = ~(np.isnan(x_R) | np.isnan(y_R))
    for group in np.unique(group_R[known_R]):
        members = known_R & (group_R == group)
        x, y = _centred_ranks(x_R[members]), _centred_ranks(y_R[members])
        scale = float(np.sqrt((x @ x) * (y @ y)))
        if len(x) >= _SMALLEST_GROUP and scale > 0:
            total += len(x) * float(x @ y) / scale
            n += len(x)
    return Measure(total / n, n) if n else None


def _centred_ranks(values: Floats) -> Floats:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return np.asarray(ranks - ranks.mean())


def _of_judge(score_R: Floats, batch: RolloutBatch, credits: Credits) -> Floats:
    """(R,) the scores that a judge gave; NaN for a program's, which are the verifier's own word."""
    own_R = [
        bool(row) and row[-1].judge == word.judge != ""
        for row, word in zip(credits.verdicts, batch.verified, strict=True)
    ]
    return np.where(own_R, np.nan, score_R) if own_R else score_R


def _against_verifier(score_R: Floats, batch: RolloutBatch) -> dict[str, Measure | None]:
    words = [word.score for word in batch.verified]
    right_R = np.array([np.nan if word is None else word for word in words], dtype=np.float64)
    scored_R = ~np.isnan(score_R)
    return {
        "high_but_wrong": _mean(score_R[scored_R & (right_R == 0.0)] >= RIGHT),
        "low_but_right": _mean(score_R[scored_R & (right_R == 1.0)] < RIGHT),
    }


def _against_held_out(score_R: Floats, batch: RolloutBatch, credits: Credits) -> dict[str, Measure | None]:
    found: dict[str, Measure | None] = {}
    panels = [dict(row[-1].panel) if row else {} for row in credits.verdicts]
    for judge in dict.fromkeys(name for panel in panels for name in panel):
        other_R = np.array([np.nan if (s := panel.get(judge)) is None else s for panel in panels], dtype=np.float64)
        gap_R = score_R - other_R
        found[f"held_out_gap:{judge}"] = _mean(gap_R[~np.isnan(gap_R)])
        found[f"held_out_rank:{judge}"] = group_rank(score_R, other_R, batch.group_R)
    return found


def _mean(values: Sequence[float] | NDArray[np.bool_] | Floats) -> Measure | None:
    return Measure(float(np.mean(values)), len(values)) if len(values) else None


def read_measures(row: object) -> dict[str, Measure]:
    """Measures back from their JSON form, `{name: [value, n]}`; what is none of them is left out."""
    found: dict[str, Measure] = {}
    for name, pair in row.items() if isinstance(row, dict) else ():
        match pair:
            case [int() | float() as value, int() as n] if n > 0 and np.isfinite(value):
                found[str(name)] = Measure(float(value), n)
    return found
