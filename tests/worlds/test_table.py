"""The table world: its references pass their own tests, its sets are apart, and half a program passes half of them."""

from __future__ import annotations

import itertools
import json
import re

import pytest

from exprl.config import VerifierConfig
from exprl.errors import DataError
from exprl.types import Problem
from exprl.verify import build_verifier, grade_reference, route
from exprl.worlds import load_problems
from exprl.worlds.chain import EASY_STEPS
from exprl.worlds.policy import Priming
from exprl.worlds.table import HARD_ROWS, corpus
from exprl.worlds.tokenizer import make_tokenizer

ROW = re.compile(r"\d\) (?:(rev|rot|swp)\((\d{4})\)|([+-]\d+)\+\((\d{4})\))")
TRAIN, HELD_OUT, EASY = (load_problems(f"world:mixed/{name}") for name in ("hard_train", "hard_held_out", "easy"))


def expected(problem: Problem) -> list[int]:
    return [case["returns"] for case in json.loads(problem.reference.reveal().tests or "")["cases"]]


def test_chains_and_tables_take_turns_and_no_problem_is_in_two_sets() -> None:
    for problems in (TRAIN, HELD_OUT, EASY):
        assert [p.domain for p in problems] == ["math", "code"] * (len(problems) // 2)
        assert len({p.id for p in problems}) == len(problems)
    texts = [p.text for problems in (TRAIN, HELD_OUT, EASY) for p in problems]
    assert len(set(texts)) == len(texts)


def test_code_is_graded_by_its_tests_and_has_no_answer_to_be_guessed() -> None:
    code = [p for p in TRAIN if p.domain == "code"]
    assert {route(p).way for p in code} == {"tests"}
    assert {p.meta["steps"] for p in code} == set(HARD_ROWS)
    assert not any(p.reference.has_answer for p in code)


def test_the_corpus_is_right_on_short_tables_and_never_on_long_ones() -> None:
    right = {True: 0, False: 0}
    for text, trace in itertools.islice(corpus(1), 400):
        said = [int(line.rpartition("return ")[2]) for line in trace.splitlines() if "return" in line]
        truth = [_reckoned(row) for row in ROW.findall(text)]
        assert len(said) == len(truth) == int(text.split()[0])
        short = len(truth) <= max(EASY_STEPS)
        assert (said == truth) == short, text
        right[short] += 1
    assert min(right.values()) > 100


def _reckoned(row: tuple[str, str, str, str]) -> int:
    """One row, reckoned on the digits: not the world's own code."""
    shuffle, number, unit, added = row
    if shuffle:
        a, b, c, d = number
        return int({"rev": d + c + b + a, "rot": b + c + d + a, "swp": c + d + a + b}[shuffle])
    return int(added) + int(unit)


def test_the_tokenizer_gives_every_text_of_the_mixed_world_back() -> None:
    priming = Priming(world="mixed")
    tokenizer = make_tokenizer(priming.pieces)
    for text in [t for pair in itertools.islice(priming.corpus(), 200) for t in pair] + [p.text for p in TRAIN]:
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert tokenizer.pad_token_id not in ids


def test_a_longest_problem_and_its_program_fit_the_policy() -> None:
    tokenizer = make_tokenizer(Priming(world="mixed").pieces)
    for problem in TRAIN:
        solution = problem.reference.reveal().solution or ""
        assert len(tokenizer(problem.text + solution)["input_ids"]) < 256


def test_a_world_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="world:mixed/hard_train"):
        load_problems("world:mixd/easy")


@pytest.mark.usefixtures("strict_sandbox")
def test_references_pass_their_own_tests_and_half_a_program_passes_half() -> None:
    verifier = build_verifier(VerifierConfig(), dense=True)
    code = [p for p in TRAIN if p.domain == "code" and p.meta["steps"] == 4][:4]
    halves = ["```python\ndef f(x):\n return " + repr(expected(p)[:2]) + "[x - 1] if x < 3 else 0\n```" for p in code]
    try:
        assert [v.score for v in grade_reference(code, verifier)] == [1.0] * 4
        words = verifier.verify(list(zip(code, halves, strict=True)))
    finally:
        verifier.close()
    assert [(word.score, word.share) for word in words] == [(0.0, 0.5)] * 4
