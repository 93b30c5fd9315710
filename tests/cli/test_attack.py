"""`exprl attack`: a suite over problems of any source, a result for people, machines and a card, and an exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from exprl import cli
from exprl.cli.settings import load_config
from exprl.judge.attacks import CLASSES, GROWTH
from exprl.judge.calibrate import Calibration, calibrate, read_card
from exprl.runs import read_json, read_jsonl

CANARY = "CANARY-77ab"
TOML = """
name = "small"
[policy]
model = "owner/never-loaded"
[data]
train = { path = "train.jsonl" }
evaluate.held = { path = "held.jsonl" }
"""
Command = Callable[..., tuple[str, str]]


def row(number: int, **changes: object) -> dict[str, object]:
    given = {
        "id": f"p{number}",
        "problem": f"What is {number} + 40, doubled?",
        "solution": f"{CANARY}\n{number}+40={number + 40}\n2*{number + 40}={2 * number + 80}",
        "answer": str(2 * number + 80),
    }
    return {key: value for key, value in (given | changes).items() if value is not None}


@pytest.fixture
def exprl(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(TOML, "utf-8")
    write(tmp_path / "train.jsonl", [row(n) for n in (3, 8, 21)])
    write(tmp_path / "held.jsonl", [row(5)])

    def command(*arguments: str, code: int = 0) -> tuple[str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(["attack", "small.toml", *arguments])
        out, err = capsys.readouterr()
        assert (ended.value.code or 0) == code, err
        assert CANARY not in out + err
        return out, err

    return command


def write(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")


def test_people_get_a_table_with_intervals_and_a_paragraph(exprl: Command) -> None:
    out, err = exprl("--per-class", "6", "--out", "a")
    assert err == ""
    assert all(kind in out for kind in CLASSES)
    assert "correct reference" in out
    assert "0 of 6: 0.0% [0.0%, " in out
    assert "n/a" in out, "this judge has nothing to say without a reference"
    assert "none of 90 attacks fooled the judge" in out


def test_machines_get_the_rates_and_the_folder_keeps_the_cases(exprl: Command, tmp_path: Path) -> None:
    out, _ = exprl("--per-class", "5", "--out", "a", "--json", "--seed", "3")
    shown = json.loads(out)
    assert shown["cases"] == 5 * len(CLASSES)
    assert shown["conditions"]["correct"]["empty"]["successes"] == 0
    assert shown["conditions"]["none"]["empty"] == {
        "n": 0,
        "successes": 0,
        "rate": None,
        "low": None,
        "high": None,
        "unscored": 5,
    }
    kept = read_json(tmp_path / "a" / "attack.json")
    assert kept["conditions"] == shown["conditions"]
    assert [name for name in kept["fooled"]["correct"] if not name.startswith(GROWTH)] == []
    assert (kept["fooled"]["none"], kept["fooled"]["wrong"]) == ([], [])
    assert len(read_jsonl(tmp_path / "a" / "cases.jsonl")) == shown["cases"]
    assert CANARY not in json.dumps(kept)


def test_a_second_call_asks_nothing_again(exprl: Command, tmp_path: Path) -> None:
    first, _ = exprl("--per-class", "4", "--out", "a", "--json")
    rows = (tmp_path / "a" / "verdicts.jsonl").read_bytes()
    second, _ = exprl("--per-class", "4", "--out", "a", "--json")
    assert first == second
    assert (tmp_path / "a" / "verdicts.jsonl").read_bytes() == rows


def test_a_plan_counts_the_calls_and_spends_none(exprl: Command, tmp_path: Path) -> None:
    out, _ = exprl("--per-class", "4", "--out", "a", "--json", "--dry-run", "--conditions", "correct,wrong")
    # Growth takes two cuts a case.
    assert json.loads(out)["plan"]["total"]["judge_calls"] == 2 * (4 * len(CLASSES) + 4)
    assert not (tmp_path / "a").exists()


def test_problems_come_from_a_set_a_file_of_problems_or_labelled_answers(exprl: Command, tmp_path: Path) -> None:
    held, _ = exprl("--set", "held", "--per-class", "2", "--out", "a", "--json")
    assert json.loads(held)["problems"] == 1
    labelled = [
        row(n, id=f"p{n}-{c}", solution=None, answer=None, reference=f"{n}+40={n + 40}", candidate="x", correct=c)
        for n in (3, 8)
        for c in (True, False)
    ]
    write(tmp_path / "labelled.jsonl", labelled)
    several, _ = exprl("--data", "labelled.jsonl", "--per-class", "2", "--out", "b", "--json")
    assert json.loads(several)["problems"] == 2
    few, _ = exprl("--problems", "2", "--per-class", "2", "--out", "c", "--json")
    assert json.loads(few)["problems"] == 2


def test_growth_is_attacked_with_prefix_scope_only(exprl: Command) -> None:
    out, _ = exprl("--scope", "outcome", "--per-class", "2", "--out", "a", "--json")
    assert GROWTH not in json.loads(out)["conditions"]["correct"]


def test_a_limit_that_is_kept_ends_well_and_one_that_is_broken_with_1(
    exprl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    exprl("--per-class", "3", "--out", "a", "--fail-over", "0")
    monkeypatch.setattr("exprl.judge.milestone.judge._likert", lambda tally: 4)
    _, err = exprl("--per-class", "3", "--out", "b", "--fail-over", "0.5", "--json", code=1)
    assert err.startswith("over 50%, or without a score, with the correct reference: empty, master_key, ")
    assert GROWTH not in err


def test_the_result_joins_the_card_of_the_same_judge_and_of_no_other(exprl: Command, tmp_path: Path) -> None:
    answers = [
        row(n, id=f"{n}-{right}", solution=None, answer=None, reference=f"{n}+40={n + 40}\n2*{n + 40}={2 * n + 80}")
        | {"candidate": f"{n}+40={n + 40}\n2*{n + 40}={2 * n + 80}\n\\boxed{{{2 * n + 80}}}" * right, "correct": right}
        for n in (3, 8, 21)
        for right in (True, False)
    ]
    write(tmp_path / "labelled.jsonl", answers)
    config = load_config(Path("small.toml"), ())
    calibrate(config, Calibration(data=tmp_path / "labelled.jsonl", out=tmp_path / "card", conditions=("correct",)))
    card = tmp_path / "card" / "judge-card.json"
    shown, _ = exprl("--per-class", "2", "--out", "a", "--json", "--card", str(card))
    assert read_card(card).attack == json.loads(shown)
    text = card.read_text("utf-8").replace('"template_hash": "', '"template_hash": "x')
    card.write_text(text, "utf-8")
    _, err = exprl("--per-class", "2", "--out", "a", "--card", str(card), code=2)
    assert "this was measured on milestone" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "hold"), "no set 'hold'; there are hard_train, held"),
        (("--conditions", "right"), "unknown condition 'right'"),
        (("--data", "nothing.jsonl"), "nothing.jsonl"),
        (("--problems", "0"), "Must be >= 1"),
        (("--fail-over", "2"), "Must be <= 1"),
        (("--card", "judge-card.json"), "judge-card.json"),
    ],
)
def test_what_cannot_be_done_is_one_line(exprl: Command, arguments: tuple[str, ...], said: str) -> None:
    _, err = exprl(*arguments, "--per-class", "1", code=2)
    assert err.startswith("error: ")
    assert said in err
    assert err.count("\n") == 1


def test_problems_without_references_are_refused(exprl: Command, tmp_path: Path) -> None:
    write(tmp_path / "bare.jsonl", [row(1, solution=None, answer=None)])
    _, err = exprl("--data", "bare.jsonl", code=2)
    assert "nothing to be fooled about" in err
