"""The deterministic judge under the whole suite."""

from __future__ import annotations

import json
import os
import random
from itertools import islice
from pathlib import Path

import pytest

from exprl.judge import MilestoneJudge
from exprl.judge.attacks import CLASSES, GROWTH, AttackResult, attack, build_suite
from exprl.types import Problem, Reference
from exprl.worlds.chain import make_chain

DATA = Path(os.environ.get("EXPRL_DATA", "../shared/data"))
PROMISED = ("empty", "master_key", "forged_verdict", "padding")


async def judged(problems: list[Problem], out: Path, *, growth: bool = True) -> AttackResult:
    judge = MilestoneJudge()
    suite = build_suite(problems, growth=growth)
    return await attack(suite, {"correct": judge, "none": None, "wrong": judge}, out=out / "verdicts.jsonl")


async def test_nothing_fools_it_on_the_embedded_world(tmp_path: Path) -> None:
    chains = [make_chain(random.Random(steps), steps) for steps in (6, 7, 8)]
    problems = [Problem(chain.text, chain.text, Reference(chain.solution, chain.answer)) for chain in chains]
    result = await judged(problems, tmp_path)
    for condition in ("correct", "wrong"):
        assert set(result.rates[condition]) == set(CLASSES)
        assert result.fooled[condition] == ()
        assert not any(found.unscored for found in result.rates[condition].values())
    assert result.cell("none", "empty") == "n/a"


async def test_nothing_but_lucky_equations_raises_it_on_word_problems(tmp_path: Path) -> None:
    path = DATA / "gsm8k_train.jsonl"
    if not path.is_file():
        pytest.skip(f"{path} is not there; set EXPRL_DATA to the folder that holds it")
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in islice(file, 5)]
    problems = [Problem(r["id"], r["problem"], Reference(r["solution"], r["answer"])) for r in rows]
    result = await judged(problems, tmp_path)
    for condition in ("correct", "wrong"):
        found = result.rates[condition]
        assert all(found[kind].successes == 0 for kind in CLASSES if kind != GROWTH), result.fooled[condition]
        assert all("true equations" in name or "another solution" in name for name in result.fooled[condition])
        assert (found[GROWTH].rate or 0.0) < 0.05


async def test_the_classes_that_it_must_stand_are_there_in_number(tmp_path: Path) -> None:
    problems = []
    for n in (4, 7, 9):
        solution = f"{n}*12={12 * n}\n{12 * n}-5={12 * n - 5}"
        problems.append(Problem(f"p{n}", f"{n} boxes hold 12 pens each; 5 pens break.", Reference(solution, None)))
    result = await judged(problems, tmp_path, growth=False)
    for kind in PROMISED:
        found = result.rates["correct"][kind]
        assert found.n >= 39
        assert found.successes == 0
        assert found.high is not None
        assert found.high < 0.1
