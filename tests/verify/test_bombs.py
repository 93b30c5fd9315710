"""Bombs cost at most their time limit, are never right, and leave the pool whole; no policy text is compiled."""

from __future__ import annotations

import builtins
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count

import pytest

from exprl.types import Problem, Reference
from exprl.verify import MathVerifier
from exprl.verify.answer import matches, quantity

pytest.importorskip("math_verify", reason="math-verify is in the 'eval' extra")

QUICK = ["9^{9^{9^9}}", "1e999999999", "(" * 3000 + "7" + ")" * 3000]
MORE = [
    "(1+x)^{100000}",
    "100000000!",
    r"\sum_{i=1}^{10^7} i",
    r"\prod_{i=1}^{10^7} i",
    "2^{2^{2^{2^{2^2}}}}",
    r"\binom{10^9}{5\cdot 10^8}",
    r"\frac{" * 200 + "1" + "}{2}" * 200,
    r"\sqrt{" * 200 + "x" + "}" * 200,
    "(" * 450 + "7" + ")" * 450,
    r"\int_0^1 x^{x^x} dx",
    "3!!!!!!",
    "0.1^{999999999}",
    "1.5^{10^{10}}",
    r"\begin{pmatrix}" + "1&" * 200 + r"1\end{pmatrix}^{1000000}",
    "1" * 10**6,
    "x" * 999,
]
_fresh = count()


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    found = MathVerifier(timeout=2.0)
    grade(found, "x+1", "1+x")
    yield found
    found.close()


def grade(verifier: MathVerifier, gold: str, answer: str) -> float | None:
    return verifier.verify([(Problem("p", "?", Reference(None, gold)), f"\\boxed{{{answer}}}")])[0].score


def survives(verifier: MathVerifier, bomb: str) -> None:
    start = time.monotonic()
    score = grade(verifier, f"{next(_fresh)}y", bomb)
    assert time.monotonic() - start < 2.5
    assert score in (None, 0.0)
    start = time.monotonic()
    n = next(_fresh)
    assert grade(verifier, f"x+{n}", f"{n}+x") == 1.0
    assert time.monotonic() - start < 10  # a killed worker starts anew, on a busy machine


@pytest.mark.parametrize("bomb", QUICK, ids=lambda bomb: bomb[:12])
def test_a_bomb_costs_its_limit_and_the_next_comparison_is_right(verifier: MathVerifier, bomb: str) -> None:
    survives(verifier, bomb)


@pytest.mark.slow
@pytest.mark.parametrize("bomb", MORE, ids=lambda bomb: bomb[:12])
def test_more_bombs_cost_no_more(verifier: MathVerifier, bomb: str) -> None:
    survives(verifier, bomb)


@pytest.mark.slow
def test_a_repeated_bomb_is_remembered(verifier: MathVerifier) -> None:
    for _ in range(2):
        grade(verifier, "z", "9^{9^{9^9}}+z")
    start = time.monotonic()
    assert grade(verifier, "z", "9^{9^{9^9}}+z") is None
    assert time.monotonic() - start < 0.1


def test_this_process_evaluates_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("text was evaluated")

    for name in ("eval", "exec", "compile"):
        monkeypatch.setattr(builtins, name, refuse)
    for answer in ('__import__("os").getpid()', "9**9**9", "1e999999999", "\\frac{1}{2}", "[x for x in range(9)]"):
        matches("7", answer)
        quantity(answer)
    assert grade(MathVerifier(), "7", "8=7") == 0.0


ACTS = [
    "eval('1+1')",
    "exec('a=1')",
    "parse_expr('x+1')",
    "sympify('x+1')",
    "sympify('7')",
    "parse_expr('7', evaluate=False)",
]


def test_a_worker_ends_a_comparison_that_compiles_text() -> None:
    acts = ", ".join(f"lambda: {act}" for act in ACTS)
    program = (
        "from sympy import sympify\nfrom sympy.parsing.sympy_parser import parse_expr\nfrom exprl.verify import worker\n"
        f"acts = [{acts}]\nworker._comparer()\n"
        "print([worker._bounded(lambda gold, answer: act() and 'reached' or 'reached', '', '', 60) for act in acts])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == str(["died"] * len(ACTS))


def test_numbers_of_every_form_reach_the_worker_without_being_compiled(verifier: MathVerifier) -> None:
    pairs = [
        ("1234+0", "1234"),
        ("1.5+0", "\\frac{3}{2}"),
        ("0.5+0", "50\\%"),
        ("1,234+0", "1234"),
        ("1000x", "1,000x"),
    ]
    assert [grade(verifier, gold, answer) for gold, answer in pairs[:3]] == [1.0] * 3
    assert None not in [
        grade(verifier, gold, answer) for gold, answer in [*pairs, ("1,234", "1, 234"), ("0,5+0", ".5")]
    ]
