"""The credit that verl's estimators give is that of the engine on one machine, without verl installed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from verl_batches import GROUP, METHODS, make_case, on_a_cluster, on_one_machine, padded, wide

from exprl.config import SparseConfig
from exprl.engines.verl.credit import refuse_unscored, token_credit
from exprl.engines.verl.marks import read_marks
from exprl.engines.verl.record import Attempt, PartWriter, read_step, step_of
from exprl.errors import RunError, UnscoredLimitError
from exprl.runs import read_jsonl

WIDTH = 20
GROUPS = np.arange(6 * GROUP) // GROUP


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_method_gives_every_token_the_credit_of_one_machine(name: str, seed: int, tmp_path: Path) -> None:
    case, method = make_case(seed), METHODS[name]
    expected = on_one_machine(case, method, tmp_path)
    judged = on_a_cluster(case, method)
    order = np.random.default_rng(seed).permutation(len(judged))  # who finishes first is not known
    credit = token_credit(read_marks(padded(judged, WIDTH)[order]), GROUPS[order], method)
    counts = np.array([one.reward is not None for one in judged])
    assert (~counts).tolist() == expected.dropped_R.tolist()
    mask_RT = np.arange(WIDTH) < np.array([len(ids) for _, ids in case.rows])[:, None]
    wanted = wide(expected.advantages_RT, WIDTH) * counts[:, None]
    np.testing.assert_allclose(credit[np.argsort(order)] * mask_RT, wanted, rtol=0, atol=1e-7)  # a segment of one token


def test_the_cases_hold_what_they_should() -> None:
    case = make_case(0)
    judged = on_a_cluster(case, METHODS["delta_norm, prefix, outcome 0.5"])
    marks = read_marks(padded(judged, WIDTH))
    assert marks.truncated_R.sum() >= 3
    assert marks.unscored_R.sum() >= 2
    assert (marks.program_R & ~marks.truncated_R).sum() >= 3
    assert marks.count_R.max() >= 3


def test_too_many_unscored_rollouts_stop_the_step() -> None:
    marks = read_marks(padded(on_a_cluster(make_case(0), METHODS["sparse"]), WIDTH))
    share = float(marks.unscored_R.mean())
    refuse_unscored(marks, share)
    with pytest.raises(UnscoredLimitError, match=r"could not be scored .limit 0%"):
        refuse_unscored(marks, share / 200)


@pytest.mark.parametrize("name", ["sparse", "outcome", "group_norm, prefix, outcome 0.5", "process, all or nothing"])
def test_the_record_of_a_step_is_that_of_one_machine(name: str, tmp_path: Path) -> None:
    case, method = make_case(0), METHODS[name]
    on_one_machine(case, method, tmp_path)
    rows: list[dict[str, object]] = []
    on_a_cluster(case, method, rows)
    writer = PartWriter(Attempt("a", tmp_path / "parts"))
    for row in [*rows[::-1], {**rows[0], "attempt": "killed"}, {**rows[0], "step": 2}]:
        writer(row)
    again = read_step(Attempt("a", tmp_path / "parts"), 1)
    assert again == rows
    batch, credits = step_of(1, again, {problem.id: problem for problem in case.problems}, method)
    expected = on_one_machine(case, method, tmp_path)
    assert credits.dropped_R.tolist() == expected.dropped_R.tolist()
    assert batch.group_R.tolist() == GROUPS.tolist()
    if isinstance(method, SparseConfig):
        heads = np.nan_to_num(credits.advantages_RS[:, 0])
        np.testing.assert_allclose(heads, expected.advantages_RT[:, 0] * (heads != 0), atol=1e-12)


def test_a_step_without_a_record_says_that_the_folder_is_not_shared() -> None:
    with pytest.raises(RunError, match="all nodes share"):
        step_of(1, [], {}, METHODS["sparse"])


def test_no_worker_writes_a_reference(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = []
    on_a_cluster(make_case(0), METHODS["outcome"], rows)
    PartWriter(Attempt("a", tmp_path))(rows[0])
    assert "SECRET" not in json.dumps(rows)
    assert len(read_jsonl(next(tmp_path.iterdir()))) == 1
