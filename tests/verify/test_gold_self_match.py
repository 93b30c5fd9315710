"""Every stored answer of the public sets is right when it is stated: boxed, dressed, in a plain line, in a sentence."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from exprl.types import Problem, Reference
from exprl.verify import MathVerifier
from exprl.verify.choice import ChoiceVerifier

DATA = Path(os.environ.get("EXPRL_DATA", "../shared/data"))
SETS = [
    *("math500", "aime_1983_2023", "aime24", "aime25", "aime26", "hmmt_feb_2025", "hmmt_nov_2025"),
    *("imo_answerbench_v2", "olympiadbench_en_text", "gsm8k_test"),
]
TWO_LINES = {"plain": 2, "sentence": 2}
"""imo_answerbench_v2 has two answers of two lines; a statement in words ends with its line, a box does not."""


def _dressed(gold: str) -> str:
    large = gold.replace("\\left", "").replace("\\right", "").replace("\\frac", "\\dfrac")
    return "\\boxed{" + large.replace("(", "\\left(").replace(")", "\\right)") + "}"


def _sentence(gold: str) -> str:
    return f"1 + 2 = 3.\nThe final answer is {f'${gold}$' if chr(92) in gold and '$' not in gold else gold.strip()}."


RENDERINGS: dict[str, Callable[[str], str]] = {
    "boxed": lambda gold: "so \\boxed{" + gold + "}.",
    "dressed": _dressed,
    "plain": lambda gold: f"1 + 2 = 3.\n\n**Answer:** {gold}",
    "sentence": _sentence,
}


def rows(name: str) -> list[dict[str, object]]:
    path = DATA / f"{name}.jsonl"
    if not path.is_file():
        pytest.skip(f"{path} is not there; set EXPRL_DATA to the folder that holds it")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def golds(name: str) -> list[str]:
    cells = [row["answer"] for row in rows(name)]
    return [str(cell[0]) if isinstance(cell, list) else str(cell) for cell in cells]


def missed(name: str, rendering: str, every: int = 1) -> list[str]:
    verifier = MathVerifier(timeout=10.0)
    stored = golds(name)[::every]
    pairs = [
        (Problem(str(n), "?", Reference(None, gold)), RENDERINGS[rendering](gold)) for n, gold in enumerate(stored)
    ]
    try:
        return [gold for gold, verdict in zip(stored, verifier.verify(pairs), strict=True) if verdict.score != 1.0]
    finally:
        verifier.close()


@pytest.mark.parametrize("rendering", RENDERINGS)
def test_competition_answers_are_right_when_stated(rendering: str) -> None:
    for name in ("aime26", "hmmt_feb_2025", "hmmt_nov_2025"):
        assert missed(name, rendering) == []
    assert missed("math500", rendering, every=10) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("rendering", RENDERINGS)
def test_all_stored_answers_are_right_when_stated(name: str, rendering: str) -> None:
    pytest.importorskip("math_verify", reason="math-verify is in the 'eval' extra")
    left = missed(name, rendering)
    assert len(left) == (TWO_LINES.get(rendering, 0) if name == "imo_answerbench_v2" else 0)
    assert all("\n" in gold.strip() for gold in left)


CHOICES: dict[str, Callable[[str], str]] = {
    "boxed": lambda letter: f"so \\boxed{{{letter}}}.",
    "sentence": lambda letter: f"Not that one. The answer is ({letter.lower()}).",
    "tag": lambda letter: f"<reasoning>\nIt is so.\n</reasoning>\n<answer>\n{letter}\n</answer>",
    "last line": lambda letter: f"Therefore:\n\n**{letter}**",
}


@pytest.mark.parametrize("name", ["sciknow_physics_test", "sciknow_physics_train"])
@pytest.mark.parametrize("rendering", CHOICES)
def test_stored_choices_are_right_and_the_next_letter_is_wrong(name: str, rendering: str) -> None:
    problems = [
        (Problem(str(n), str(row["prompt"]), Reference(None, str(row["answer"])), "science"), str(row["answer"]))
        for n, row in enumerate(rows(name))
    ]
    render, verifier = CHOICES[rendering], ChoiceVerifier()
    assert {v.score for v in verifier.verify([(problem, render(letter)) for problem, letter in problems])} == {1.0}
    others = [(problem, render("ABCD"["BCDA".index(letter)])) for problem, letter in problems]
    assert {v.score for v in verifier.verify(others)} == {0.0}
