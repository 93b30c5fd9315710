"""Do training and evaluation share problems? Exactly, or by many words in a row.

Two problems are *exactly* the same when their texts agree after `normalise`: Unicode NFKC, case folded, typographic
quotes and dashes made plain, white space, prose punctuation and TeX's dollars and spacing dropped. Operators, brackets
and digits stay, since `3+4` and `3-4` are different problems. An exact pair stops a run.

The *n-gram* share of an evaluation problem is the part of its distinct n-grams (n words in a row; words, numbers and
TeX commands count, symbols do not; n = 13 as in GPT-3's contamination study, arXiv 2005.14165, appendix C) that one
training problem also has. It is reported for the training problem that shares most, as a warning. A problem of fewer
than n words has no n-grams and can only overlap exactly.

    >>> from exprl.types import Question
    >>> find_overlap([Question("a", "What is $3+4$?")], [Question("b", "what is 3 + 4")], ngram=13).exact
    (ExactPair(train='a', evaluate='b'),)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from exprl.errors import OverlapError
from exprl.types import Problem, Question

__all__ = ["ExactPair", "NgramPair", "Overlap", "find_overlap", "normalise", "refuse_overlap"]

Ints = npt.NDArray[np.int64]

_TOKEN = re.compile(r"\\[a-z]+|\\.|\d+(?:\.\d+)?|[^\W\d_]+|\S")
_DROPPED = frozenset(
    {".", ",", ";", ":", "?", '"', "$", "~", r"\,", r"\;", r"\!", r"\:", r"\ ", r"\(", r"\)", r"\[", r"\]"}
)
_PLAIN = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "−": "-", "–": "-", "—": "-"})


class ExactPair(NamedTuple):
    """The ids of a training and an evaluation problem with the same text after `normalise`."""

    train: str
    evaluate: str


class NgramPair(NamedTuple):
    """An evaluation problem, the training problem that shares most of its n-grams, and that share in (0, 1]."""

    train: str
    evaluate: str
    share: float


@dataclass(frozen=True, slots=True)
class Overlap:
    """What `find_overlap` found: every exact pair, and the closest n-gram pair of each evaluation problem."""

    exact: tuple[ExactPair, ...]
    ngrams: tuple[NgramPair, ...]
    ngram: int

    def __str__(self) -> str:
        lines = [f"{len(self.exact)} exact pairs, {len(self.ngrams)} evaluation problems share {self.ngram} words"]
        lines += [f"  exact  {pair.evaluate} = {pair.train}" for pair in self.exact]
        lines += [f"  {pair.share:5.0%}  {pair.evaluate} ~ {pair.train}" for pair in self.ngrams]
        return "\n".join(lines)


def find_overlap(
    train: Sequence[Problem | Question], evaluate: Sequence[Problem | Question], *, ngram: int = 13
) -> Overlap:
    """Compare every training problem with every evaluation problem.

    Args:
        train, evaluate: only ids and texts are read.
        ngram: words in a row, at least 1.
    Returns:
        All exact pairs (in the order of `evaluate`), and one n-gram pair for each evaluation problem that shares any;
        an exact pair is not repeated there.
    """
    if ngram < 1:
        raise ValueError(f"ngram is at least 1, got {ngram}")
    vocabulary: dict[str, int] = {}
    words_train = [_tokens(problem.text) for problem in train]
    words_evaluate = [_tokens(problem.text) for problem in evaluate]
    exact = _exact_pairs(train, evaluate, words_train, words_evaluate)
    same = {pair.evaluate for pair in exact}
    index = _Index([_ngrams(words, ngram, vocabulary) for words in words_train])
    pairs = []
    for problem, words in zip(evaluate, words_evaluate, strict=True):
        if problem.id not in same and (best := index.closest(_ngrams(words, ngram, vocabulary))):
            pairs.append(NgramPair(train[best.owner].id, problem.id, best.share))
    return Overlap(tuple(exact), tuple(sorted(pairs, key=lambda pair: -pair.share)), ngram)


def refuse_overlap(overlap: Overlap, name: str = "evaluation") -> None:
    """Stop on exact pairs; n-gram pairs are for a warning.

    Raises:
        OverlapError: names the set and the first pairs of ids.
    """
    if overlap.exact:
        pairs = ", ".join(f"{pair.evaluate} = {pair.train}" for pair in overlap.exact[:5])
        more = ", ..." if len(overlap.exact) > 5 else ""
        raise OverlapError(
            f"{len(overlap.exact)} problems of {name!r} are also training problems ({name} = training: {pairs}{more}); "
            "take them out of one of the two, or see all of them with `exprl overlap`"
        )


def normalise(text: str) -> str:
    """The text as compared by exact overlap: tokens that matter, joined by spaces.

    >>> normalise("What is  $3+4$ ?") == normalise("what is 3 + 4")
    True
    """
    return " ".join(_tokens(text))


def _tokens(text: str) -> list[str]:
    # Plain quotes after NFKC, which makes one of many dashes and ligatures, and before folding case.
    plain = unicodedata.normalize("NFKC", text).translate(_PLAIN).casefold()
    return [token for token in _TOKEN.findall(plain) if token not in _DROPPED]


def _exact_pairs(
    train: Sequence[Problem | Question],
    evaluate: Sequence[Problem | Question],
    words_train: list[list[str]],
    words_evaluate: list[list[str]],
) -> list[ExactPair]:
    ids: dict[tuple[str, ...], list[str]] = {}
    for problem, words in zip(train, words_train, strict=True):
        ids.setdefault(tuple(words), []).append(problem.id)
    return [
        ExactPair(other, problem.id)
        for problem, words in zip(evaluate, words_evaluate, strict=True)
        for other in ids.get(tuple(words), ())
    ]


def _ngrams(tokens: list[str], n: int, vocabulary: dict[str, int]) -> Ints:
    """The distinct 64-bit hashes of a text's n-grams, ascending; empty for a text of fewer than n words."""
    # A word, number or TeX command ends in a letter or digit; a symbol, `\\%` too, does not.
    ids = [vocabulary.setdefault(token, len(vocabulary)) for token in tokens if token[-1].isalnum()]
    hashes = {hash(tuple(ids[start : start + n])) for start in range(len(ids) - n + 1)}
    return np.sort(np.fromiter(hashes, dtype=np.int64, count=len(hashes)))


class _Best(NamedTuple):
    owner: int
    share: float


class _Index:
    """All training n-grams, sorted, each with the number of its problem.

    Every look-up is a slice of one sorted array, so a phrase that stands in every problem (a template's) costs a count
    over these and no list of pairs.
    """

    def __init__(self, grams: list[Ints]) -> None:
        lengths = [len(own) for own in grams]
        owners = np.repeat(np.arange(len(grams)), lengths)
        hashes = np.concatenate([np.empty(0, dtype=np.int64), *grams])
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._owners = hashes[order], owners[order]

    def closest(self, grams: Ints) -> _Best | None:
        """The problem that shares most of these distinct n-grams (the first of equals), or None."""
        low = np.searchsorted(self._hashes, grams, side="left")
        high = np.searchsorted(self._hashes, grams, side="right")
        found = high > low
        if not found.any():
            return None
        spans = [self._owners[start:stop] for start, stop in zip(low[found], high[found], strict=True)]
        shared = np.bincount(np.concatenate(spans))
        owner = int(shared.argmax())
        return _Best(owner, float(shared[owner] / len(grams)))
