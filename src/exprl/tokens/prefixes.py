"""The exact way for any decoder: which tokens precede a character is found by bisection over decoded prefixes.

A prefix of the tokens is *settled* up to the first character in which its text differs from the whole text: the tokens
after it can no longer change what lies before. A token begins where the prefix before it is settled to, so the first
token at or after a cut is found with log2(T) decodes; there is no loop over tokens. All ends of all tokens take more
decodes, one for every place where a token really ends, and are only computed for the rule that asks for them.

What it cannot know: which of several tokens a lasting U+FFFD came from, where their bytes are no character. It then
takes the first of them for all of it, which only matters for a cut right after that U+FFFD.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Prefixes"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Prefixes:
    """One rollout, seen through its decoder alone.

    Args:
        ids: T token ids.
        skipped_T: (T,) tokens that give no text (special tokens).
        decode: ids to text.
    """

    def __init__(self, ids: list[int], skipped_T: Bools, decode: Callable[[list[int]], str]) -> None:
        self._ids = ids
        self._skipped = skipped_T
        self._decode = decode
        self.text = decode(ids)
        self._settled = {0: 0, len(ids): len(self.text)}
        self._open: set[int] = set()  # prefixes that end inside of a character

    def token_counts(self, cuts: Sequence[int]) -> Ints:
        """(S,) number of tokens in each segment, by their character ends, the last of which is the text's."""
        first = [self._first_at(cut) for cut in cuts[:-1]] + [len(self._ids)]
        return np.diff(np.maximum.accumulate(first), prepend=0)

    def ends(self) -> Ints:
        """(T,) character end of each token; a token that holds part of a character ends with that character."""
        count = len(self._ids)
        settled = np.zeros(count + 1, dtype=np.int64)
        self._fill(settled, 0, count)
        begun = np.isin(np.arange(count + 1), list(self._open))
        part = np.append(False, (settled[1:] == settled[:-1]) & ~self._skipped)
        ends = np.minimum(settled + (begun | part), len(self.text))
        return np.maximum.accumulate(ends)[1:]

    def _first_at(self, cut: int) -> int:
        first = bisect_left(range(len(self._ids) + 1), cut, key=self._settle)
        while first < len(self._ids) and self._skipped[first] and self._settle(first) == cut:
            first += 1  # a token without text belongs to the segment that ended just before it
        return first

    def _fill(self, settled: Ints, low: int, high: int) -> None:
        settled[low], settled[high] = self._settle(low), self._settle(high)
        if settled[low] == settled[high]:
            settled[low:high] = settled[low]
        elif high - low > 1:
            middle = (low + high) // 2
            self._fill(settled, low, middle)
            self._fill(settled, middle, high)

    def _settle(self, count: int) -> int:
        """The character up to which the text of the first `count` tokens is settled."""
        if count not in self._settled:
            prefix = self._decode(self._ids[:count])
            shared = bisect_left(range(1, len(prefix) + 1), True, key=lambda n: not self.text.startswith(prefix[:n]))
            self._settled[count] = shared
            if prefix.startswith("\ufffd", shared):
                self._open.add(count)
        return self._settled[count]
