"""A rollout's verdict, written into the one array that verl carries to its advantage estimators: token-level rewards.

verl hands an estimator the rewards of all tokens, the mask and the prompt's name, and nothing else. The rewards are
therefore written so that segments and states can be read back, and so that a row still sums to what was scored:

    s       on the last token of a segment: the segment's score, as float32
    s - that     on the token before it: what float32 loses of the score, so that reading is exact to 1e-14
    2^-100  times 1    a score of exactly 0                          (every end of a segment is marked)
            times 2    on the last token: truncated                  times 3    a truncated program
            times 4    on the last token: could not be scored
    -s      a program's score: its credit is relative to the group even where segments are scored (methods.execution)

Every other token has 0. A segment of one token has no room for the remainder: its score is exact to 3e-8, and exactly
where float32 holds it, as it holds every Likert score.

What it refuses: a segment without a token of its own (it lies within one token), whose score nothing could carry. No tokenizer
that is known makes one under the rules of `exprl.segment`; the rollout then counts as not scored.

    >>> row = write_marks([0, 0, 1], (0.25, 1.0))
    >>> row.tolist()
    [0.0, 0.25, 1.0]
    >>> read_marks(row[None]).scores_RS
    array([[0.25, 1.  ]])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Marks", "read_marks", "write_marks"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_UNIT = 2.0**-100
_ZERO, _TRUNCATED, _TRUNCATED_PROGRAM, _UNSCORED = 1, 2, 3, 4
_LARGEST_CODE = 2.0**-90
_SMALLEST_SCORE = 2.0**-24
"""What float32 loses of a score in [0, 1] is smaller than this; a smaller score is all remainder."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What was read of R rollouts in up to S segments and T tokens.

    Attributes:
        scores_RS: (R, S) score of each segment; NaN on padding, and throughout where truncated or unscored.
        count_R: (R,) number of segments: 1 where truncated, 0 where unscored.
        segment_RT: (R, T) segment of each token, -1 beyond the rollout's last.
        truncated_R: (R,) rollouts that ran into the token budget.
        program_R: (R,) programs that were run, whose credit is relative to the group.
    """

    scores_RS: Floats
    count_R: Ints
    segment_RT: Ints
    truncated_R: Bools
    program_R: Bools

    @property
    def unscored_R(self) -> Bools:
        """(R,) rollouts that could not be scored; rows that verl adds to fill a batch are among them."""
        return np.asarray(self.count_R == 0)


def write_marks(
    segment_T: ArrayLike, scores: Sequence[float | None], *, truncated: bool = False, program: bool = False
) -> NDArray[np.float32]:
    """(T,) token-level rewards of one rollout.

    Args:
        segment_T: (T,) segment of each token, ascending (`TokenMap.segment_of_token`); at least one token.
        scores: score in [0, 1] of each segment; None where it could not be scored.
        truncated: the rollout ran into the token budget; its scores are not written.
        program: the one score is a program's.
    """
    segment = np.asarray(segment_T, dtype=np.int64)
    row = np.zeros(len(segment), dtype=np.float32)
    last = np.flatnonzero(np.diff(segment, append=-2))
    if truncated:
        row[-1] = _UNIT * (_TRUNCATED_PROGRAM if program else _TRUNCATED)
    elif not _each_has_tokens(segment, last, len(scores)) or None in scores:
        row[-1] = _UNIT * _UNSCORED
    else:
        first = np.append(0, last[:-1] + 1)
        for score, begin, end in zip(scores, first.tolist(), last.tolist(), strict=True):
            _write(row, float(score or 0.0), begin, end, -1.0 if program else 1.0)
    return row


def read_marks(rewards_RT: ArrayLike) -> Marks:
    """Read R rows of token-level rewards back, padded with 0 to any width."""
    rewards = np.asarray(rewards_RT, dtype=np.float64)
    rows = [_read(row) for row in rewards]
    width = max((len(scores) for scores, *_ in rows), default=0)
    scores_RS = np.full((len(rows), max(1, width)), np.nan)
    segment_RT = np.full(rewards.shape, -1, dtype=np.int64)
    for i, (scores, last, _, _) in enumerate(rows):
        scores_RS[i, : len(scores)] = scores
        segment_RT[i, : last[-1] + 1 if len(last) else 0] = np.repeat(np.arange(len(last)), np.diff(last, prepend=-1))
    return Marks(
        scores_RS,
        np.array([len(scores) for scores, *_ in rows], dtype=np.int64),
        segment_RT,
        np.array([truncated for *_, truncated, _ in rows], dtype=bool),
        np.array([program for *_, program in rows], dtype=bool),
    )


def _each_has_tokens(segment_T: Ints, last: Ints, count: int) -> bool:
    return count > 0 and np.array_equal(segment_T[last], np.arange(count))


def _write(row: NDArray[np.float32], score: float, begin: int, end: int, sign: float) -> None:
    head = np.float32(score) if score >= _SMALLEST_SCORE else np.float32(0.0)
    row[end] = sign * float(head) or sign * _UNIT * _ZERO
    rest = score - float(head)
    if end > begin and abs(rest) >= _LARGEST_CODE:
        row[end - 1] = sign * rest


def _read(row_T: Floats) -> tuple[list[float], Ints, bool, bool]:
    """The scores, the last token of each segment, and whether it is truncated, and a program's, of one row."""
    size = np.abs(row_T)
    ends = np.flatnonzero(((size > 0) & (size < _LARGEST_CODE)) | (size >= _SMALLEST_SCORE))
    if not len(ends):
        return [], ends, False, False
    code = round(float(row_T[ends[-1]]) / _UNIT) if size[ends[-1]] < _LARGEST_CODE else 0
    if code in (_TRUNCATED, _TRUNCATED_PROGRAM):
        return [np.nan], ends, True, code == _TRUNCATED_PROGRAM
    if code == _UNSCORED:
        return [], ends[:0], False, False
    return [_score(row_T, end) for end in ends.tolist()], ends, False, bool(row_T[ends[-1]] < 0)


def _score(row_T: Floats, end: int) -> float:
    head = abs(float(row_T[end]))
    rest = float(row_T[end - 1]) if end and _LARGEST_CODE <= abs(row_T[end - 1]) < _SMALLEST_SCORE else 0.0
    return (head if head >= _SMALLEST_SCORE else 0.0) + (-rest if row_T[end] < 0 else rest)
