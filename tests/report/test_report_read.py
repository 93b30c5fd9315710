"""What is read of a run directory, finished or torn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_run import write_fake_run

from exprl.errors import RunError
from exprl.report.curves import coverage, training
from exprl.report.read import Record, read_run
from exprl.report.rows import number, read_object, read_rows
from exprl.report.tables import full, headline
from exprl.report.unlocked import unlocked


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return read_run(write_fake_run(tmp_path_factory.mktemp("runs") / "fake"))


def test_a_torn_last_line_is_dropped_and_offsets_lead_back_to_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes('{"a": "ä"}\n{"a": 2}\n{"a": 3'.encode())
    rows = list(read_rows(path))
    assert [row["a"] for _, row in rows] == ["ä", 2]
    with path.open("rb") as file:
        file.seek(rows[1][0])
        assert json.loads(file.readline()) == {"a": 2}


def test_a_damaged_line_in_the_middle_is_refused_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": \n{"a": 3}\n')
    with pytest.raises(RunError, match=r"rows\.jsonl, line 2: not JSON"):
        list(read_rows(path))


def test_a_json_file_that_is_no_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("[1]")
    with pytest.raises(RunError, match="holds list, expected a JSON object"):
        read_object(tmp_path / "summary.json")
    assert read_object(tmp_path / "nothing.json") is None


def test_a_missing_number_is_none_and_never_zero() -> None:
    row: dict[str, object] = {"null": None, "nan": float("nan"), "text": "1", "zero": 0, "yes": True}
    assert [number(row, key) for key in ("null", "nan", "text", "absent")] == [None] * 4
    assert (number(row, "zero"), number(row, "yes")) == (0.0, 1.0)


def test_held_out_sets_come_before_the_training_set(record: Record) -> None:
    assert record.sets == ("hard_held_out", "hard_train")
    assert record.arms == ("sparse", "outcome", "process")
    assert record.seeds == (0, 1)


def test_unscored_samples_are_counted_apart_and_not_as_wrong(tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "fake")
    path = run / "base/hard_train/samples.jsonl"
    first, rest = path.read_text().split("\n", 1)
    path.write_text(json.dumps(json.loads(first) | {"correct": None}) + "\n" + rest)
    tally = read_run(run).base["hard_train"]
    assert (tally.unscored, min(tally.graded.values()), tally.tries) == (1, 15, 16)


def test_samples_of_an_unfinished_evaluation_are_not_counted_as_solved(tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "fake")
    (run / "arms/process/seed-1/stage1/eval/hard_held_out/DONE.json").unlink()
    assert list(read_run(run).tallies("process", "stage1", "hard_held_out")) == [0]


def test_two_sets_may_number_their_problems_alike(tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "fake")
    rows = [{"id": "0", "set": set_, "text": f"of {set_}"} for set_ in ("hard_train", "aime")]
    (run / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_run(run).problems["hard_train", "0"].text == "of hard_train"


def test_the_headline_has_first_eighth_and_last_k_and_the_full_table_all(record: Record) -> None:
    assert headline(record)[0].ks == (1, 8, 16)
    assert full(record)[0].ks == (1, 2, 4, 8, 16)
    assert [(row.arm, row.stage) for row in headline(record)[0].rows][:3] == [
        ("base", "before training"),
        ("sparse", "Stage I"),
        ("sparse", "Stage II"),
    ]


def test_coverage_has_a_panel_a_stage_and_every_seed_as_a_thin_line(record: Record) -> None:
    charts = coverage(record, "hard_held_out").charts
    assert [chart.title for chart in charts] == ["Stage I", "Stage II"]
    assert charts[0].svg.count('class="line thin') == 3 * 2
    assert charts[0].svg.count('class="line bold') == 4
    assert charts[0].svg.count('class="band') == 4
    assert charts[1].svg.count('class="line faint') == 3


def test_quantities_without_values_are_named_as_absent(tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "fake")
    for path in run.glob("arms/*/seed-*/stage*/metrics.jsonl"):
        rows = [json.dumps(json.loads(line) | {"kl": None, "entropy": None}) for line in path.read_text().splitlines()]
        path.write_text("\n".join(rows) + "\n")
    drawn = training(read_run(run))
    assert drawn.absent == ("token entropy", "KL to the start")
    assert "Reward" in [chart.title for chart in drawn.charts]


def test_unlocked_counts_each_seed_of_every_stage(record: Record) -> None:
    strips = {strip.label: strip for strip in unlocked(record)}
    assert strips["base, 16 samples"].total == "0 of 8"
    assert strips["sparse, Stage I"].total == "0 / 0 of 8"
    want = " / ".join(str(len(run.unlocked())) for run in record.of("process", "stage1"))
    assert strips["process, Stage I"].total == f"{want} of 8"
