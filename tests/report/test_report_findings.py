"""What the page claims in words: a difference only where intervals are apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_run import write_fake_run

from exprl.report.cautions import cautions
from exprl.report.findings import Comparison, compare, findings, join
from exprl.report.read import Estimate, read_run


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (Estimate(0.6, 0.5, 0.7), Estimate(0.4, 0.3, 0.49), "above"),
        (Estimate(0.4, 0.3, 0.49), Estimate(0.6, 0.5, 0.7), "below"),
        (Estimate(0.6, 0.5, 0.7), Estimate(0.4, 0.3, 0.5), "no difference"),
        (Estimate(0.0, 0.0, 0.0), Estimate(0.0, 0.0, 0.0), "no difference"),
        (Estimate(0.6, None, None), Estimate(0.4, 0.3, 0.5), "not comparable"),
        (None, Estimate(0.4, 0.3, 0.5), "not comparable"),
    ],
)
def test_a_difference_is_claimed_only_between_intervals_that_are_apart(
    one: Estimate | None, other: Estimate | None, said: Comparison
) -> None:
    assert compare(one, other) == said


def test_names_are_joined_as_in_a_sentence() -> None:
    assert [join([]), join(["a"]), join(["a", "b"]), join(["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def make(folder: Path, **numbers: dict[str, tuple[float, float, float]]) -> list[str]:
    """The findings of a fake run whose held-out numbers are replaced: arm -> "stage/k" -> (value, low, high)."""
    run = write_fake_run(folder / "fake")
    summary = json.loads((run / "summary.json").read_text())
    for arm, values in numbers.items():
        for key, (value, low, high) in values.items():
            stage, k = key.split("/")
            block = summary["arms"][arm][stage]["hard_held_out"]
            block[f"pass@{k}"] = {"value": value, "low": low, "high": high}
    (run / "summary.json").write_text(json.dumps(summary))
    return findings(read_run(run))


def test_the_paragraph_says_who_was_above_whom(tmp_path: Path) -> None:
    primed = {"stage1/16": (0.7, 0.5, 0.9), "stage1/1": (0.05, 0.04, 0.06)}
    held_out, trained = make(
        tmp_path,
        base={"stage1/16": (0.0, 0.0, 0.1)},
        sparse={"stage1/16": (0.0, 0.0, 0.1), "stage1/1": (0.0, 0.0, 0.01), "stage2/1": (0.0, 0.0, 0.01)},
        outcome={**primed, "stage2/1": (0.4, 0.3, 0.5)},
        process={**primed, "stage2/1": (0.5, 0.4, 0.6)},
    )
    assert held_out.startswith("On the held-out set hard_held_out, the base policy solved 0 of 8 problems in 16 tries")
    assert "sparse solved 0 and 0 of 8 (pass@16 0.000), no different from base; outcome solved" in held_out
    assert "(pass@16 0.700), above base and sparse. After Stage II, sparse went from pass@1 0.000" in held_out
    assert "no different from its own Stage I; outcome went from pass@1 0.050 to 0.400 and process" in held_out
    assert "0.500, above their own Stage I and sparse." in held_out
    assert held_out.endswith("Between outcome and process there is no difference at pass@1 after Stage II.")
    assert trained.startswith("On the training set hard_train")


def test_of_many_arms_each_sentence_stands_alone_and_begins_with_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exprl.report.findings._MANY", 3)
    primed = {"stage1/16": (0.7, 0.5, 0.9), "stage1/1": (0.05, 0.04, 0.06), "stage2/1": (0.4, 0.3, 0.5)}
    zero = {"stage1/16": (0.0, 0.0, 0.1), "stage1/1": (0.0, 0.0, 0.01), "stage2/1": (0.0, 0.0, 0.01)}
    base = {"stage1/16": (0.0, 0.0, 0.1)}
    said = make(tmp_path, base=base, sparse=zero, outcome=primed, process=primed)
    assert said[0].endswith("tries each.")
    assert said[1] == "After Stage I no different from base: sparse solved 0 and 0 of 8 (pass@16 0.000)."
    assert said[2].startswith("After Stage I above base and sparse: outcome solved")
    assert said[4].startswith(
        "After Stage II above their own Stage I and sparse: outcome went from pass@1 0.050 to 0.400"
    )


def test_an_overlap_with_sparse_is_not_called_a_win(tmp_path: Path) -> None:
    held_out, _ = make(
        tmp_path,
        sparse={"stage1/16": (0.3, 0.1, 0.6), "stage2/1": (0.2, 0.1, 0.35)},
        outcome={"stage1/16": (0.7, 0.5, 0.9), "stage1/1": (0.2, 0.1, 0.3), "stage2/1": (0.3, 0.2, 0.4)},
        process={"stage1/16": (0.8, 0.7, 0.9), "stage1/1": (0.1, 0.0, 0.2), "stage2/1": (0.6, 0.5, 0.7)},
    )
    assert "(pass@16 0.700), above base and no different from sparse" in held_out
    assert "outcome went from pass@1 0.200 to 0.300, no different from its own Stage I and sparse" in held_out


def test_high_rates_and_a_single_seed_are_cautioned(tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "fake")
    config = json.loads((run / "config.json").read_text()) | {"seeds": [0]}
    (run / "config.json").write_text(json.dumps(config))
    path = run / "arms/process/seed-0/stage1/metrics.jsonl"
    rows = [json.dumps(json.loads(line) | {"unscored": 0.5}) for line in path.read_text().splitlines()]
    path.write_text("\n".join(rows) + "\n")
    said = cautions(read_run(run))
    assert said[0].startswith("One seed")
    assert any(line.startswith("process, Stage I: ") and line.endswith("of rollouts had no score.") for line in said)
    assert "sparse, Stage I: 100% of groups gave no signal." in said


def test_a_training_set_that_the_base_policy_solves_in_part_is_cautioned(tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "fake")
    path = run / "base/hard_train/samples.jsonl"
    first, rest = path.read_text().split("\n", 1)
    path.write_text(json.dumps(json.loads(first) | {"correct": 1.0}) + "\n" + rest)
    assert any("the base policy solved 1 of 8 problems" in line for line in cautions(read_run(run)))
