"""grade_reference: does a solution's own final answer agree with the stored one?"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from exprl.types import Problem, Reference
from exprl.verify import MathVerifier, grade_reference

DATA = Path(os.environ.get("EXPRL_DATA", "../shared/data"))


def told(solution: str | None, answer: str | None) -> float | str | None:
    (verdict,) = grade_reference([Problem("p", "?", Reference(solution, answer))])
    assert verdict.raw == ""
    return verdict.score if verdict.unscored is None else verdict.unscored


def test_agreement_is_1_and_contradiction_is_0() -> None:
    assert told(r"3+4=\boxed{7}", "7") == 1.0
    assert told(r"3+4=\boxed{8}", "7") == 0.0
    assert told("She sold 48+24 = 72 clips in 2 months.", "72") == 1.0
    assert told("It takes 3*2 = 6 weeks. So she ends on day 42", "42") == 1.0
    assert told("3+4=7\n#### 7", "7") == 1.0


def test_what_is_missing_is_a_reason() -> None:
    assert told(None, "7") == "no reference solution"
    assert told("3+4=7", None) == "no stored answer"
    assert told("Obvious.", "7") == "the reference solution states no final answer"


def test_a_batch_keeps_its_order_and_the_verifier_that_was_given() -> None:
    verifier = MathVerifier()
    rows = [("1+1=2", "2"), (None, "3"), ("1+1=3 or 4", "2"), (r"\boxed{5}", "5")]
    got = grade_reference([Problem(str(n), "?", Reference(*row)) for n, row in enumerate(rows)], verifier)
    assert [verdict.score for verdict in got] == [1.0, None, 0.0, 1.0]


@pytest.mark.parametrize(("name", "count", "share"), [("gsm8k_train", 2000, 0.98), ("math_train", 300, 0.98)])
def test_real_references_agree_with_their_stored_answers(name: str, count: int, share: float) -> None:
    path = DATA / f"{name}.jsonl"
    if not path.is_file():
        pytest.skip(f"{path} is not there; set EXPRL_DATA to the folder that holds it")
    pytest.importorskip("math_verify", reason="math-verify is in the 'eval' extra")
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line, _ in zip(file, range(count), strict=False)]
    got = grade_reference([Problem(r["id"], r["problem"], Reference(r["solution"], r["answer"])) for r in rows])
    assert sum(verdict.score == 1.0 for verdict in got) >= share * len(rows)
