"""The judge and the verifier behind the server, and what they have said.

A verdict that has a score is remembered, by the problem with its reference and a hash of the text; one without is asked for
again. The memory is bounded in bytes and forgets what was not asked for the longest. It holds what an answer needs, so a score
that is asked for twice costs a hash and a look-up; a judge model's verdicts are also on disk (`exprl.judge.store`).

No text may hold up the others: the deterministic judge, which computes, reads a long one in a thread, and verifiers always
run in threads.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from exprl.judge import Judge, MilestoneJudge
from exprl.serve.metrics import Metrics
from exprl.serve.references import Registered
from exprl.types import Scope, Submission, Verdict
from exprl.verify import Verifier

__all__ = ["Memory", "Scorer"]

Verdicts = tuple[Verdict, ...]
_SHORT = 2000
_ENTRY = 400
_THREADS = 4


class Memory:
    """Verdicts by key, up to so many bytes, the least recently used forgotten first."""

    def __init__(self, most: int) -> None:
        self._most, self._size = most, 0
        self._kept: OrderedDict[bytes, Verdicts] = OrderedDict()

    def get(self, key: bytes) -> Verdicts | None:
        """What is remembered of a key."""
        verdicts = self._kept.get(key)
        if verdicts is not None:
            self._kept.move_to_end(key)
        return verdicts

    def keep(self, key: bytes, verdicts: Verdicts) -> None:
        """Remember, if every verdict has a score."""
        if key in self._kept or any(verdict.score is None for verdict in verdicts):
            return
        self._kept[key] = verdicts
        self._size += _weight(verdicts)
        while self._size > self._most:
            self._size -= _weight(self._kept.popitem(last=False)[1])

    def __len__(self) -> int:
        return len(self._kept)


class Scorer:
    """Scores traces against registered references.

    Args:
        judge: who scores; closed with `aclose`.
        verifier: who verifies; closed likewise.
        remembered: bytes of memory for verdicts.
    """

    def __init__(self, judge: Judge, verifier: Verifier, metrics: Metrics, remembered: int) -> None:
        self._judge, self._verifier, self._metrics = judge, verifier, metrics
        self._memory = Memory(remembered)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="exprl-serve")

    @property
    def judge_name(self) -> str:
        """The judge's name."""
        return self._judge.name

    async def score(self, entry: Registered, text: str, cuts: Sequence[int], scope: Scope) -> Verdicts:
        """One verdict a cut; see `exprl.judge.Judge.score`."""
        key = _key(entry, scope, text, cuts)
        verdicts = self._memory.get(key)
        self._metrics.judged(scope, verdicts or (), remembered=True)
        if verdicts is None:
            verdicts = await self._judged(Submission(entry.problem, "served", text, tuple(cuts), scope))
            self._memory.keep(key, verdicts)
            self._metrics.judged(scope, verdicts, remembered=False)
        return verdicts

    async def verify(self, entry: Registered, text: str) -> Verdict:
        """The verdict on the final answer; see `exprl.verify.Verifier.verify`.

        Raises:
            ExprlError: the verifier cannot work here (a missing extra, a missing sandbox).
        """
        key = _key(entry, "verify", text, ())
        verdicts = self._memory.get(key)
        self._metrics.judged("verify", verdicts or (), remembered=True)
        if verdicts is None:
            loop, pair = asyncio.get_running_loop(), (entry.problem, text)
            verdicts = tuple(await loop.run_in_executor(self._threads, self._verifier.verify, [pair]))
            self._memory.keep(key, verdicts)
            self._metrics.judged("verify", verdicts, remembered=False)
        return verdicts[0]

    async def aclose(self) -> None:
        """Let go of connections, workers and threads."""
        await self._judge.aclose()
        # Closing first: it ends the workers that threads wait for.
        await asyncio.get_running_loop().run_in_executor(None, self._verifier.close)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _judged(self, submission: Submission) -> Verdicts:
        if isinstance(self._judge, MilestoneJudge) and len(submission.text) > _SHORT:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._judge.judge, submission)
        return (await self._judge.score([submission]))[0]


def _weight(verdicts: Verdicts) -> int:
    return sum(_ENTRY + len(verdict.raw) + len(verdict.note) for verdict in verdicts)


def _key(entry: Registered, scope: str, text: str, cuts: Sequence[int]) -> bytes:
    head = b"%b %b %b " % (entry.key, scope.encode(), ",".join(map(str, cuts)).encode())
    return hashlib.blake2b(head + text.encode("utf-8", "surrogatepass"), digest_size=20).digest()
