"""Finer than one whole number: the expected grade of one reply, and the mean of several replies.

A grade is one digit, so one token of the last verdict decides it. Where the server says how likely the other tokens were
at that place, the mean over the grades among them is a finer score than the one that was written:

    E[n] = sum of n p(n) / sum of p(n)        over the alternatives that are whole grades 1..K

A weak judge hardly ever writes a 3 where it wavers between 2 and 4; its probabilities say so. Alternatives that are no
grade ("four", "10", a line break) are left out; the same grade spelt twice (`4` and ` 4`) counts with both probabilities.

It refuses to guess: no log-probabilities, tokens that are not those of the reply, a grade that is not a token of its own,
no alternative that is a grade: None, and the caller keeps the grade as it was written. In the mean of n samples, unscored
ones are left out, never counted as 0; the verdict's note says how many counted, and where none did it is unscored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from exprl.judge.http.wire import TokenChoice
from exprl.types import Usage, Verdict

__all__ = ["expected_grade", "mean_verdict"]

_AROUND = " \t\r\n*_`\"'.,:{}[]\u2581\u0120"  # what a token may hold besides its digit; the last two stand for a space


def expected_grade(reply: str, at: int, tokens: Sequence[TokenChoice], scale: int = 5) -> float | None:
    """The mean grade in 1..scale, or None where the tokens do not say.

    Args:
        reply: what the model wrote.
        at: where the digit of its last verdict stands in it, from `parse_reply`.
        tokens: the reply's tokens with their alternatives.
        scale: the highest grade.
    """
    choice = _token_at(reply, at, tokens)
    if choice is None or _grade(choice.token, scale) is None:
        return None
    weights = [0.0] * (scale + 1)
    for token, logprob in choice.alternatives:
        grade = _grade(token, scale)
        if grade is not None and logprob <= 0.01:  # more is no log-probability, NaN neither
            weights[grade] += math.exp(logprob)
    total = sum(weights)
    return sum(grade * weight for grade, weight in enumerate(weights)) / total if total > 0 else None


def mean_verdict(samples: Sequence[Verdict]) -> Verdict:
    """One verdict for several on the same thing: mean score, all words, the cost of all."""
    if len(samples) == 1:
        return samples[0]
    scored = [sample for sample in samples if sample.score is not None]
    likerts = {sample.likert for sample in scored}
    counted = f"mean of {len(scored)} of {len(samples)} samples"
    return Verdict(
        score=sum(sample.score or 0.0 for sample in scored) / len(scored) if scored else None,
        unscored=None if scored else samples[0].unscored,
        likert=likerts.pop() if len(likerts) == 1 else None,
        raw="\n\n".join(sample.raw for sample in samples if sample.raw),
        judge=samples[0].judge,
        prompt_hash=samples[0].prompt_hash,
        usage=sum((sample.usage for sample in samples), Usage()),
        note="; ".join(dict.fromkeys(note for note in (counted, *(sample.note for sample in samples)) if note)),
    )


def _token_at(reply: str, at: int, tokens: Sequence[TokenChoice]) -> TokenChoice | None:
    """The token that holds a character of the reply. A server may have stripped the reply or taken reasoning off it."""
    whole = "".join(choice.token for choice in tokens)
    shift = whole.rfind(reply.strip())
    if at < 0 or not whole or not reply.strip() or shift < 0:
        return None
    place = at + shift - (len(reply) - len(reply.lstrip()))
    for choice in tokens:
        if place < len(choice.token):
            return choice
        place -= len(choice.token)
    return None


def _grade(token: str, scale: int) -> int | None:
    digit = token.strip(_AROUND)
    return int(digit) if len(digit) == 1 and "1" <= digit <= str(scale) else None
