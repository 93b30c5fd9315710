"""Arms against each other: the page says what summary.json says, and the paper's numbers appear only where they belong."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import pytest
from fake_run import ARMS, SETS, write_fake_run

from exprl.evaluate.coverage import Counts, paired_difference
from exprl.pipeline.summary import write_summary
from exprl.report import write_report
from exprl.report.comparison import compared
from exprl.report.read import Record, read_run
from exprl.report.various import various
from exprl.runs import RunDir, read_jsonl

PAPER = "the paper's, not ours"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fake run whose summary was computed from its samples."""
    folder = write_fake_run(tmp_path_factory.mktemp("runs") / "fake")
    write_summary(RunDir.open(folder))
    return folder


@pytest.fixture(scope="module")
def record(run: Path) -> Record:
    return read_run(run)


def text_of(page: Path) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.read_text("utf-8").split("<main>")[1])))


def as_paper(run: Path, folder: Path) -> Path:
    """The same run as if it had been one of the paper's model on the whole AIME 2026."""
    copy = Path(shutil.copytree(run, folder))
    config = json.loads((copy / "config.json").read_text())
    config["policy"]["model"] = "Qwen/Qwen3-4B-Instruct-2507"
    config["data"]["evaluate"] = {SETS[0]: {"path": "org/aime_2026"}}
    (copy / "config.json").write_text(json.dumps(config))
    summary = json.loads((copy / "summary.json").read_text())
    summary["problems"][SETS[0]] = 30
    (copy / "summary.json").write_text(json.dumps(summary))
    return copy


def counts_of(run: Path, arm: str, stage: str, set_: str) -> Counts:
    ids = [str(row["id"]) for row in read_jsonl(run / "problems.jsonl") if row["set"] == set_]
    folders = sorted(run.glob(f"arms/{arm}/seed-*/{stage}/eval/{set_}"))
    return Counts.of_seeds([Counts.of_rows(read_jsonl(folder / "samples.jsonl"), ids) for folder in folders])


def test_every_pair_of_arms_is_compared_on_every_set_after_every_stage(record: Record) -> None:
    pairs = {frozenset((row["arm"], row["other"])) for row in record.differences}
    assert len(pairs) == 6  # three arms and the base policy
    assert len(record.differences) == 6 * 2 * 2 * len(SETS)  # stages, k's (1 and 16), sets


def test_a_difference_is_that_of_the_samples_whichever_way_it_is_asked(run: Path, record: Record) -> None:
    one, other = (counts_of(run, arm, "stage2", SETS[0]) for arm in ("sparse", "outcome"))
    want = paired_difference(one, other, 16)
    found = record.difference("stage2", SETS[0], 16, "sparse", "outcome")
    assert found is not None
    assert (found.value, found.low, found.high) == tuple(want)
    turned = record.difference("stage2", SETS[0], 16, "outcome", "sparse")
    assert turned is not None
    assert (turned.value, turned.low, turned.high) == (-want.value, -want.high, -want.low)


def test_a_stage_table_has_arms_in_rows_and_sets_in_columns(record: Record) -> None:
    first, second = compared(record).tables
    assert (first.stage, second.stage) == ("Stage I", "Stage II")
    assert (second.sets, second.ks) == (SETS, (1, 16))
    assert [row.arm for row in second.rows] == ["base", *ARMS]
    cell = second.rows[2].cells[1]
    estimate = record.coverage("outcome", "stage2", SETS[0])[16]
    assert cell.value == estimate.value
    assert cell.interval == f"{estimate.low:.3f} to {estimate.high:.3f}"


def test_each_arm_is_held_against_the_sparse_one_in_words(record: Record) -> None:
    found = compared(record)
    assert found.control == "sparse"
    _, after_two = found.against
    assert [arm for arm, _, _ in after_two.rows] == ["base", "outcome", "process"]
    words = {arm: {cell.word for cell in cells if cell} for arm, _, cells in after_two.rows}
    assert words["outcome"] == {"above"}
    assert words["base"] == {"no difference"}
    assert any(line.startswith("After Stage II, ") and "above sparse" in line for line in found.best)


def test_orderings_are_told_by_settings(record: Record) -> None:
    found = compared(record)
    told = {(row.claim, row.measured): row.verdict for row in found.orderings}
    assert told["Outcome above sparse RL", f"pass@1 after Stage II, {SETS[0]}"] == "holds"
    # The fake process arm has outcome credit: it is not the paper's Process.
    assert ("Process + outcome credit above sparse RL", f"pass@1 after Stage II, {SETS[0]}") in told
    assert not any(claim.startswith("Process (DeltaNorm") for claim, _ in told)
    assert any(line.startswith("the base policy above SFT") for line in found.untested)
    assert found.claims.startswith("Of 12 checks of the paper's orderings, 2 hold here")


def test_the_papers_numbers_do_not_appear_on_other_models_and_sets(run: Path) -> None:
    assert PAPER not in text_of(write_report(run))


def test_the_papers_numbers_stand_beside_ours_and_say_whose_they_are(run: Path, tmp_path: Path) -> None:
    copy = as_paper(run, tmp_path / "fake")
    text = text_of(write_report(copy))
    assert f"0.617 ({PAPER})" in text  # Outcome, Stage II, AIME 2026
    assert f"0.776 ({PAPER})" in text  # sparse, Stage I, pass@16
    cells = {row.arm: row.cells for row in compared(read_run(copy)).tables[1].rows}
    assert [cell.paper for cell in cells["sparse"]] == ["0.588", "", "", ""]
    assert not any(cell.paper for cell in cells["process"])  # with outcome credit: not the paper's


def test_budgets_that_differ_are_said(run: Path, tmp_path: Path) -> None:
    assert compared(read_run(run)).budgets == "All arms were given the same budget: 96 Stage-I rollouts a seed."
    copy = Path(shutil.copytree(run, tmp_path / "fake"))
    config = json.loads((copy / "config.json").read_text())
    config["arms"]["sparse"] = {"type": "sft", "epochs": 2}
    (copy / "config.json").write_text(json.dumps(config))
    assert compared(read_run(copy)).budgets == (
        "Budgets differ (Stage-I rollouts a seed): sparse no; outcome and process 96."
    )


def test_diversity_is_shown_with_intervals_and_its_absence_in_words(record: Record) -> None:
    table = next(table for table in various(record) if table.set == SETS[0])
    # The fake samples all say "...": there is no answer, and right ones are worded alike.
    row = next(row for row in table.rows if (row.arm, row.stage) == ("outcome", "Stage II"))
    assert [cell.text for cell in row.cells[:3]] == ["no answers"] * 3
    assert row.cells[4].text == "0.00"
    base = next(row for row in table.rows if row.arm == "base")
    assert [cell.text for cell in base.cells[3:]] == ["none", "none"]


def test_a_summary_of_an_earlier_version_still_makes_a_page(tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "fake")
    text = text_of(write_report(run))
    assert "summary.json was written by an earlier version" in text
    assert "The summary holds no measures of diversity." in text
