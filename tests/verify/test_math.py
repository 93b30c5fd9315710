"""MathVerifier: right, wrong or unscored with a reason; bombs cost their time limit and leave the pool whole."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from exprl.config import VerifierConfig
from exprl.errors import VerifierError
from exprl.types import Problem, Reference, Verdict
from exprl.verify import MathVerifier, build_verifier
from exprl.verify import pool as pool_module
from exprl.verify.pool import WorkerPool

CANARY = "CANARY-7f3a"
algebra = pytest.mark.usefixtures("needs_math_verify")


@pytest.fixture
def needs_math_verify() -> None:
    pytest.importorskip("math_verify", reason="math-verify is in the 'eval' extra")


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    """One worker for all tests: starting it takes a second or two."""
    found = MathVerifier(timeout=3.0)
    yield found
    found.close()


def problem(answer: str | None) -> Problem:
    return Problem("p", "?", Reference("solution", answer))


def grade(verifier: MathVerifier, gold: str | None, answer: str) -> Verdict:
    return verifier.verify([(problem(gold), "so \\boxed{" + answer + "}")])[0]


class TestExact:
    """None of these starts a process."""

    @pytest.fixture(autouse=True)
    def no_worker(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def start() -> None:
            raise AssertionError("a worker was started")

        monkeypatch.setattr(pool_module, "_start", start)

    def test_right_is_1_and_wrong_is_0(self) -> None:
        assert grade(MathVerifier(), "7", "7.0").score == 1.0
        assert grade(MathVerifier(), "7", "8").score == 0.0

    def test_no_box_is_wrong_and_no_stored_answer_is_unscored(self) -> None:
        assert MathVerifier().verify([(problem("7"), "It is 7.")])[0].score == 0.0
        verdict = grade(MathVerifier(), None, "7")
        assert (verdict.score, verdict.unscored) == (None, "no stored answer")
        assert grade(MathVerifier(), "  ", "7").unscored == "no stored answer"

    def test_the_last_box_counts(self) -> None:
        texts = [r"\boxed{7} no, \boxed{8}", r"\boxed{8} no, \boxed{7}"]
        assert [v.score for v in MathVerifier().verify([(problem("7"), text) for text in texts])] == [0.0, 1.0]

    def test_an_answer_of_a_megabyte_is_wrong_and_kept_short(self) -> None:
        for answer in ("1" * 10**6, "(" * 3000 + "7" + ")" * 3000, "{" * 5 * 10**5 + "}" * 5 * 10**5):
            verdict = grade(MathVerifier(), "7", answer)
            assert verdict.score == 0.0
            assert len(verdict.raw) <= 200

    def test_verdicts_come_in_the_order_of_the_pairs(self) -> None:
        pairs = [(problem(str(n)), f"\\boxed{{{n % 3}}}") for n in range(9)]
        assert [v.score for v in MathVerifier().verify(pairs)] == [1.0] * 3 + [0.0] * 6

    def test_fifty_thousand_plain_pairs_a_second(self) -> None:
        problems = [problem(str(n)) for n in range(100)]
        pairs = [(problems[n % 100], f"3+4=7 ###\nso it is \\boxed{{{n % 101}}}") for n in range(20_000)]
        verifier = MathVerifier()
        rates = []
        for _ in range(3):  # the best of three: the machine may be busy
            start = time.perf_counter()
            verifier.verify(pairs)
            rates.append(len(pairs) / (time.perf_counter() - start))
        assert max(rates) > 50_000


def test_without_math_verify_the_first_answer_that_needs_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module.importlib.util, "find_spec", lambda name: None)
    verifier = MathVerifier()
    assert grade(verifier, "7", "7").score == 1.0
    with pytest.raises(VerifierError, match=r"pip install 'exprl\[eval\]'") as caught:
        grade(verifier, CANARY, "x^2")
    assert CANARY not in str(caught.value)


def test_a_worker_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module.sys, "executable", "/bin/false")
    with pytest.raises(VerifierError, match="did not start"):
        WorkerPool(timeout=1.0).compare([("7", "x")])


@algebra
class TestAlgebra:
    @pytest.mark.parametrize(
        ("gold", "answer"),
        [
            ("x+1", "1+x"),
            (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
            (r"\{1, 2\}", r"\{2, 1\}"),
            ("0.5", r"50\%"),
            (r"1\frac{1}{2}", "3/2"),
            ("1024", "2^{10}"),
            (r"x \in [0, 1]", "[0, 1]"),
        ],
    )
    def test_equal_expressions_are_right(self, verifier: MathVerifier, gold: str, answer: str) -> None:
        assert grade(verifier, gold, answer).score == 1.0

    @pytest.mark.parametrize(
        ("gold", "answer"), [("x+1", "x+2"), ("2", "2x"), ("(1,2)", "(2,1)"), ("11/2", "1 1/2 x"), ("7", "@@")]
    )
    def test_other_expressions_are_wrong(self, verifier: MathVerifier, gold: str, answer: str) -> None:
        assert grade(verifier, gold, answer).score == 0.0

    def test_a_stored_answer_that_cannot_be_read_is_unscored(self, verifier: MathVerifier) -> None:
        verdict = grade(verifier, f"@@ {CANARY} &&", "x^2")
        assert (verdict.score, verdict.unscored) == (None, "the stored answer cannot be read")
        assert CANARY not in repr(verdict)

    def test_a_pair_is_compared_once(self, verifier: MathVerifier, monkeypatch: pytest.MonkeyPatch) -> None:
        grade(verifier, "y+1", "1+y")
        monkeypatch.setattr(verifier, "_pool", None)
        with pytest.raises(AttributeError):
            grade(verifier, "y+1", "2+y")
        monkeypatch.undo()
        compared: list[tuple[str, str]] = []
        monkeypatch.setattr(verifier._pool, "compare", lambda pairs: compared.extend(pairs) or ["equal"] * len(pairs))
        pairs = [(problem("y+1"), "\\boxed{1+y}"), (problem("y+9"), "\\boxed{9+y}"), (problem("y+9"), "\\boxed{9+y}")]
        assert [v.score for v in verifier.verify(pairs)] == [1.0] * 3
        assert compared == [("y+9", "9+y")]

    def test_it_can_be_called_from_a_thread(self, verifier: MathVerifier) -> None:
        scores: list[float | None] = []
        thread = threading.Thread(target=lambda: scores.append(grade(verifier, "z+1", "1+z").score))
        thread.start()
        thread.join()
        assert scores == [1.0]

    def test_an_interrupted_worker_still_works(self, caplog: pytest.LogCaptureFixture) -> None:
        """One bomb that an alarm ends, one that only a kill ends, one past the memory limit; then a plain question."""
        caplog.set_level(logging.DEBUG)
        verifier = build_verifier(VerifierConfig(timeout=1.0))
        try:
            for bomb in (r"(1+x)^{100000}", "9^{9^{9^9}}", "100000000!"):
                start = time.monotonic()
                verdict = verifier.verify([(problem(f"7x + {CANARY[:6]}"), "\\boxed{" + bomb + "}")])[0]
                assert time.monotonic() - start < 20  # a restarted worker on a busy machine, mostly
                assert verdict.score in (None, 0.0)
                if verdict.score is None:
                    assert verdict.unscored in (
                        "timeout: comparing the answer took too long",
                        "the worker that compared the answer died",
                    )
            assert verifier.verify([(problem("x+1"), r"\boxed{1+x}")])[0].score == 1.0
        finally:
            verifier.close()
        assert CANARY[:6] not in caplog.text

    def test_two_workers_share_the_pairs(self) -> None:
        pool = WorkerPool(timeout=5.0, workers=2)
        try:
            got = pool.compare([("x+1", "1+x"), ("x+1", "x+2"), ("x+3", "3+x")])
        finally:
            pool.close()
        assert got == ["equal", "different", "equal"]

    def test_a_worker_has_no_secrets_and_no_eval(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EXPRL_JUDGE_API_KEY", "sk-secret")
        seen: dict[str, str] = {}
        real = pool_module.subprocess.Popen

        def popen(command: list[str], **options: object) -> object:
            seen.update(options["env"])  # type: ignore[call-overload]
            return real(command, **options)  # type: ignore[call-overload]

        monkeypatch.setattr(pool_module.subprocess, "Popen", popen)
        pool = WorkerPool(timeout=5.0)
        try:
            assert pool.compare([("7", '__import__("os").getpid()')]) == ["different"]
        finally:
            pool.close()
        assert "sk-secret" not in "".join(seen.values())
