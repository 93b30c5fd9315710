r"""How many different things a policy says: final answers, and ways to right ones. No model is asked.

Of the samples of one problem:

    distinct_answers   different final answers, as normalised by `exprl.verify`
    answer_entropy     entropy of the distribution of final answers, in bits (0: always the same one)
    distinct_wrong     different wrong final answers
    approaches         the chance that two right samples *calculate* differently
    wording            1 - the mean overlap (Jaccard) of the word 4-grams of two right samples

An *approach* is the sequence of formulas of a trace: per step (a line, or a piece between segment markers) its numbers and
operators, words dropped and steps without a number left out. So the same calculation in other words is the same approach.
`wording` is the complement: it sees prose, and nothing else.

Why chances of pairs and not counts of different ones: an arm with more right samples would have more different ones for
that reason alone. 1 - sum c_i (c_i - 1) / c (c - 1), for c right samples of which c_i go one way, is unbiased for every c
(Simpson's index), so that arms can be compared. At most the first `PAIRED` right samples are paired; they are exchangeable.

What it cannot see: two orders of the same steps are two approaches, a slip that is corrected makes another, an idea that is
said in words alone makes none. The first three measures grow with the number of samples: compare equal numbers. The last two
are of problems with two right samples or more, which are not the same problems for every arm. Answers that are equal only
by algebra count as different.

    >>> approach("So 2 + 3 = 5.\nNow double it: 5*2=10\n\\boxed{10}") == approach("2+3=5 ### 5 * 2 = 10 ### \\boxed{10}")
    True
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np

from exprl.evaluate.intervals import Floats, Interval, draw_weights, percentiles, replicate_means
from exprl.verify.answer import extract_answer, normalise

__all__ = ["MEASURES", "PAIRED", "approach", "diversity", "mean_over_problems"]

MEASURES = ("distinct_answers", "answer_entropy", "distinct_wrong", "approaches", "wording")
PAIRED = 16
"""Right samples of a problem that are compared with each other; 120 pairs."""

_STEP = re.compile(r"\n|#{3,}")
_FORMULA = re.compile(r"\d+(?:\.\d+)?|[-+*/^=<>%]|\\(?:frac|times|cdot|div|sqrt)(?![a-zA-Z])")
_NUMBERED = re.compile(r"\A\s{0,8}(?:step\s{0,3})?\d{1,3}[.):](?!\d)", re.IGNORECASE)
_WORD = re.compile(r"\w+|[^\w\s]")
_GRAM = 4


def approach(text: str) -> tuple[str, ...]:
    """The sequence of formulas of a trace, without its words; empty where it has no number."""
    steps = ("".join(_FORMULA.findall(_NUMBERED.sub("", step, count=1))) for step in _STEP.split(text))
    return tuple(step for step in steps if any(character.isdigit() for character in step))


def diversity(rows: Iterable[Mapping[str, object]], ids: Sequence[str]) -> dict[str, Floats]:
    """The measures of every problem, from rows of `samples.jsonl` of one policy.

    Args:
        rows: with `question_id`, `text` and `correct`; samples without a verdict are passed over.
        ids: the problems, which are the columns.
    Returns:
        By measure, (P,) values; NaN where there is nothing to measure (no answer; fewer than two right samples).
    """
    answers: dict[str, Counter[str]] = {name: Counter() for name in ids}
    wrong: dict[str, set[str]] = {name: set() for name in ids}
    right: dict[str, list[str]] = {name: [] for name in ids}
    for row in rows:
        name, correct, text = str(row["question_id"]), row["correct"], str(row["text"])
        if name not in answers or not isinstance(correct, int | float):
            continue
        if correct > 0.5 and len(right[name]) < PAIRED:
            right[name].append(text)
        if (answer := _answer(text)) is not None:
            answers[name][answer] += 1
            wrong[name] |= {answer} if correct <= 0.5 else set()
    columns = ([*_answers(answers[name], wrong[name]), *_ways(right[name])] for name in ids)
    return dict(
        zip(MEASURES, np.array(list(columns), dtype=np.float64).reshape(len(ids), len(MEASURES)).T, strict=True)
    )


def mean_over_problems(values_SP: Floats, *, bootstrap: int = 2000, level: float = 0.95, seed: int = 0) -> Interval:
    """The mean over problems and seeds with a bootstrap interval over both; NaN where no problem has a value."""
    if np.isnan(values_SP).all():
        return Interval(math.nan, math.nan, math.nan)
    weights = draw_weights(len(values_SP), np.ones(values_SP.shape[1], dtype=np.int64), bootstrap, seed)
    low, high = percentiles(replicate_means(values_SP, weights), level)
    return Interval(float(np.nanmean(values_SP)), low, high)


def _answer(text: str) -> str | None:
    found = extract_answer(text, stated=True)
    return None if found is None else normalise(found)


def _answers(counts: Counter[str], wrong: set[str]) -> tuple[float, float, float]:
    """Distinct answers, entropy in bits, distinct wrong answers."""
    total = counts.total()
    if total == 0:
        return math.nan, math.nan, math.nan
    entropy = -sum(count / total * math.log2(count / total) for count in counts.values())
    return float(len(counts)), entropy + 0.0, float(len(wrong))


def _ways(texts: Sequence[str]) -> tuple[float, float]:
    """The chance that two right samples calculate differently, and how far apart their wordings are."""
    if len(texts) < 2:
        return math.nan, math.nan
    pairs = math.comb(len(texts), 2)
    alike = sum(math.comb(count, 2) for count in Counter(map(approach, texts)).values())
    overlap = sum(_overlap(one, other) for one, other in combinations(map(_grams, texts), 2))
    return 1 - alike / pairs, 1 - overlap / pairs


def _grams(text: str) -> frozenset[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return frozenset(tuple(words[i : i + _GRAM]) for i in range(max(1, len(words) - _GRAM + 1)))


def _overlap(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    return len(one & other) / len(one | other)
