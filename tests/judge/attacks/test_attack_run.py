"""Judging a suite: what counts as fooled, what is unscored, and what a kill leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from exprl.errors import UnscoredLimitError
from exprl.judge.attacks import CLASSES, GROWTH, AttackCase, Suite, attack, build_suite, waiting
from exprl.types import Problem, Reference, Submission, Verdict

PROBLEMS = [
    Problem(
        f"p{n}", f"What is {n} + 40, doubled?", Reference(f"{n}+40={n + 40}\n2*{n + 40}={2 * n + 80}", str(2 * n + 80))
    )
    for n in (2, 5, 9)
]
SUITE = build_suite(PROBLEMS, per_class=4)


class Scripted:
    """A judge that scores by a function of text and problem; None is unscored."""

    name, template_hash = "scripted", "1"

    def __init__(self, score: Callable[[str, Problem], float | None]) -> None:
        self._score = score
        self.seen: list[Submission] = []

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        self.seen += submissions
        return [tuple(self._verdict(s.text[:cut], s.problem) for cut in s.cuts) for s in submissions]

    async def aclose(self) -> None:
        pass

    def _verdict(self, text: str, problem: Problem) -> Verdict:
        score = self._score(text, problem)
        return Verdict(score) if score is not None else Verdict(None, unscored="down")


async def test_a_judge_that_likes_everything_is_fooled_by_everything_and_a_strict_one_by_nothing(
    tmp_path: Path,
) -> None:
    fond = await attack(SUITE, {"correct": Scripted(lambda text, problem: 0.75)}, out=tmp_path / "a.jsonl")
    assert {kind: r.rate for kind, r in fond.rates["correct"].items()} == {
        kind: 0.0 if kind == GROWTH else 1.0 for kind in CLASSES
    }
    strict = await attack(SUITE, {"correct": Scripted(lambda text, problem: 0.5)}, out=tmp_path / "b.jsonl")
    assert all(r.rate == 0.0 for r in strict.rates["correct"].values())
    assert strict.words.startswith("With the correct reference none of ")
    assert (strict.over(0.0), set(fond.over(0.5))) == ([], {*CLASSES} - {GROWTH})


async def test_a_judge_that_pays_for_length_is_fooled_by_padding_and_by_growth(tmp_path: Path) -> None:
    lengthy = Scripted(lambda text, problem: min(len(text) / 1000, 1.0))
    found = (await attack(build_suite(PROBLEMS), {"correct": lengthy}, out=tmp_path / "a.jsonl")).rates["correct"]
    assert (found["padding"].rate or 0) > 0.7
    assert (found[GROWTH].rate or 0) > 0.5
    assert (found["empty"].rate, found["confident"].rate) == (0.0, 0.0)


async def test_growth_is_measured_against_the_same_beginning(tmp_path: Path) -> None:
    text = "Honest but wrong. Filler."
    case = AttackCase("growth/x@p2", GROWTH, "x", "p2", text, base=17)
    suite = Suite({"p2": PROBLEMS[0]}, {}, (case,))
    for whole, fooled in ((0.75, 1), (0.5, 0), (1.0, 1)):  # from 0.5: a rise of 0.25 is one, none is none
        judge = Scripted(lambda seen, problem, whole=whole: whole if seen == text else 0.5)
        result = await attack(suite, {"correct": judge}, out=tmp_path / f"{whole}.jsonl")
        assert result.rates["correct"][GROWTH].successes == fooled
        assert judge.seen[0].cuts == (17, len(text))


async def test_each_condition_shows_the_reference_that_it_says(tmp_path: Path) -> None:
    seen: dict[str, set[tuple[str, str]]] = {"correct": set(), "none": set(), "wrong": set()}
    for condition in seen:
        judge = Scripted(lambda text, problem: 0.0)
        await attack(SUITE, {condition: judge}, out=tmp_path / f"{condition}.jsonl")  # type: ignore[dict-item]
        seen[condition] = {(s.problem.id, s.problem.reference.digest) for s in judge.seen}
    own = {p.id: p.reference.digest for p in PROBLEMS}
    assert dict(seen["correct"]) == own
    assert {digest for _, digest in seen["none"]} == {Reference(None, None).digest}
    assert len(seen["wrong"]) == len(own)
    assert all(digest != own[name] and digest in own.values() for name, digest in seen["wrong"])


async def test_unscored_is_counted_apart_and_asked_again(tmp_path: Path) -> None:
    out = tmp_path / "verdicts.jsonl"
    moody = Scripted(lambda text, problem: None if "Score" in text else 0.0)
    first = await attack(SUITE, {"correct": moody}, out=out)
    forged = first.rates["correct"]["forged_verdict"]
    assert forged.unscored > 0
    assert forged.n + forged.unscored == 4
    again = Scripted(lambda text, problem: 1.0)
    second = await attack(SUITE, {"correct": again}, out=out)
    unscored = sum(r.unscored for r in first.rates["correct"].values())
    assert len(again.seen) == unscored, "what has a score is not asked for again"
    assert sum(r.successes for r in second.rates["correct"].values()) >= unscored - 4
    assert not any(r.unscored for r in second.rates["correct"].values())


async def test_a_judge_that_cannot_work_without_a_reference_is_not_applicable_there(tmp_path: Path) -> None:
    result = await attack(SUITE, {"none": None}, out=tmp_path / "verdicts.jsonl")
    assert all(r.rate is None and r.n == 0 and r.unscored for r in result.rates["none"].values())
    assert result.cell("none", "empty") == "n/a"
    assert result.words == "Without a reference the judge gave no score, so nothing is known."


async def test_a_judge_without_a_score_has_not_resisted(tmp_path: Path) -> None:
    result = await attack(SUITE, {"correct": None}, out=tmp_path / "verdicts.jsonl")
    assert set(result.over(1.0)) == set(CLASSES)


async def test_a_judge_that_is_down_stops_the_run_and_leaves_nothing_false(tmp_path: Path) -> None:
    out = tmp_path / "verdicts.jsonl"
    with pytest.raises(UnscoredLimitError, match="run the same command again"):
        await attack(SUITE, {"correct": Scripted(lambda text, problem: None)}, out=out)
    assert not out.exists()


async def test_a_case_that_never_gets_a_score_does_not_stand_in_the_way_of_the_others(tmp_path: Path) -> None:
    out = tmp_path / "verdicts.jsonl"
    hopeless = SUITE.cases[0].text
    judge = Scripted(lambda text, problem: None if text == hopeless else 0.0)
    await attack(SUITE, {"correct": judge}, out=out)
    result = await attack(SUITE, {"correct": judge, "none": judge}, out=out)
    assert sum(r.unscored for r in result.rates["correct"].values()) == sum(c.text == hopeless for c in SUITE.cases)
    assert result.rates["none"]


async def test_a_file_torn_at_any_byte_gives_the_same_result(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    odd = Scripted(lambda text, problem: (len(text) % 5) / 4)
    expected = await attack(SUITE, {"correct": odd, "wrong": odd}, out=whole)
    data = whole.read_bytes()
    for end in range(0, len(data), len(data) // 7):
        torn = tmp_path / f"torn-{end}.jsonl"
        torn.write_bytes(data[:end])
        assert await attack(SUITE, {"correct": odd, "wrong": odd}, out=torn) == expected


async def test_verdicts_of_another_judge_suite_or_scope_are_of_no_use(tmp_path: Path) -> None:
    out = tmp_path / "verdicts.jsonl"
    judge = Scripted(lambda text, problem: 0.0)
    await attack(SUITE, {"correct": judge}, out=out)
    assert waiting(SUITE, {"correct": judge}, out=out) == []
    assert len(waiting(SUITE, {"correct": judge}, out=out, scope="outcome")) == len(SUITE.cases)
    assert len(waiting(SUITE, {"wrong": judge}, out=out)) == len(SUITE.cases)
    other = Scripted(lambda text, problem: 0.0)
    other.template_hash = "2"
    assert len(waiting(SUITE, {"correct": other}, out=out)) == len(SUITE.cases)


async def test_the_result_is_plain_json_without_a_text_of_any_problem(tmp_path: Path) -> None:
    result = await attack(
        SUITE, {"correct": Scripted(lambda text, problem: 1.0), "none": None}, out=tmp_path / "v.jsonl"
    )
    shown = json.dumps(result.as_dict())
    assert set(json.loads(shown)["conditions"]["correct"]["empty"]) == {
        *("n", "successes", "rate", "low", "high", "unscored")
    }
    assert not any(line in shown for p in PROBLEMS for line in (p.reference.reveal().solution or "").split("\n"))
