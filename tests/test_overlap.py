"""Problems that stand in both sets are found, however they are spaced, quoted or cased; different ones are not."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.data import Overlap, find_overlap, normalise, refuse_overlap
from exprl.errors import OverlapError
from exprl.types import Question

FOX = "the quick brown fox jumps over the lazy dog near the old river bank today"


def questions(prefix: str, *texts: str) -> list[Question]:
    return [Question(f"{prefix}{i}", text) for i, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is $3+4$?", "what is  3 + 4"),
        ("Janet’s “ducks” lay 16 eggs.", 'Janet\'s "ducks" lay 16 eggs'),
        ("Find \\(x\\).", "find $x$"),
        ("f(1, 2)", "f(1,2)"),
        ("ﬁve − 2", "five - 2"),
        ("\\frac{1}{2}\\, x", "\\frac{1}{2} x"),
    ],
)
def test_spelling_of_the_same_problem_does_not_matter(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3+4", "3-4"),
        ("3.5", "35"),
        ("1, 2", "12"),
        ("5!", "5"),
        ("f'(x)", "f(x)"),
        ("(1+2)3", "1+(2)3"),
        ("x<y", "x>y"),
    ],
)
def test_different_problems_stay_different(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


def test_exact_pairs_name_every_training_problem_and_are_not_repeated_as_ngrams() -> None:
    found = find_overlap(questions("t", FOX, "other", FOX.upper()), questions("e", "no", FOX + "."), ngram=3)
    assert found.exact == (("t0", "e1"), ("t2", "e1"))
    assert found.ngrams == ()


def test_the_share_is_of_the_evaluation_problems_ngrams_and_the_closest_problem_is_named() -> None:
    # 5 words have three 3-grams; t0 shares (a b c), t1 shares (a b c) and (b c d).
    found = find_overlap(questions("t", "a b c x", "a b c d x", "c d e"), questions("e", "a b c d z"), ngram=3)
    [pair] = found.ngrams
    assert (pair.train, pair.evaluate) == ("t1", "e0")
    assert pair.share == pytest.approx(2 / 3)


def test_shares_are_listed_most_first_and_symbols_do_not_make_words() -> None:
    found = find_overlap(questions("t", "a + b = c d"), questions("e", "a b c x y", "a, b. (c) d e"), ngram=3)
    assert [pair.evaluate for pair in found.ngrams] == ["e1", "e0"]
    assert [pair.share for pair in found.ngrams] == pytest.approx([2 / 3, 1 / 3])


def test_a_problem_shorter_than_n_words_has_no_ngram_overlap() -> None:
    assert find_overlap(questions("t", "a b c d"), questions("e", "a b c"), ngram=4).ngrams == ()
    assert find_overlap([], questions("e", "a b c"), ngram=2) == Overlap((), (), 2)


def test_an_exact_pair_is_refused_with_its_ids_and_an_ngram_pair_is_not() -> None:
    found = find_overlap(questions("t", FOX), questions("e", FOX), ngram=13)
    with pytest.raises(OverlapError, match=r"1 problems of 'aime26' are also training problems .*e0 = t0"):
        refuse_overlap(found, "aime26")
    refuse_overlap(find_overlap(questions("t", FOX), questions("e", FOX + " again"), ngram=13))


def test_the_printed_overlap_names_pairs() -> None:
    text = str(find_overlap(questions("t", FOX), questions("e", FOX, FOX + " again"), ngram=14))
    assert "exact  e0 = t0" in text
    assert " 67%  e1 ~ t0" in text


def test_n_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        find_overlap([], [], ngram=0)


@given(st.text())
def test_normalising_twice_changes_nothing_and_shares_are_shares(text: str) -> None:
    # Case folding may make characters that NFKC would take apart again, so once more settles it.
    once = normalise(normalise(text))
    assert normalise(once) == once
    found = find_overlap(questions("t", text), questions("e", text + " tail of words"), ngram=1)
    assert all(0 < pair.share <= 1 for pair in found.ngrams)


@pytest.mark.parametrize(
    "boilerplate", ["", "find the remainder when the sum of all these many numbers is divided by 1000 "]
)
def test_ten_thousand_training_problems_take_seconds(boilerplate: str) -> None:
    generator = random.Random(0)
    words = [f"w{i}" for i in range(5000)]

    def texts(count: int) -> list[str]:
        return [boilerplate + " ".join(generator.choices(words, k=60)) for _ in range(count)]

    train, evaluate = questions("t", *texts(10_000)), questions("e", *texts(1_000))
    evaluate[3] = Question("e3", train[77].text)
    start = time.perf_counter()
    found = find_overlap(train, evaluate, ngram=13)
    assert time.perf_counter() - start < 15  # about 2 s on an idle core
    assert found.exact == (("t77", "e3"),)
    assert len(found.ngrams) == (999 if boilerplate else 0)
