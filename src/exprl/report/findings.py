"""What happened, in sentences computed from the numbers.

A difference is claimed only where the interval of the paired difference leaves out 0; where `summary.json` has no such
interval, where those of the two numbers do not overlap. Everything else is "no difference", and a missing interval is "not
comparable". The sentences say how many problems were solved in how many tries (counted from
the samples, a number a seed) and pass@k (from `summary.json`): for Stage I at the largest k, which is coverage, for
Stage II at k = 1, which is the headline. Arms of which the same can be said share a sentence; of many arms each sentence is a
paragraph, which begins with what it says.

    >>> compare(Estimate(0.6, 0.5, 0.7), Estimate(0.4, 0.3, 0.5))
    'no difference'
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Literal

from exprl.report.read import STAGES, Estimate, Record
from exprl.report.tally import Tally

__all__ = ["against", "baseline", "compare", "findings", "interval", "join", "share", "word"]

Comparison = Literal["above", "below", "no difference", "not comparable"]
_MANY = 5  # arms from which on one paragraph a set is too much to read


def compare(one: Estimate | None, other: Estimate | None) -> Comparison:
    """Whether `one` lies above or below `other`: only if their intervals are apart."""
    if one is None or other is None:
        return "not comparable"
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return "not comparable"
    if one.low > other.high:
        return "above"
    return "below" if one.high < other.low else "no difference"


def word(difference: Estimate | None) -> Comparison:
    """What a paired difference says: above or below only if its interval leaves out 0."""
    if difference is None or difference.low is None or difference.high is None:
        return "not comparable"
    if difference.low > 0:
        return "above"
    return "below" if difference.high < 0 else "no difference"


def against(record: Record, stage: str, set_: str, k: int, arm: str, other: str) -> Comparison:
    """Whether an arm lies above another at pass@k: by the paired difference, or by intervals where there is none."""
    if (paired := record.difference(stage, set_, k, arm, other)) is not None:
        return word(paired)
    mine, theirs = (record.coverage(name, "stage1" if name == "base" else stage, set_) for name in (arm, other))
    return compare(mine.get(k), theirs.get(k))


def baseline(record: Record) -> str:
    """The arm that the others are held against: the first sparse one, else the base policy."""
    return next((arm for arm in record.arms if record.method(arm) == "sparse"), "base")


def findings(record: Record, *, sets: int = 3) -> list[str]:
    """What to read of each set, held-out sets first, for at most `sets` of them: a paragraph, or one a sentence."""
    places = [("base", "stage1"), *((arm, stage) for arm in record.arms for stage in STAGES)]
    measured = [set_ for set_ in record.sets if any(record.coverage(arm, stage, set_) for arm, stage in places)]
    said = [list(_set_sentences(record, set_)) for set_ in measured[:sets]]
    many = len(record.arms) >= _MANY
    paragraphs = [part for sentences in said for part in (sentences if many else [" ".join(sentences)])]
    if len(measured) > sets:
        paragraphs.append(f"The table below has {join(measured[sets:])} as well.")
    return paragraphs


def share(value: float | None) -> str:
    """A share or rate for reading: three decimals, `unscored` where there is none."""
    return "unscored" if value is None else f"{value:.3f}"


def interval(estimate: Estimate) -> str:
    """The interval for reading; empty where there is none."""
    known = estimate.low is not None and estimate.high is not None
    return f"{estimate.low:.3f} to {estimate.high:.3f}" if known else "no interval"


def join(names: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def _set_sentences(record: Record, set_: str) -> Iterator[str]:
    kind = "training set" if set_ == "hard_train" else "held-out set"
    yield f"On the {kind} {set_}, the base policy {_base(record, set_)}."
    for stage, describe in (("stage1", _stage1), ("stage2", _stage2)):
        said = []
        for words, arms in _alike(record, set_, stage):
            words = words.replace("its own", "their own") if len(arms) > 1 else words
            said.append((join([describe(record, arm, set_) for arm in arms]), words))
        if len(record.arms) >= _MANY:
            yield from (f"After {STAGES[stage]} {words}: {which}." for which, words in said)
        elif said:
            yield f"After {STAGES[stage]}, {'; '.join(f'{which}, {words}' for which, words in said)}."
    yield from _between(record, set_)


def _base(record: Record, set_: str) -> str:
    tallies = record.tallies("base", "stage1", set_)
    return (
        "was not sampled" if not tallies else f"solved {_solved(tallies)} problems in {tallies[None].tries} tries each"
    )


def _solved(tallies: Mapping[int | None, Tally]) -> str:
    problems = max(len(tally.graded) for tally in tallies.values())
    return f"{join([str(tally.solved) for tally in tallies.values()])} of {problems}"


def _alike(record: Record, set_: str, stage: str) -> Iterator[tuple[str, list[str]]]:
    """What can be said of the arms' comparisons, and the arms of which it can."""
    said: dict[str, list[str]] = {}
    for arm in record.arms:
        results = dict(_results(record, arm, set_, stage))
        if results:
            said.setdefault(_against(results), []).append(arm)
    return iter(said.items())


def _results(record: Record, arm: str, set_: str, stage: str) -> Iterator[tuple[str, Comparison]]:
    mine, other = record.coverage(arm, stage, set_), baseline(record)
    if not mine:
        return
    k = max(mine) if stage == "stage1" else 1
    if stage == "stage1":
        yield "base", against(record, stage, set_, k, arm, "base")
    elif record.differences:
        yield "its own Stage I", word(record.gain(arm, set_))
    else:
        yield "its own Stage I", compare(mine.get(k), record.coverage(arm, "stage1", set_).get(k))
    if other not in (arm, "base"):
        yield other, against(record, stage, set_, k, arm, other)


def _stage1(record: Record, arm: str, set_: str) -> str:
    coverage, tallies = record.coverage(arm, "stage1", set_), record.tallies(arm, "stage1", set_)
    k = max(coverage)
    measured = f"pass@{k} {share(coverage[k].value)}"
    return f"{arm} solved {_solved(tallies)} ({measured})" if tallies else f"{arm} has {measured}"


def _stage2(record: Record, arm: str, set_: str) -> str:
    before, after = (record.coverage(arm, stage, set_).get(1) for stage in STAGES)
    reached = share(after.value) if after else "unscored"
    return f"{arm} went from pass@1 {share(before.value)} to {reached}" if before else f"{arm} has pass@1 {reached}"


def _between(record: Record, set_: str) -> Iterator[str]:
    """The ExpRL arms against each other, two by two, at the last stage that all of them have."""
    arms = [arm for arm in record.arms if record.judged(arm)]
    stages = [stage for stage in STAGES if arms and all(record.coverage(arm, stage, set_) for arm in arms)]
    if not stages or not 2 <= len(arms) <= 3:
        return
    for one, other in combinations(arms, 2):
        yield f"{_pair(one, other, against(record, stages[-1], set_, 1, one, other))} at pass@1 after {STAGES[stages[-1]]}."


def _pair(one: str, other: str, result: Comparison) -> str:
    if result == "no difference":
        return f"Between {one} and {other} there is no difference"
    if result == "not comparable":
        return f"{one} and {other} are not comparable"
    return f"{one} is {result} {other}"


def _against(results: Mapping[str, Comparison]) -> str:
    words = {"no difference": "no different from", "not comparable": "not comparable with"}
    by_word: dict[str, list[str]] = {}
    for name, result in results.items():
        by_word.setdefault(words.get(result, result), []).append(name)
    return join([f"{word} {join(names)}" for word, names in by_word.items()])
