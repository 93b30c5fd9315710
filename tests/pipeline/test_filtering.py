"""The hard set: problems that the policy never solves and whose reference agrees with itself, found once and resumably."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pytest

from exprl.config import FilterConfig, VerifierConfig
from exprl.data import Tally
from exprl.evaluate.sample import derive_seed
from exprl.pipeline.filtering import filter_problems
from exprl.runs import read_jsonl
from exprl.types import Problem, Question, Reference, Rollout
from exprl.verify import Verifier, build_verifier

N = 3


def problem(name: str, solution: str | None = "so it is 7 \\boxed{7}", answer: str = "7") -> Problem:
    return Problem(name, f"{name}?", Reference(solution, answer))


class FakeSampler:
    """Answers wrong, but for the problems in `solves`, where the last sample is right."""

    def __init__(self, solves: Collection[str] = ()) -> None:
        self._solves = solves
        self.asked: list[list[str]] = []
        self.seeds: set[int] = set()

    def sample(
        self,
        questions: Sequence[Question],
        n: int,
        *,
        temperature: float,
        max_tokens: int,
        seed: int,
        done: Collection[str] = (),
    ) -> Iterator[Rollout]:
        assert (n, temperature, max_tokens) == (N, 0.5, 9)
        assert all(type(question) is Question for question in questions), "a sampler sees questions only"
        self.asked.append([question.id for question in questions])
        self.seeds.add(seed)
        for question in questions:
            for i in range(n):
                right = question.id in self._solves and i == n - 1
                yield Rollout(f"{question.id}/{i}", question.id, "\\boxed{7}" if right else "\\boxed{8}", 3, False)


@pytest.fixture
def verifier() -> Iterator[Verifier]:
    made = build_verifier(VerifierConfig())
    yield made
    made.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "filter.jsonl"


def hard(
    sampler: FakeSampler,
    verifier: Verifier,
    problems: Sequence[Problem],
    path: Path,
    *,
    name: str = "hard_train",
    keep: int | None = None,
    batch: int = 2 * N,
) -> tuple[list[str], Tally]:
    settings = FilterConfig(n=N, temperature=0.5, max_tokens=9)
    kept, tally = filter_problems(sampler, verifier, problems, path, settings, name=name, batch=batch, keep=keep)
    return [problem.id for problem in kept], tally


FOUR = [problem("a"), problem("b"), problem("c", solution="it is \\boxed{6}"), problem("d")]


def test_what_is_solved_once_or_contradicts_itself_is_not_kept(verifier: Verifier, path: Path) -> None:
    sampler = FakeSampler(solves={"b"})
    kept, tally = hard(sampler, verifier, FOUR, path)
    assert kept == ["a", "d"]
    assert str(tally) == "kept 2 of 4: 1 solved at least once, 1 reference's answer does not grade as stored"
    assert read_jsonl(path) == [
        {"id": "a", "set": "hard_train", "n": 3, "correct": 0, "unscored": 0, "kept": True, "why": None},
        {
            "id": "b",
            "set": "hard_train",
            "n": 3,
            "correct": 1,
            "unscored": 0,
            "kept": False,
            "why": "solved at least once",
        },
        {
            "id": "c",
            "set": "hard_train",
            "n": 0,
            "correct": 0,
            "unscored": 0,
            "kept": False,
            "why": "reference's answer does not grade as stored",
        },
        {"id": "d", "set": "hard_train", "n": 3, "correct": 0, "unscored": 0, "kept": True, "why": None},
    ]


def test_a_problem_whose_reference_contradicts_itself_costs_no_sample(verifier: Verifier, path: Path) -> None:
    sampler = FakeSampler()
    hard(sampler, verifier, FOUR, path)
    assert sampler.asked == [["a", "b"], ["d"]]


def test_a_problem_without_a_solution_has_nothing_to_contradict(verifier: Verifier, path: Path) -> None:
    assert hard(FakeSampler(), verifier, [problem("a", solution=None)], path)[0] == ["a"]


def test_a_filter_that_was_killed_goes_on_where_its_file_ends(verifier: Verifier, path: Path) -> None:
    class Killed(FakeSampler):
        def sample(self, *args: object, **kwargs: object) -> Iterator[Rollout]:
            if self.asked:
                raise KeyboardInterrupt
            return super().sample(*args, **kwargs)  # type: ignore[arg-type]

    with pytest.raises(KeyboardInterrupt):
        hard(Killed(solves={"b"}), verifier, FOUR, path)
    assert [row["id"] for row in read_jsonl(path)] == ["a", "b"]
    sampler = FakeSampler(solves={"a", "b"})  # would decide otherwise, were they sampled again
    assert hard(sampler, verifier, FOUR, path)[0] == ["a", "d"]
    assert sampler.asked == [["d"]]
    assert [row["id"] for row in read_jsonl(path)] == ["a", "b", "c", "d"]


def test_a_finished_filter_samples_nothing(verifier: Verifier, path: Path) -> None:
    first = hard(FakeSampler(solves={"b"}), verifier, FOUR, path)
    sampler = FakeSampler()
    assert hard(sampler, verifier, FOUR, path) == first
    assert sampler.asked == []


def test_a_row_that_a_kill_tore_is_decided_again(verifier: Verifier, path: Path) -> None:
    hard(FakeSampler(solves={"b"}), verifier, FOUR, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert hard(FakeSampler(solves={"b"}), verifier, FOUR, path)[0] == ["a", "d"]
    assert path.read_bytes() == whole


def test_sampling_stops_once_enough_are_kept_and_the_record_holds_no_more(verifier: Verifier, path: Path) -> None:
    many = [problem(name) for name in "abcdefgh"]
    sampler = FakeSampler(solves={"b"})
    kept, tally = hard(sampler, verifier, many, path, keep=2)
    assert kept == ["a", "c"]
    assert sampler.asked == [["a", "b"], ["c", "d"]]
    assert [row["id"] for row in read_jsonl(path)] == ["a", "b", "c"]
    assert str(tally) == "kept 2 of 3: 1 solved at least once"
    again = FakeSampler()
    assert hard(again, verifier, many, path, keep=2) == (kept, tally)
    assert again.asked == []


def test_two_sets_share_a_file_without_mixing(verifier: Verifier, path: Path) -> None:
    assert hard(FakeSampler(solves={"a"}), verifier, [problem("a")], path)[0] == []
    assert hard(FakeSampler(), verifier, [problem("a")], path, name="held")[0] == ["a"]
    assert hard(FakeSampler(), verifier, [problem("a")], path)[0] == []


def test_the_filter_does_not_draw_the_evaluations_samples(verifier: Verifier, path: Path) -> None:
    sampler = FakeSampler()
    hard(sampler, verifier, FOUR, path)
    assert len(sampler.seeds) == 1
    assert not sampler.seeds & {0, derive_seed(0, ["evaluate"])}


def test_a_batch_smaller_than_one_problems_samples_is_one_problem(verifier: Verifier, path: Path) -> None:
    sampler = FakeSampler()
    hard(sampler, verifier, FOUR[:2], path, batch=1)
    assert sampler.asked == [["a"], ["b"]]


def test_what_is_kept_comes_in_the_order_of_the_data(verifier: Verifier, path: Path) -> None:
    hard(FakeSampler(), verifier, [FOUR[3]], path)
    assert hard(FakeSampler(), verifier, FOUR, path)[0] == ["a", "b", "d"]
