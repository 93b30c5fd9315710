"""A card in words: what was found, and what the judge may be used for.

Differences are called such only where an interval excludes 0 (or chance), and every sentence carries its numbers. The
advice is no more than the rule that `prime` can enforce: rewards need a misplacement whose upper end is under a limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from exprl.config import JudgeCardConfig
from exprl.evaluate.intervals import Interval
from exprl.judge.calibrate.card import ConditionResult, JudgeCard

__all__ = ["in_words", "percent", "plain", "with_interval"]

_CHANCE = 0.5
_OFTEN = 0.2
_LIMIT: float = JudgeCardConfig.model_fields["max_misplacement"].default
_SHOWN = {"none": "without a reference", "wrong": "with another problem's reference"}


def in_words(card: JudgeCard) -> tuple[str, ...]:
    """A paragraph, sentence by sentence."""
    correct = card.conditions["correct"]
    sentences = [
        _separation(correct),
        _unscored(correct),
        *_reference(card),
        *_length(correct),
        *_repeated(card),
        *_process(card),
        _use(card, correct),
        _prefixes(card),
    ]
    return tuple(sentence for sentence in sentences if sentence)


def percent(value: float) -> str:
    """0.178 as 17.8 %."""
    return "n/a" if math.isnan(value) else f"{100 * value:.1f} %"


def with_interval(interval: Interval, *, signed: bool = False) -> str:
    """A share in per cent, or a signed number, with its ends."""
    if math.isnan(interval.value):
        return "n/a"
    if signed:
        return f"{interval.value:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"
    return f"{100 * interval.value:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def plain(interval: Interval) -> str:
    """A number that is no share, with its ends."""
    if math.isnan(interval.value):
        return "n/a"
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _separation(result: ConditionResult) -> str:
    rates = result.rates
    if math.isnan(rates.misplacement.value):
        return "With the correct reference nothing can be said: correct or wrong answers got no scores at all."
    return (
        f"With the correct reference the judge misplaces {with_interval(rates.misplacement)} of the answers (chance is "
        f"50 %): it takes {with_interval(rates.fpr)} of the wrong ones for correct and "
        f"{with_interval(rates.fnr)} of the correct ones for wrong; a correct answer outscores a wrong one with "
        f"probability {plain(rates.auroc)}. It is {_against_chance(rates.misplacement)}."
    )


def _against_chance(misplacement: Interval) -> str:
    if misplacement.high < _CHANCE:
        return "better than chance"
    return "worse than chance" if misplacement.low > _CHANCE else "not to be told from chance"


def _unscored(result: ConditionResult) -> str:
    rates = result.rates
    if not rates.unscored:
        return f"All {rates.rows:,} answers got a score."
    often = next(iter(result.reasons), "no reason given")
    return f"{with_interval(rates.unscored_rate)} of the answers got no score, most often: {often}."


def _reference(card: JudgeCard) -> Iterator[str]:
    for condition in ("none", "wrong"):
        result = card.conditions.get(condition)
        if result is None:
            continue
        if result.rates.unscored == result.rates.rows:
            yield f"{_SHOWN[condition].capitalize()} it gives no score at all, so there is nothing to compare."
        elif result.difference is not None and not math.isnan(result.difference.value):
            yield _difference(_SHOWN[condition], result.rates.misplacement, result.difference)


def _difference(shown: str, misplacement: Interval, difference: Interval) -> str:
    told = f"{shown.capitalize()} misplacement is {with_interval(misplacement)}"
    change = f"{100 * difference.value:+.1f} points [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}], paired"
    if difference.low > 0:
        return f"{told}, {change}: the reference matters."
    if difference.high < 0:
        return f"{told}, {change}: it does better so, and the reference harms."
    return f"{told}, {change}: it is not shown that the reference matters."


def _length(result: ConditionResult) -> Iterator[str]:
    for label, rho in (("correct", result.lengths.correct), ("wrong", result.lengths.wrong)):
        if math.isnan(rho.value):
            continue
        bias = "no length bias is shown" if rho.low <= 0 <= rho.high else ("longer" if rho.low > 0 else "shorter")
        told = f"Among {label} answers score and length go together by {with_interval(rho, signed=True)} (Spearman)"
        yield f"{told}: {bias if bias.startswith('no ') else f'it favours {bias} ones'}."


def _repeated(card: JudgeCard) -> Iterator[str]:
    found = card.repeatability
    if found is not None and found.pairs:
        yield (
            f"Asked the same again {found.pairs:,} times it gives the same score in {with_interval(found.equal)}, and the two "
            f"are {found.mean_difference.value:.3f} apart on average."
        )


def _process(card: JudgeCard) -> Iterator[str]:
    process = card.process
    if process is not None and (found := process.prefixes) is not None and found.with_error:
        stops = "the" if found.change_after.high < found.change_before.low else "it is not shown that the"
        yield (
            f"A step before the first error changes the prefix score by {with_interval(found.change_before, signed=True)}, "
            f"the wrong step by {with_interval(found.change_at, signed=True)}, a step after it by "
            f"{with_interval(found.change_after, signed=True)}: "
            f"{stops} score rises less after an error. "
            f"Of prefixes with equally many steps one without an error outscores one with it with probability "
            f"{plain(found.auroc_same_step)} (chance is 0.5)."
        )
    if process is not None and (sampled := process.monte_carlo) is not None:
        yield (
            f"Prefix score and the success rate of continuations go together by "
            f"{with_interval(sampled.spearman, signed=True)} (Spearman, {sampled.prefixes:,} prefixes)."
        )


def _use(card: JudgeCard, result: ConditionResult) -> str:
    rates, domains = result.rates, " and ".join(card.domains)
    where = f"on {domains} problems like those of {card.data.file}"
    if math.isnan(rates.misplacement.value) or rates.misplacement.high >= _CHANCE:
        return f"It should not be used for rewards {where}."
    if rates.unscored_rate.value > _OFTEN:
        return f"It leaves too much unscored to be used for rewards {where}: a run would pause."
    if rates.misplacement.high <= _LIMIT:
        return f"It may be used for rewards {where}: the upper end of its misplacement is under {percent(_LIMIT)}."
    return (
        f"It tells more than chance {where}, but the upper end of its misplacement is over {percent(_LIMIT)}: use it to "
        "monitor, or beside a verifier, rather than alone for rewards."
    )


def _prefixes(card: JudgeCard) -> str:
    """Labels of whole answers are often labels of final answers, which a judge may read without judging a step."""
    process = card.process
    if process is None or (process.prefixes is None and process.monte_carlo is None):
        return "All this is about whole answers; how well it scores prefixes, which process rewards need, was not measured."
    return "What it may be used for is said of whole answers; process rewards rest on the prefixes."
