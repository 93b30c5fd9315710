r"""Grade final answers in mathematics: exact where text and numbers decide, computer algebra in a killable worker
elsewhere.

For a trace: the last balanced `\boxed{}` is the answer; without any box, the answer stated in words beyond doubt
(`exprl.verify.stated`; `stated=False` asks for the box). None: score 0.0, not unscored, since a policy can always state
one. Then, in this order: `exprl.verify.answer.matches` (exact, in this process); the memo of (stored,
stated); math-verify in a worker process, killed at `timeout` seconds.

    score 1.0   equal
    score 0.0   not equal; nothing stated; nothing readable in the box; more than 1,000 characters that are not equal as
                text
    unscored    no stored answer; a stored answer that cannot be read; out of time; a worker that died

What it refuses: to raise for anything that a policy wrote, to wait longer than `timeout` for one answer, and to run
policy text in this process. math-verify comes with the `eval` extra; without it the exact path still works, and the
first answer that needs algebra raises `VerifierError`.

    >>> MathVerifier().verify([])
    []
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from exprl.types import Problem, Verdict
from exprl.verify.answer import extract_answer, matches
from exprl.verify.pool import Outcome, WorkerPool
from exprl.verify.stored import NO_ANSWER, stored_answer

__all__ = ["MathVerifier"]

_MEMO = 65_536
_SHOWN = 200
_REASONS: dict[Outcome, str] = {
    "timeout": "timeout: comparing the answer took too long",
    "died": "the worker that compared the answer died",
    "gold": "the stored answer cannot be read",
}

_Pair = tuple[str, str]


class MathVerifier:
    """Final answers in numbers, LaTeX and words. Safe to call from several threads.

    Args:
        timeout: seconds that one comparison may take in a worker, from its start to the kill.
        workers: processes that compare at the same time.
        stated: whether an answer stated in words counts where a trace has no box.
    """

    name = "math"

    def __init__(self, timeout: float = 2.0, workers: int = 1, *, stated: bool = True) -> None:
        self._stated = stated
        self._pool = WorkerPool(timeout=timeout, workers=workers)
        self._memo: dict[_Pair, Outcome] = {}
        self._timeouts: set[_Pair] = set()
        self._lock = Lock()

    def verify(self, pairs: Sequence[tuple[Problem, str]]) -> list[Verdict]:
        """Grade traces; see `exprl.verify.Verifier.verify`. `Verdict.raw` is the stated answer, cut to 200 characters.

        Raises:
            VerifierError: math-verify is needed and missing, or no worker starts.
        """
        verdicts: list[Verdict | None] = []
        undecided: dict[_Pair, list[int]] = {}
        for place, (problem, text) in enumerate(pairs):
            verdict, pair = self._at_once(problem, text)
            verdicts.append(verdict)
            if pair is not None:
                undecided.setdefault(pair, []).append(place)
        for pair, outcome in self._compare(list(undecided)).items():
            for place in undecided[pair]:
                verdicts[place] = self._verdict(outcome, pair[1])
        return [verdict for verdict in verdicts if verdict is not None]

    def close(self) -> None:
        """Stop the workers."""
        with self._lock:
            self._pool.close()

    def _at_once(self, problem: Problem, text: str) -> tuple[Verdict | None, _Pair | None]:
        """The verdict without a worker, or the pair that needs one."""
        if (gold := stored_answer(problem)) is None:
            return Verdict(None, unscored=NO_ANSWER, judge=self.name), None
        answer = extract_answer(text, stated=self._stated)
        equal = False if answer is None else matches(gold, answer)
        if equal is None and answer is not None:
            return None, (gold, answer)
        return Verdict(1.0 if equal else 0.0, judge=self.name, raw=(answer or "")[:_SHOWN]), None

    def _compare(self, pairs: list[_Pair]) -> dict[_Pair, Outcome]:
        if not pairs:
            return {}
        with self._lock:
            new = [pair for pair in pairs if pair not in self._memo]
            known = {pair: self._memo[pair] for pair in pairs if pair in self._memo}
            for pair, outcome in zip(new, self._pool.compare(new), strict=True):
                known[pair] = outcome
                self._remember(pair, outcome)
            return known

    def _remember(self, pair: _Pair, outcome: Outcome) -> None:
        """Keep what is certain. A timeout is kept from the second time on: the first may be the machine's fault."""
        if outcome in ("timeout", "died") and pair not in self._timeouts:
            if len(self._timeouts) >= _MEMO:
                self._timeouts.clear()
            self._timeouts.add(pair)
            return
        if len(self._memo) >= _MEMO:
            del self._memo[next(iter(self._memo))]
        self._timeouts.discard(pair)
        self._memo[pair] = outcome

    def _verdict(self, outcome: Outcome, answer: str) -> Verdict:
        raw = answer[:_SHOWN]
        if outcome in ("equal", "different"):
            return Verdict(1.0 if outcome == "equal" else 0.0, judge=self.name, raw=raw)
        return Verdict(None, unscored=_REASONS[outcome], judge=self.name, raw=raw)
