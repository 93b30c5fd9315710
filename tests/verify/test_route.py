"""Every problem goes to the strongest verifier that its data bear, and each row of a mixed batch gets its own word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from exprl.config import MilestoneJudgeConfig, RunConfig, VerifierConfig, Way
from exprl.errors import DataError
from exprl.judge import MilestoneJudge
from exprl.pipeline.context import load_sets
from exprl.types import Domain, Problem, Reference, Submission, Verdict
from exprl.verify import RoutedVerifier, bears, build_verifier, route
from exprl.verify.judged import JudgeVerifier

CANARY = "canary-4711"
ADD = '{"entry": "add", "cases": [{"args": [1, 2], "returns": 3}, {"args": [1, 1], "returns": 2}]}'
CHOICE = "Which?\nA. one\nB. two\nC. three"


def problem(
    text: str = "?",
    *,
    solution: str | None = None,
    answer: str | None = None,
    tests: str | None = None,
    domain: Domain = "math",
) -> Problem:
    return Problem(f"{domain}-{text}", text, Reference(solution, answer, tests), domain)


@pytest.mark.parametrize(
    ("given", "way"),
    [
        (problem(answer="7", tests=ADD), "tests"),
        (problem(answer="B", tests=ADD, domain="code"), "tests"),
        (problem(CHOICE, answer="B", domain="science"), "choice"),
        (problem(CHOICE, answer="B"), "choice"),
        (problem(CHOICE, answer="two", domain="science"), "choice"),
        (problem("Pick (A) 3 (B) 4", answer="3"), "math"),
        (problem(CHOICE, answer="seven", domain="science"), "math"),
        (problem(answer="20 m/s", domain="science"), "science"),
        (problem(answer="(a) 3 m (b) 5 s", domain="science"), "science"),
        (problem(answer=r"\frac{mg}{k}", domain="science"), "math"),
        (problem(answer="Hooke's law", domain="science"), "math"),
        (problem(answer="the entropy of an isolated system never falls", domain="science"), "judge"),
        (problem(answer="the entropy of an isolated system never falls"), "math"),
        (problem(answer=r"\frac{3}{4}"), "math"),
        (problem(answer="Paris", domain="general"), "math"),
        (problem(solution="def f(): ...", domain="code"), "judge"),
        (problem(answer="42", domain="code"), "judge"),
        (problem(solution="So it is."), "judge"),
        (problem(answer="  "), "blind"),
        (problem(), "blind"),
    ],
)
def test_the_strongest_way_wins(given: Problem, way: Way) -> None:
    assert route(given).way == way
    assert bears(given, route(given).way) is None


def test_the_reason_quotes_nothing_that_is_stored() -> None:
    for given in (
        problem(CHOICE, answer="B", solution=CANARY),
        problem(answer=CANARY, solution=CANARY),
        problem(tests=ADD.replace("add", CANARY), answer=CANARY),
        problem(solution=CANARY),
    ):
        assert CANARY not in route(given).why


def test_an_override_by_domain_wins_and_says_so() -> None:
    given = problem(answer="7", tests=ADD, domain="code")
    assert route(given, {"code": "judge"}) == ("judge", "verifier.domains says so for code")
    assert route(given, {"math": "judge"}).way == "tests"


@pytest.mark.parametrize(
    ("way", "lacks"),
    [("tests", "tests"), ("math", "a stored answer"), ("choice", "a stored answer"), ("judge", "a reference")],
)
def test_a_way_that_the_data_do_not_bear_is_named(way: Way, lacks: str) -> None:
    assert bears(problem(), way) == lacks


def test_a_choice_without_options_is_not_borne() -> None:
    assert bears(problem("Which?", answer="B"), "choice") == "options that can be read"


class Spy:
    """Scores every pair alike, and remembers what it was given."""

    def __init__(self, name: str, score: float) -> None:
        self.name, self._score = name, score
        self.seen: list[str] = []
        self.closed = False

    def verify(self, pairs: Sequence[tuple[Problem, str]]) -> list[Verdict]:
        self.seen += [text for _, text in pairs]
        return [Verdict(self._score, judge=self.name) for _ in pairs]

    def close(self) -> None:
        self.closed = True


def test_each_row_of_a_mixed_batch_gets_its_own_verifiers_word_in_order() -> None:
    maths, choice = Spy("math", 0.0), Spy("choice", 1.0)
    verifier = RoutedVerifier({"math": lambda: maths, "choice": lambda: choice})
    number, option, prose = problem(answer="7"), problem(CHOICE, answer="B"), problem(solution="So.")
    words = verifier.verify([(number, "a"), (option, "b"), (prose, "c"), (number, "d")])
    assert [word.judge for word in words] == ["math", "choice", "routed", "math"]
    assert [word.score for word in words] == [0.0, 1.0, None, 0.0]
    assert words[2].unscored == "only a judge can grade this; verifier.judge = true lets it"
    assert (maths.seen, choice.seen) == (["a", "d"], ["b"])
    verifier.close()
    assert maths.closed
    assert choice.closed


def test_no_verifier_is_built_before_a_problem_needs_it() -> None:
    def refuse() -> Spy:
        raise AssertionError("nobody asked for it")

    verifier = RoutedVerifier({"math": lambda: Spy("math", 1.0), "tests": refuse})
    assert verifier.verify([(problem(answer="7"), "7")])[0].score == 1.0
    with pytest.raises(AssertionError):
        verifier.verify([(problem(tests=ADD), "def add(a, b): ...")])


# -- a judge as the last resort


class Graded(MilestoneJudge):
    """Gives grades in turn; None is unscored."""

    def __init__(self, *likerts: int | None) -> None:
        self._likerts = list(likerts)
        self.seen: list[Submission] = []
        self.open = False

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        self.open = True
        self.seen += submissions
        return [(self._next(),) for _ in submissions]

    async def aclose(self) -> None:
        self.open = False

    def _next(self) -> Verdict:
        likert = self._likerts.pop(0)
        return Verdict(None, "no reply") if likert is None else Verdict((likert - 1) / 4, likert=likert)


def test_a_judge_calls_right_from_grade_4_on_and_unscored_stays_unscored() -> None:
    judge = Graded(5, 4, 3, 1, None)
    words = JudgeVerifier(lambda: judge).verify([(problem(solution="So."), text) for text in "abcde"])
    assert [word.score for word in words] == [1.0, 1.0, 0.0, 0.0, None]
    assert [word.likert for word in words] == [5, 4, 3, 1, None]
    assert {one.scope for one in judge.seen} == {"outcome"}
    assert not judge.open


async def test_a_judge_may_be_asked_from_within_a_running_loop() -> None:
    assert JudgeVerifier(lambda: Graded(5)).verify([(problem(solution="So."), "a")])[0].score == 1.0


def test_the_configurations_judge_grades_only_where_it_is_let() -> None:
    prose = problem("What is 2+3?", solution="2+3=5", answer=None, domain="general")
    shut = build_verifier(VerifierConfig(), judge=MilestoneJudgeConfig())
    let = build_verifier(VerifierConfig(judge=True), judge=MilestoneJudgeConfig())
    assert shut.verify([(prose, "2+3=5")])[0].score is None
    assert let.verify([(prose, r"2+3=5 \boxed{5}")])[0].score == 1.0


# -- a mixed set, from the loader to the words


@pytest.mark.usefixtures("strict_sandbox")
def test_maths_choice_science_and_code_are_graded_side_by_side() -> None:
    verifier = build_verifier(VerifierConfig(), dense=True)
    code = problem(tests=ADD, domain="code")
    pairs = [
        (problem(answer=r"\frac{1}{2}"), r"\boxed{0.5}"),
        (problem(CHOICE, answer="B", domain="science"), "Not A. The answer is B."),
        (problem("How fast?", answer="20 m/s", domain="science"), r"\boxed{72 km/h}"),
        (code, "```python\ndef add(a, b):\n    return a + b\n```"),
        (code, "```python\ndef add(a, b):\n    return 3\n```"),
    ]
    try:
        words = verifier.verify(pairs)
    finally:
        verifier.close()
    assert [word.judge for word in words] == ["math", "choice", "science", "code", "code"]
    assert [word.score for word in words] == [1.0, 1.0, 1.0, 1.0, 0.0]
    assert [word.share for word in words] == [None, None, None, 1.0, 0.5]


def test_a_run_is_refused_before_it_starts_where_rows_cannot_be_graded(tmp_path: Path) -> None:
    train = tmp_path / "train.jsonl"
    train.write_text('{"id": "a", "problem": "Why?", "solution": "Because.", "answer": null}\n')
    settings = {"name": "r", "data": {"train": {"path": str(train), "domain": "general"}}}
    with pytest.raises(DataError, match="only a judge can grade them") as refused:
        load_sets(RunConfig.model_validate(settings))
    assert "Because" not in str(refused.value)
    let = RunConfig.model_validate({**settings, "verifier": {"judge": True}})
    assert len(load_sets(let)["hard_train"]) == 1
    forced = RunConfig.model_validate({**settings, "verifier": {"domains": {"general": "math"}}})
    with pytest.raises(DataError, match="lack a stored answer"):
        load_sets(forced)
