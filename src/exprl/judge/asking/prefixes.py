"""How the prefixes of one rollout come by their scores: three ways with three prices.

    each      P calls: the longest prefix first, so that the server holds the whole trace when the others come, then the
              others together. Exact; the default, and the only way for isolated segments and whole traces.
    once      1 call: the whole trace, divided by lines that no trace can forge, and one grade a prefix in the reply. Least
              tokens; the judge sees what comes after a prefix, and is asked not to let it count. All or nothing: a reply
              with the wrong number of scores leaves every prefix unscored.
    bisect    2..P calls: the ends first; a range whose ends have the same score takes it for all that lies between, any
              other is split in half. Exact where the score never falls from one prefix to the next but rises or stays;
              a rise and fall between two prefixes of equal score goes unseen.

Every call's usage stands with one verdict only, hence the
usages of a rollout's verdicts add up to what it cost; verdicts that cost nothing say why in their note.

With `judge.expected` or samples, scores are rarely equal, and `bisect` asks about nearly every prefix.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from exprl.judge.asking.parse import parse_scores
from exprl.judge.asking.rubric import Rubric
from exprl.types import Verdict

__all__ = ["AskPrefix", "bisect", "each", "once"]

AskPrefix = Callable[[int], Awaitable[Verdict]]
"""Judge one prefix, by its place."""


async def each(count: int, ask: AskPrefix) -> tuple[Verdict, ...]:
    """One call a prefix, the longest first."""
    if count == 0:
        return ()
    last = await ask(count - 1)
    if count == 1:
        return (last,)
    return (*await asyncio.gather(*(ask(place) for place in range(count - 1))), last)


async def bisect(count: int, ask: AskPrefix) -> tuple[Verdict, ...]:
    """The ends, then only where the score changes between two that are known. An unscored end is a change."""
    found: dict[int, Verdict] = {}
    if count == 0:
        return ()
    for place in (count - 1, 0):
        if place not in found:
            found[place] = await ask(place)
    await _between(0, count - 1, ask, found)
    return tuple(found[place] for place in range(count))


async def _between(low: int, high: int, ask: AskPrefix, found: dict[int, Verdict]) -> None:
    if high - low < 2:
        return
    if found[low].score is not None and found[low].score == found[high].score:
        derived = _derived(found[low])
        found.update((place, derived) for place in range(low + 1, high))
        return
    middle = (low + high) // 2
    found[middle] = await ask(middle)
    await asyncio.gather(_between(low, middle, ask, found), _between(middle, high, ask, found))


def _derived(end: Verdict) -> Verdict:
    return Verdict(end.score, likert=end.likert, judge=end.judge, note="between two prefixes of equal score")


def once(whole: Verdict, count: int, rubric: Rubric) -> tuple[Verdict, ...]:
    """The verdicts of all prefixes from the one call that graded them. Its words and its cost stand with the last."""
    grades = parse_scores(whole.raw, count, scale=rubric.scale).likerts if whole.unscored is None else None
    if grades is None:
        reason = whole.unscored or "no list of scores in the reply"
        missing = Verdict(None, unscored=reason, judge=whole.judge, prompt_hash=whole.prompt_hash)
        return (missing,) * (count - 1) + (replace(whole, score=None, likert=None, unscored=reason),)
    note = f"one call graded all {count} prefixes; its cost stands with the last"
    note = f"{whole.note}; {note}" if whole.note else note
    first = (
        Verdict(rubric.score(grade), likert=grade, judge=whole.judge, prompt_hash=whole.prompt_hash, note=note)
        for grade in grades[:-1]
    )
    return (*first, replace(whole, score=rubric.score(grades[-1]), likert=grades[-1]))
