"""Several runs are compared as one would be, on the same problems; what cannot be compared is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from exprl.cli import main
from exprl.errors import RunError
from exprl.evaluate.coverage import Counts, paired_difference
from exprl.pipeline.several import compare_runs
from exprl.runs import read_jsonl


def write_run(folder: Path, rights: dict[str, list[int]], *, n: int = 4, problems: int = 3, model: str = "m") -> Path:
    """A run of one seed and one stage; by arm (and `base`), the right samples of each held-out problem."""
    folder.mkdir(parents=True)
    config = {
        "name": folder.name,
        "policy": {"model": model},
        "data": {"train": {"path": "t.jsonl"}, "evaluate": {"held_out": {"path": "h.jsonl"}}},
        "arms": {arm: {"type": "sparse" if arm == "sparse" else "outcome"} for arm in rights if arm != "base"},
        "stage2": False,
        "evaluate": {"n": n, "train_problems": False, "bootstrap": 200},
    }
    write(folder / "config.json", config)
    write(folder / "environment.json", {"packages": {"exprl": "0"}})
    rows = [{"id": f"p{i}", "text": f"{i}?", "set": "held_out", "reference_digest": f"d{i}"} for i in range(problems)]
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for arm, right in rights.items():
        at = folder / "base" if arm == "base" else folder / "arms" / arm / "seed-0" / "stage1" / "eval"
        (at / "held_out").mkdir(parents=True)
        samples = [
            {"question_id": f"p{i}", "text": f"\\boxed{{{s < right[i]}}}", "tokens": 3, "correct": float(s < right[i])}
            for i in range(problems)
            for s in range(n)
        ]
        (at / "held_out" / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in samples))
        write(at / "held_out" / "DONE.json", {})
    return folder


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


BASE = [0, 0, 0]


def test_arms_of_two_runs_are_compared_problem_by_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "a", {"base": BASE, "sparse": [0, 1, 0]})
    write_run(tmp_path / "b", {"base": BASE, "outcome": [3, 2, 4]})
    page = tmp_path / "compare.html"
    with pytest.raises(SystemExit) as ended:
        main(["report", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(page), "--json"])
    assert not ended.value.code
    summary = json.loads(capsys.readouterr().out)
    row = next(r for r in summary["differences"] if (r["arm"], r["other"], r["k"]) == ("a.sparse", "b.outcome", 4))
    counts = (Counts.of(4, [0, 1, 0]), Counts.of(4, [3, 2, 4]))
    assert (row["value"], row["low"], row["high"]) == tuple(paired_difference(*counts, 4, bootstrap=200))
    assert summary["control"] == "a.sparse"
    text = page.read_text()
    assert "b.outcome" in text
    assert f"exprl report {tmp_path / 'a'} {tmp_path / 'b'} --out {page}" in text
    assert not list(tmp_path.glob("*/report.html"))


def test_runs_on_other_problems_are_refused(tmp_path: Path) -> None:
    one = write_run(tmp_path / "a", {"base": BASE, "sparse": BASE})
    other = write_run(tmp_path / "b", {"base": BASE, "sparse": BASE})
    rows = [row | {"reference_digest": "x"} for row in read_jsonl(other / "problems.jsonl")]
    (other / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(RunError, match=r"a and .*b have different problems in held_out"):
        compare_runs([one, other], tmp_path / "c.html")
    (other / "problems.jsonl").write_text("".join(json.dumps(row | {"set": "mine"}) + "\n" for row in rows))
    with pytest.raises(RunError, match=r"share no evaluation set .*a: held_out; .*b: mine"):
        compare_runs([one, other], tmp_path / "c.html")


def test_runs_that_differ_in_samples_policy_or_not_in_name_are_refused(tmp_path: Path) -> None:
    one = write_run(tmp_path / "a", {"base": BASE, "sparse": BASE})
    with pytest.raises(RunError, match=r"evaluate\.n\) 4, .* has 8"):
        compare_runs([one, write_run(tmp_path / "b", {"base": BASE, "sparse": BASE}, n=8)], tmp_path / "c.html")
    with pytest.raises(RunError, match=r"policy\.model\) m, .* has other"):
        compare_runs(
            [one, write_run(tmp_path / "d", {"base": BASE, "sparse": BASE}, model="other")], tmp_path / "c.html"
        )
    twin = Path(shutil.copytree(one, tmp_path / "twin"))
    with pytest.raises(RunError, match=r"one name \(a, a\)"):
        compare_runs([one, twin], tmp_path / "c.html")
