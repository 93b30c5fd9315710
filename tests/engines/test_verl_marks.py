"""A rollout's verdict written into token-level rewards, and read back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.engines.verl.marks import Marks, read_marks, write_marks

SCORE = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0.0, 1.0))


def read(row: np.ndarray, width: int = 0) -> Marks:
    padded = np.zeros((1, max(width, len(row))), dtype=np.float32)
    padded[0, : len(row)] = row
    return read_marks(padded)


@given(st.lists(st.tuples(st.integers(2, 5), SCORE), min_size=1, max_size=8), st.integers(0, 6))
def test_scores_and_segments_come_back_from_float32_whatever_the_padding(
    segments: list[tuple[int, float]], padding: int
) -> None:
    segment_T = np.repeat(np.arange(len(segments)), [tokens for tokens, _ in segments])
    scores = tuple(score for _, score in segments)
    row = write_marks(segment_T, scores)
    assert row.dtype == np.float32
    marks = read(row, len(row) + padding)
    assert marks.count_R.tolist() == [len(scores)]
    np.testing.assert_allclose(marks.scores_RS[0], scores, rtol=0, atol=1e-14)
    assert marks.segment_RT[0].tolist() == [*segment_T.tolist(), *[-1] * padding]
    assert [marks.truncated_R[0], marks.program_R[0], marks.unscored_R[0]] == [False] * 3


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=5))
def test_likert_scores_need_one_token_a_segment(scores: list[float]) -> None:
    marks = read(write_marks(np.arange(len(scores)), tuple(scores)))
    assert marks.scores_RS[0].tolist() == scores


@given(st.lists(SCORE, min_size=1, max_size=6))
def test_a_row_sums_to_what_was_scored(scores: list[float]) -> None:
    row = write_marks(np.repeat(np.arange(len(scores)), 2), tuple(scores))
    assert float(row.astype(np.float64).sum()) == pytest.approx(sum(scores), abs=1e-14)


@given(st.integers(1, 5), SCORE)
def test_a_program_is_told_from_a_segment(tokens: int, score: float) -> None:
    marks = read(write_marks([0] * tokens, (score,), program=True))
    assert marks.program_R.tolist() == [True]
    assert marks.scores_RS[0, 0] == pytest.approx(score, abs=1e-14 if tokens > 1 else 3e-8)


@pytest.mark.parametrize("program", [False, True])
def test_a_truncated_rollout_has_one_segment_without_a_score(program: bool) -> None:
    marks = read(write_marks([0, 0, 1], (None, None), truncated=True, program=program), 5)
    assert (marks.truncated_R[0], marks.program_R[0], marks.count_R[0]) == (True, program, 1)
    assert np.isnan(marks.scores_RS[0, 0])
    assert marks.segment_RT[0].tolist() == [0, 0, 0, -1, -1]


@pytest.mark.parametrize("scores", [(0.5, None), (None, 0.5), (None, None)])
def test_one_missing_score_makes_the_rollout_unscored(scores: tuple[float | None, ...]) -> None:
    assert read(write_marks([0, 0, 1], scores)).unscored_R.tolist() == [True]


def test_a_segment_without_a_token_makes_the_rollout_unscored() -> None:
    assert read(write_marks([0, 0, 2], (0.5, 0.25, 1.0))).unscored_R.tolist() == [True]
    assert read(write_marks([0, 0], (0.5, 0.25))).unscored_R.tolist() == [True]


def test_rows_that_verl_adds_to_fill_a_batch_are_unscored() -> None:
    assert read(np.zeros(3, dtype=np.float32)).unscored_R.tolist() == [True]
