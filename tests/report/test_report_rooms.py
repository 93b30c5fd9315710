"""The reading room: which rollouts are shown, and what is said beside each segment."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

from fake_run import write_fake_run
from hypothesis import given
from hypothesis import strategies as st

from exprl.report.pieces import cut, elided
from exprl.report.read import Record, read_run
from exprl.report.rooms import Room, rooms


def write(folder: Path, rows: list[dict[str, object]], arm: str = "process") -> Record:
    """A fake run whose first seed of an arm wrote these rollouts in Stage I."""
    run = write_fake_run(folder / "fake")
    base = {"text": "a###b", "tokens": 2, "truncated": False, "segments": [[0, 4], [4, 5]]}
    lines = [json.dumps({"id": f"r{i}", **base, **row}) for i, row in enumerate(rows)]
    (run / f"arms/{arm}/seed-0/stage1/rollouts.jsonl").write_text("".join(line + "\n" for line in lines))
    return read_run(run)


def row(question: str, step: int, score: float | None, correct: float | None = 0.0) -> dict[str, object]:
    advantages: list[float | None] = [0.5, -0.5] if score is not None else [None, None]
    return {"question_id": question, "step": step, "scores": [0.0, score], "advantages": advantages, "correct": correct}


def room_of(record: Record, arm: str = "process") -> Room:
    return next(room for room in rooms(record, limit=48, budget=4000) if (room.arm, room.stage) == (arm, "Stage I"))


def test_best_and_worst_are_of_the_last_quarter_and_of_different_problems(tmp_path: Path) -> None:
    early = [row("p", 1, 1.0), row("q", 1, 0.0)]
    late = [row("p", 100, 0.75, 1.0), row("p", 100, 0.75), row("q", 99, 0.5), row("r", 98, 0.25)]
    shown = room_of(write(tmp_path, early + late)).shown
    assert [(s.heading.split(":")[0], s.id) for s in shown[:4]] == [
        ("Best", "r2"),
        ("Best", "r4"),
        ("Worst", "r5"),
        ("Worst", "r3"),
    ]


def test_most_changed_shows_the_same_problem_early_and_late_with_its_change(tmp_path: Path) -> None:
    rows = [
        row("p", 1, 0.0),
        row("q", 1, 0.5),
        row("p", 50, 0.75),
        row("p", 50, 1.0),
        row("p", 50, 0.5),
        row("q", 60, 0.25),
    ]
    shown = [s for s in room_of(write(tmp_path, rows)).shown if s.heading.startswith("Most changed")]
    assert [s.id for s in shown] == ["r0", "r2", "r1", "r5"]
    assert "0.00 at step 1, 0.75 at step 50 (+0.75)" in shown[0].note
    assert "(-0.25)" in shown[2].note


def test_scores_that_are_all_the_same_have_no_best_and_no_worst(tmp_path: Path) -> None:
    shown = room_of(write(tmp_path, [row("p", 1, 0.5), row("q", 2, 0.5), row("p", 3, 0.5)])).shown
    assert [s.heading.split(":")[0] for s in shown] == ["All alike"]


def test_a_rollout_without_a_score_is_counted_and_not_ranked(tmp_path: Path) -> None:
    room = room_of(write(tmp_path, [row("p", 1, None), row("q", 1, 0.5), row("q", 1, 0.25)]))
    assert (room.rollouts, room.unranked) == (3, 1)
    assert "r0" not in {s.id for s in room.shown}


def test_sparse_stages_are_ranked_by_the_verifier(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {**row("p", 1, None, correct), "scores": [correct], "segments": [[0, 5]]} for correct in (0.0, 1.0)
    ]
    room = room_of(write(tmp_path, rows, "sparse"), "sparse")
    assert [(s.id, s.facts[0]) for s in room.shown] == [("r1", "right answer"), ("r0", "wrong answer")]
    assert room.scorer == "verifier"


def test_rooms_share_the_limit(tmp_path: Path) -> None:
    record = read_run(write_fake_run(tmp_path / "fake"))
    shown = rooms(record, limit=24, budget=4000)
    assert {room.seed for room in shown} == {0}
    assert len(shown) == 6
    assert sum(len(room.shown) for room in shown) <= 24
    assert shown[0].arm == "process"


def test_each_segment_says_its_score_and_its_credit_with_its_sign() -> None:
    pieces = cut("ab#cd", [(0, 3), (3, 5)], [0.25, 1.0], [-0.75, 0.75], asked=True, budget=4000)
    assert [(p.text, p.score, p.advantage, p.score_class, p.advantage_class) for p in pieces] == [
        ("ab#", "0.25", "▼ -0.75", "s2", "minus"),
        ("cd", "1.00", "▲ +0.75", "s10", "plus"),
    ]


def test_a_missing_score_is_named_for_what_it_is() -> None:
    (unscored,) = cut("ab", [(0, 2)], [None], [None], asked=True, budget=4000)
    assert (unscored.score, unscored.advantage, unscored.score_class) == (
        "unscored",
        "left out of the loss",
        "unscored",
    )
    (truncated,) = cut("ab", [(0, 2)], [None], [0.0], asked=False, budget=4000)
    assert (truncated.score, truncated.advantage) == ("not asked", "■ 0")
    (bare,) = cut("ab", [(0, 2)], [], [], asked=True, budget=4000)
    assert (bare.score, bare.advantage) == ("not asked", "not recorded")


def test_one_outcome_score_belongs_to_the_end_and_its_credit_to_all() -> None:
    pieces = cut("abcd", [(0, 2), (2, 4)], [0.5], [0.1], asked=True, budget=4000)
    assert [(p.score, p.advantage) for p in pieces] == [("not asked", "▲ +0.10"), ("0.50", "▲ +0.10")]


def test_of_very_many_segments_the_first_and_the_last_are_shown() -> None:
    pieces = cut(
        "ab" * 100, [(i, i + 1) for i in range(200)], [i / 200 for i in range(200)], [], asked=True, budget=4000
    )
    assert len(pieces) == 24 + 1 + 16
    assert pieces[24].text == "[… 160 segments left out …]"
    assert (pieces[23].score, pieces[25].score) == ("0.12", "0.92")


def test_spans_that_do_not_join_to_the_text_are_not_trusted() -> None:
    for spans in ([], [(0, 2)], [(0, 2), (3, 4)], [(0, 9)], [(2, 4), (0, 2)]):
        assert [p.text for p in cut("abcd", spans, [], [], asked=True, budget=4000)] == ["abcd"]


@given(st.lists(st.text(), max_size=8), st.integers(200, 2000))
def test_pieces_join_to_the_text_where_there_is_room(parts: list[str], budget: int) -> None:
    ends = [0]
    for part in parts:
        ends.append(ends[-1] + len(part))
    pieces = cut("".join(parts), list(pairwise(ends)), [], [], asked=True, budget=budget)
    if all(len(part) <= 200 for part in parts):
        assert "".join(p.text for p in pieces) == "".join(parts)


def test_a_long_text_keeps_its_ends_and_says_what_was_left_out() -> None:
    said = elided("a" * 500 + "b" * 500, 300)
    assert said.startswith("a" * 200 + "\n[… 700 characters left out …]\n")
    assert said.endswith("b" * 100)
