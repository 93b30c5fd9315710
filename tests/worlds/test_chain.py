"""The chain world: its answers are right by another reckoning, its sets are apart, and its judge knows its references.

What may be tuned (how many steps are hard, how careless an attempt is) is read from the world and not repeated here.
"""

from __future__ import annotations

import itertools
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.config import SegmentConfig, VerifierConfig
from exprl.data import find_overlap
from exprl.errors import ConfigError, DataError
from exprl.judge import MilestoneJudge
from exprl.segment import split
from exprl.types import Problem, Submission
from exprl.verify import build_verifier
from exprl.worlds import SETS, SIZE, is_world, load_problems, world_policy, world_seed
from exprl.worlds.chain import EASY_STEPS, HARD_STEPS, LONG_STEPS, MARKER, corpus, make_chain, problems

OPERATION = re.compile(r"rev|rot|swp|[+-]10{0,3}(?!\d)")
STEP = re.compile(r"(?:(rev|rot|swp)\((\d+)\)|([+-]\d+)\+\((\d+)\))=(\d+)")
TRAIN, HELD_OUT, EASY = (load_problems(f"world:chain/{name}") for name in ("hard_train", "hard_held_out", "easy"))


def after(number: str, operation: str) -> str:
    """One operation, reckoned on the digits: not the world's own code."""
    a, b, c, d = number
    if operation in ("rev", "rot", "swp"):
        return {"rev": d + c + b + a, "rot": b + c + d + a, "swp": c + d + a + b}[operation]
    place = 4 - (len(operation) - 1)
    digit = int(number[place]) + (1 if operation[0] == "+" else -1)
    assert 1 <= digit <= 9, "a unit never carries"
    return number[:place] + str(digit) + number[place + 1 :]


def numbers(text: str) -> list[str]:
    """The start of a problem and the number after each of its operations."""
    start = re.search(r"(?<![\d+-])[1-9]{4}(?!\d)", text)
    assert start is not None
    return list(itertools.accumulate(OPERATION.findall(text), after, initial=start[0]))


def trace(problem: Problem) -> str:
    """A reference as the policy's own trace; a test may look."""
    return problem.reference.reveal().solution or ""


# -- problems


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_the_same_every_time_and_its_ids_are_unique(name: str) -> None:
    once, again = load_problems(f"world:chain/{name}"), load_problems(f"world:chain/{name}")
    assert once == again
    assert [problem.reference for problem in once] == [problem.reference for problem in again]
    assert len({problem.id for problem in once}) == len({problem.text for problem in once}) == SIZE


@pytest.mark.parametrize("problem", [*TRAIN[:40], *HELD_OUT[:40], *EASY[:20]], ids=lambda p: str(p.id))
def test_every_answer_is_right_by_another_reckoning(problem: Problem) -> None:
    reckoned = numbers(problem.text)
    reference = problem.reference.reveal()
    assert len(reckoned) - 1 == problem.meta["steps"]
    assert reference.answer == reckoned[-1]
    assert [step[-1] for step in STEP.findall(trace(problem))] == reckoned[1:]
    assert trace(problem).endswith(f"\\boxed{{{reckoned[-1]}}}")
    assert trace(problem).count(MARKER) == problem.meta["steps"]


@given(st.integers(0, 2**32), st.sampled_from(sorted({*EASY_STEPS, *HARD_STEPS, *LONG_STEPS})))
def test_a_chain_has_no_short_cut(seed: int, steps: int) -> None:
    chain = make_chain(random.Random(seed), steps)
    reckoned = numbers(chain.text)
    assert [str(value) for value in (chain.start, *chain.values)] == reckoned
    assert len(chain.operations) == steps
    assert len(set(reckoned)) == steps + 1, "no number comes back"
    assert "0" not in "".join(reckoned)
    assert all(len(number) == 4 for number in reckoned)


def test_hard_problems_have_more_steps_than_any_easy_one_and_take_turns() -> None:
    assert min(HARD_STEPS) > max(EASY_STEPS)
    for made, steps in ((TRAIN, HARD_STEPS), (HELD_OUT, HARD_STEPS), (EASY, EASY_STEPS)):
        assert [problem.meta["steps"] for problem in made] == [steps[i % len(steps)] for i in range(SIZE)]


def test_training_and_held_out_problems_are_apart() -> None:
    # Numbers of steps, step numbers and few operations: short runs of words are shared by chance, a whole chain is not.
    overlap = find_overlap(TRAIN, HELD_OUT, ngram=24)
    assert (overlap.exact, overlap.ngrams) == ((), ())
    assert not {problem.id for problem in TRAIN} & {problem.id for problem in HELD_OUT}
    assert find_overlap([*TRAIN, *HELD_OUT], EASY).exact == ()


def test_the_priming_corpus_holds_no_problem_of_the_hard_sets() -> None:
    seen = {text for text, _ in itertools.islice(corpus(0), 3000)}
    assert not seen & {problem.text for problem in (*TRAIN, *HELD_OUT)}


def test_an_answer_cannot_be_guessed() -> None:
    answers = [problem.reference.reveal().answer for problem in (*TRAIN, *HELD_OUT)]
    assert max(answers.count(answer) for answer in set(answers)) <= 5  # of 480


def test_a_problem_shows_nothing_of_its_reference() -> None:
    assert all(str(problem.reference.reveal().answer) not in problem.text for problem in (*TRAIN, *HELD_OUT))
    assert {key for problem in TRAIN for key in problem.meta} == {"steps"}


def test_another_seed_makes_other_problems() -> None:
    assert {p.text for p in problems("x", 50, 1, HARD_STEPS)} != {p.text for p in problems("x", 50, 2, HARD_STEPS)}


# -- judge and verifier


def test_the_judge_gives_5_to_every_reference_as_its_own_trace_and_less_to_every_part_of_it() -> None:
    judge = MilestoneJudge()
    for problem in (*TRAIN, *HELD_OUT, *EASY):
        cuts = tuple(segment.end for segment in split(trace(problem), SegmentConfig()))
        verdicts = judge.judge(Submission(problem, "r", trace(problem), cuts, "prefix"))
        scores = [verdict.score for verdict in verdicts]
        assert scores[-1] == 1.0, problem.id
        assert scores == sorted(scores), problem.id  # type: ignore[type-var]
        assert scores[0] is not None
        assert len(scores) == 1 or scores[0] < 1.0, problem.id


def test_the_verifier_grades_every_reference_right_and_a_neighbour_of_it_wrong() -> None:
    verifier = build_verifier(VerifierConfig())
    wrong = ["\\boxed{" + str(int(str(p.reference.reveal().answer)) + 1) + "}" for p in TRAIN]
    try:
        right = verifier.verify([(problem, trace(problem)) for problem in (*TRAIN, *HELD_OUT, *EASY)])
        assert {verdict.score for verdict in right} == {1.0}
        assert {verdict.score for verdict in verifier.verify(list(zip(TRAIN, wrong, strict=True)))} == {0.0}
    finally:
        verifier.close()


# -- the corpus


def test_the_corpus_is_the_same_for_a_seed() -> None:
    assert list(itertools.islice(corpus(5), 50)) == list(itertools.islice(corpus(5), 50))
    assert list(itertools.islice(corpus(5), 50)) != list(itertools.islice(corpus(6), 50))


def test_easy_traces_of_the_corpus_are_right_and_careless_attempts_never_end_right() -> None:
    easy = careless = noticed = 0
    for text, written in itertools.islice(corpus(1), 2000):
        reckoned = numbers(text)
        boxed = re.search(r"\\boxed\{(\d+)\}$", written)
        assert boxed is not None
        if len(reckoned) - 1 > max(EASY_STEPS):
            careless += 1
            assert boxed[1] != reckoned[-1], text
            continue
        easy += 1
        noticed += "wait" in written
        assert boxed[1] == reckoned[-1], text
        # What is followed by "wait" is a slip, done again; all else is right.
        kept = [line for line, following in itertools.pairwise(written.split(MARKER)) if "wait" not in following]
        assert [STEP.findall(line)[-1][-1] for line in kept] == reckoned[1:], written
    assert min(easy, careless) > 400
    assert noticed > 0


# -- names


def test_worlds_are_named_where_models_and_sources_are() -> None:
    assert is_world("world:chain")
    assert not is_world("worlds/chain")
    assert (world_seed("world:chain"), world_seed("world:chain@3")) == (0, 3)


@pytest.mark.parametrize("name", ["world:chian", "world:", "world:chain@x", "world:chain@-1", "world:chain@²"])
def test_a_world_that_does_not_exist_is_refused_before_anything_is_primed(name: str) -> None:
    with pytest.raises(ConfigError, match="no such world; there are world:chain and world:mixed, or either with @SEED"):
        world_policy(name)


@pytest.mark.parametrize("path", ["world:chain", "world:chain/", "world:chain/hard", "world:chian/easy"])
def test_a_set_that_does_not_exist_is_refused_with_the_names_of_those_that_do(path: str) -> None:
    with pytest.raises(DataError, match="no such set; there are world:chain/easy, world:chain/hard_train"):
        load_problems(path)
