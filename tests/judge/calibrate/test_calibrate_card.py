"""Rows in, card out: what is read, what a card holds, what it refuses, and what its page shows."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from exprl.errors import DataError, JudgeError
from exprl.evaluate.intervals import Interval
from exprl.judge.calibrate.card import (
    ConditionResult,
    DataUsed,
    JudgeCard,
    Lengths,
    read_card,
    update_card,
    write_card,
)
from exprl.judge.calibrate.labelled import load_labelled, subsample
from exprl.judge.calibrate.measure import CurvePoint, Rates, Repeatability
from exprl.judge.calibrate.page import write_page
from exprl.judge.calibrate.words import in_words

CANARY = "CANARY-1f0e"
NONE = Interval(math.nan, math.nan, math.nan)
ROW: dict[str, object] = {"id": "a", "problem": "p", "reference": CANARY, "candidate": "c", "correct": True}


def result(misplacement: Interval, *, unscored: int = 0, difference: Interval | None = None) -> ConditionResult:
    silent = Interval(unscored / 100, unscored / 100, unscored / 100)
    rates = Rates(100, 50, 50, 50, unscored, misplacement, misplacement, misplacement, Interval(0.9, 0.8, 0.95), silent)
    curve = (CurvePoint(0.0, 50, Interval(0.1, 0.05, 0.2)), CurvePoint(1.0, 50, Interval(0.9, 0.8, 0.95)))
    lengths = Lengths(correct=Interval(0.3, 0.1, 0.5), wrong=Interval(0.0, -0.1, 0.1))
    reasons = {"no <verdict>": unscored} if unscored else {}
    return ConditionResult(
        rates=rates,
        curve=curve if unscored < 100 else (),
        lengths=lengths,
        reasons=reasons,
        difference=difference,
    )


def card(**changes: object) -> JudgeCard:
    values: dict[str, object] = {
        "exprl": "0",
        "date": "2026-01-01",
        "judge": "llm:small<b>",
        "model": "small",
        "template_hash": "h" * 64,
        "scope": "outcome",
        "domains": ("math",),
        "settings": {"type": "llm"},
        "data": DataUsed(file="d.jsonl", sha256="0" * 64, rows=110, used=100, left_out=10, seed=0),
        "level": 0.95,
        "replicates": 2000,
        "conditions": {
            "correct": result(Interval(0.15, 0.1, 0.2)),
            "none": result(NONE, unscored=100, difference=NONE),
            "wrong": result(Interval(0.5, 0.45, 0.55), difference=Interval(0.35, 0.3, 0.4)),
        },
        "repeatability": Repeatability(10, 0, Interval(1.0, 0.7, 1.0), Interval(0.0, 0.0, 0.3)),
    }
    return JudgeCard.model_validate(values | changes)


def labelled(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


# -- rows


def test_labelled_answers_are_read_and_those_without_a_reference_counted(tmp_path: Path) -> None:
    answer_only = ROW | {"id": "b", "correct": 0, "reference": None, "answer": 7}
    path = labelled(tmp_path / "d.jsonl", ROW, answer_only, ROW | {"id": "c", "reference": " "})
    found = load_labelled(path, "math")
    assert [(row.id, row.correct, row.candidate) for row in found.rows] == [("a", True, "c"), ("b", False, "c")]
    assert found.without_reference == 1
    assert CANARY not in repr(found)


def test_a_domain_column_is_used_where_there_is_one(tmp_path: Path) -> None:
    rows = (ROW | {"domain": "science"}, ROW | {"id": "b", "correct": 0.0, "domain": "code"})
    found = load_labelled(labelled(tmp_path / "d.jsonl", *rows), "math")
    assert [row.problem.domain for row in found.rows] == ["science", "code"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"correct": "yes"}, "line 1, column 'correct': expected true, false, 1 or 0, found 'yes'"),
        ({"correct": 2}, "found 2"),
        ({"correct": None}, "found NoneType"),
        ({"candidate": 5}, "line 1, column 'candidate': expected text, found int"),
        ({"candidate": "\ud800"}, "holds half a surrogate pair"),
        ({"problem": ""}, "the problem is empty"),
        ({}, "all 1 answers are labelled correct; add wrong ones"),
        ({"reference": None}, "no row has a reference or an answer"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, change: dict[str, object], said: str) -> None:
    with pytest.raises(DataError) as raised:
        load_labelled(labelled(tmp_path / "d.jsonl", ROW | change), "math")
    assert said in str(raised.value)
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize("column", ["reference", "candidate", "correct"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    row = {key: value for key, value in ROW.items() if key != column}
    with pytest.raises(DataError, match=f"line 1: no column '{column}'"):
        load_labelled(labelled(tmp_path / "d.jsonl", row), "math")


def test_a_subsample_keeps_the_mix_the_order_and_both_labels() -> None:
    rows = [(i, i % 4 == 0) for i in range(40)]
    taken = subsample(rows, 20, 0, lambda row: row[1])
    assert sum(label for _, label in taken) == 5
    assert len(taken) == 20
    assert taken == sorted(taken)
    assert taken == subsample(rows, 20, 0, lambda row: row[1]) != subsample(rows, 20, 1, lambda row: row[1])
    assert {label for _, label in subsample(rows, 2, 0, lambda row: row[1])} == {True, False}
    assert subsample(rows, 40, 0, lambda row: row[1]) == subsample(rows, None, 0, lambda row: row[1]) == rows
    assert len(subsample(rows, 7, 0, lambda row: True)) == 7


# -- the card


def test_a_card_reads_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "judge-card.json"
    write_card(path, card())
    assert read_card(path).model_dump_json() == card().model_dump_json()
    stored = json.loads(path.read_text("utf-8"))
    assert stored["schema_version"] == 1
    assert stored["conditions"]["correct"]["rates"]["misplacement"] == {"value": 0.15, "low": 0.1, "high": 0.2}
    assert stored["conditions"]["none"]["rates"]["misplacement"] == {"value": None, "low": None, "high": None}
    assert math.isnan(read_card(path).conditions["none"].rates.fpr.value)


@pytest.mark.parametrize("text", ["{", "{}", '{"schema_version": 2}', "[]"])
def test_what_is_no_card_is_refused_with_the_command_that_makes_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "judge-card.json"
    path.write_text(text, "utf-8")
    with pytest.raises(JudgeError, match=r"judge-card\.json.*`exprl calibrate CONFIG --data FILE`"):
        read_card(path)
    with pytest.raises(JudgeError, match=r"nothing\.json"):
        read_card(tmp_path / "nothing.json")


ATTACK: dict[str, object] = {
    "cases": 3,
    "conditions": {
        "correct": {"empty <i>": {"n": 3, "successes": 1, "rate": 0.333, "low": 0.01, "high": 0.9, "unscored": 1}},
        "none": {"empty <i>": {"n": 0, "successes": 0, "rate": None, "low": None, "high": None, "unscored": 3}},
    },
}


def test_an_attack_is_added_and_drawn(tmp_path: Path) -> None:
    path = tmp_path / "judge-card.json"
    write_card(path, card())
    write_page(path.with_suffix(".html"), card())
    assert "Not measured: run exprl attack" in path.with_suffix(".html").read_text("utf-8")
    update_card(path, "attack", ATTACK, judge="llm:small<b>", template_hash="h" * 64)
    assert read_card(path).attack == ATTACK
    page = path.with_suffix(".html").read_text("utf-8")
    assert "empty &lt;i&gt;" in page
    assert "33.3 % [1.0, 90.0], 1 of 3, 1 unscored" in page
    assert "n/a, 3 unscored" in page


def test_what_was_measured_on_another_judge_is_not_added(tmp_path: Path) -> None:
    path = tmp_path / "judge-card.json"
    write_card(path, card())
    before = path.read_bytes()
    for judge, template_hash in (("llm:other", "h" * 64), ("llm:small<b>", "g" * 64)):
        with pytest.raises(JudgeError, match="is of llm:small<b> with prompts or rules hhhhhhhhhhhh, and this was"):
            update_card(path, "attack", ATTACK, judge=judge, template_hash=template_hash)
    with pytest.raises(JudgeError, match="no addition 'judge'; there are attack, process"):
        update_card(path, "judge", ATTACK, judge="llm:small<b>", template_hash="h" * 64)
    with pytest.raises(JudgeError, match="process does not fit into a card"):
        update_card(path, "process", {"a": 1}, judge="llm:small<b>", template_hash="h" * 64)
    assert path.read_bytes() == before


# -- words and page


def test_the_words_say_what_the_numbers_say() -> None:
    said = " ".join(in_words(card()))
    assert "misplaces 15.0 % [10.0, 20.0] of the answers (chance is 50 %)" in said
    assert "It is better than chance." in said
    assert "Without a reference it gives no score at all" in said
    assert "+35.0 points [+30.0, +40.0], paired: the reference matters." in said
    assert (
        "Among correct answers score and length go together by +0.30 [+0.10, +0.50] (Spearman): it favours longer"
        in said
    )
    assert "no length bias is shown" in said
    assert "It may be used for rewards on math problems like those of d.jsonl" in said


@pytest.mark.parametrize(
    ("misplacement", "unscored", "said"),
    [
        (Interval(0.48, 0.44, 0.52), 0, ("not to be told from chance", "should not be used for rewards")),
        (Interval(0.6, 0.55, 0.65), 0, ("worse than chance", "should not be used for rewards")),
        (Interval(0.35, 0.3, 0.4), 0, ("better than chance", "use it to monitor, or beside a verifier")),
        (Interval(0.1, 0.05, 0.2), 30, ("most often: no <verdict>", "leaves too much unscored")),
        (NONE, 100, ("nothing can be said", "should not be used for rewards")),
    ],
)
def test_the_advice_follows_the_interval(misplacement: Interval, unscored: int, said: tuple[str, str]) -> None:
    words = " ".join(in_words(card(conditions={"correct": result(misplacement, unscored=unscored)})))
    assert all(part in words for part in said)


def test_a_reference_that_does_not_matter_is_said_so() -> None:
    conditions = {
        "correct": result(Interval(0.15, 0.1, 0.2)),
        "none": result(Interval(0.16, 0.1, 0.2), difference=Interval(0.01, -0.02, 0.04)),
        "wrong": result(Interval(0.1, 0.05, 0.15), difference=Interval(-0.05, -0.08, -0.02)),
    }
    said = " ".join(in_words(card(conditions=conditions)))
    assert "+1.0 points [-2.0, +4.0], paired: it is not shown that the reference matters." in said
    assert "the reference harms" in said


def test_the_page_needs_no_network_and_escapes_what_it_shows(tmp_path: Path) -> None:
    path = tmp_path / "card.html"
    write_page(path, card(words=("a <script>", "b\u202e")))
    page = path.read_text("utf-8")
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert "llm:small&lt;b&gt;" in page
    assert "⟨U+202E⟩" in page
    assert "default-src &#39;none&#39;" in page
    assert '<td class="number none">n/a</td>' in page  # the condition without a score is shown as such
    assert "no &lt;verdict&gt; (100)" in page
    assert "The paper's numbers" in page
    assert "48.6" in page
