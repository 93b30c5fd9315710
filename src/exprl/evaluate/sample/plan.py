"""The order in which samples are drawn, and their seeds: the same on every attempt, whatever was done before.

Draws go problem by problem, sample by sample: `p0/0, p0/1, ..., p0/63, p1/0, ...`. A chunk is a fixed slice of that
list, and its seed is a hash of the run's seed and of the ids in it, so that a resumed run which skips finished chunks
draws in the others exactly what an uninterrupted one draws. Two samplings of the same policy on the same problems
with the same seed are the same samples: give the filter and the evaluation different seeds, or the second only
repeats the first.

    >>> [draw.id for draw in draws([Question("p", "...")], 2)]
    ['p/0', 'p/1']
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple, Protocol

from exprl.types import Question, Rollout

__all__ = ["Draw", "Sampler", "chunks", "derive_seed", "draws"]


class Draw(NamedTuple):
    """The `sample`-th answer to a question."""

    question: Question
    sample: int

    @property
    def id(self) -> str:
        """The id of the rollout."""
        return f"{self.question.id}/{self.sample}"


class Sampler(Protocol):
    """Draws answers from a policy, which sees questions and nothing else."""

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
        """Yield `n` rollouts a question, with ids `<question id>/<sample>`.

        Args:
            questions: what is asked. A resumed call gives the same ones in the same order.
            temperature: 0 is greedy; above, the full softmax is sampled (no top-k, no nucleus).
            max_tokens: a rollout that reaches it without ending is `truncated`.
            done: ids of rollouts that exist already and are not yielded again.
        """
        ...


def draws(questions: Sequence[Question], n: int) -> list[Draw]:
    """All draws, in order."""
    return [Draw(question, sample) for question in questions for sample in range(n)]


def chunks(questions: Sequence[Question], n: int, size: int, done: Collection[str] = ()) -> Iterator[tuple[Draw, ...]]:
    """The draws in slices of `size`; a slice is left out once all of it is done, and is whole otherwise."""
    finished = frozenset(done)
    for start in range(0, len(plan := draws(questions, n)), size):
        chunk = tuple(plan[start : start + size])
        if not all(draw.id in finished for draw in chunk):
            yield chunk


def derive_seed(seed: int, ids: Sequence[str], bits: int = 63) -> int:
    """A seed for the draws with these ids: the first bits of BLAKE2b over the run's seed and the ids."""
    digest = hashlib.blake2b("\0".join([str(seed), *ids]).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - bits)
