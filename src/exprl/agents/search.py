"""Search with a hidden reference: best of n, sample-verify-backtrack, and stopping early. For evaluation.

The judge reads the reference; the actor gets scalars and branch choices only, and every text that goes to it is checked for
reference text first (`exprl.agents.view`). What a search finds with the problem's own reference is what a policy *covers*, an
upper end for what a judge without a reference could find: report it beside pass@1, never as pass@1.

    best_of_n   n attempts that know nothing of each other; the one with the best outcome is chosen, the first on a tie
    backtrack   a move is kept where the prefix score does not fall; else another is tried, up to `branches` at a node; a
                node without a good move is taken back
    EarlyStop   an attempt ends where its prefix score is `enough`, or has not risen for `patience` moves

A path that could not be scored is never chosen, and never counts as 0.

    found = await best_of_n(actor, problem, judge, 8)
    found.path, found.score, found.moves
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal, NamedTuple

from exprl.agents.view import Actor, Gather, Path, Referee, Signal, View, moved
from exprl.errors import ConfigError
from exprl.judge import Judge
from exprl.types import Problem
from exprl.verify import Verifier

__all__ = ["EarlyStop", "Search", "backtrack", "best_of_n"]

Ended = Literal["done", "enough", "patience", "steps", "budget", "exhausted"]


@dataclass(frozen=True, slots=True)
class EarlyStop:
    """When an attempt ends before its actor does: at a prefix score of `enough`, or `patience` moves without a rise."""

    enough: float = 1.0
    patience: int | None = None


class Search(NamedTuple):
    """What a search found: scalars and the actor's own path, nothing of the judge's words.

    Attributes:
        path: the chosen one; () where none could be scored.
        score: its outcome, None where unscored.
        chosen: the place of the chosen attempt in `scores`; None where there is none.
        scores: the outcome of every finished attempt, in order.
        moves: how many moves the actor made; `judged`: how many paths the judge read.
        ended: why each attempt ended.
    """

    path: Path
    score: float | None
    chosen: int | None
    scores: tuple[float | None, ...]
    moves: int
    judged: int
    ended: tuple[Ended, ...]


async def best_of_n(
    actor: Actor,
    problem: Problem,
    judge: Judge,
    n: int,
    *,
    max_steps: int = 16,
    early: EarlyStop | None = None,
    gather: Gather | None = None,
    verifier: Verifier | None = None,
    concurrency: int = 8,
) -> Search:
    """n attempts, the best of them by outcome.

    Args:
        actor: makes the next move from a `View`.
        judge: chooses, where neither `gather` nor `verifier` speaks.
        max_steps: moves an attempt.
        early: ends attempts by their prefix scores; costs a call of the judge a move.
        gather: evidence of the environment on a finished path; it outranks verifier and judge.
        verifier: grades the final answer; it outranks the judge.
        concurrency: attempts at the same time.
    Raises:
        ConfigError: n < 1.
        LeakError: reference text was about to reach the actor.
    """
    if n < 1:
        raise ConfigError(f"best_of_n makes at least 1 attempt, got n={n}")
    referee, gate = Referee(problem, judge, gather, verifier), asyncio.Semaphore(concurrency)

    async def one(attempt: int) -> _Attempt:
        async with gate:
            return await _attempt(actor, referee, attempt, max_steps, early)

    attempts = await asyncio.gather(*map(one, range(n)))
    return await _chosen(referee, attempts, sum(attempt.moves for attempt in attempts))


async def backtrack(
    actor: Actor,
    problem: Problem,
    judge: Judge,
    *,
    branches: int = 3,
    max_steps: int = 16,
    budget: int = 48,
    enough: float = 1.0,
    gather: Gather | None = None,
    verifier: Verifier | None = None,
) -> Search:
    """Sample a move, judge the prefix, keep it or take it back.

    Args:
        branches: moves that are tried at a node before the node itself is taken back.
        budget: moves in all.
        enough: the outcome at which the search ends.
    Returns:
        The best finished path; where none was finished, the longest path that was kept.
    Raises:
        ConfigError: branches or budget < 1.
        LeakError: reference text was about to reach the actor.
    """
    if branches < 1 or budget < 1:
        raise ConfigError(f"backtrack needs branches and budget of at least 1, got {branches} and {budget}")
    tree = _Tree(problem, Referee(problem, judge, gather, verifier), max_steps)
    while tree.moves < budget:
        node = tree.open_node(branches)
        if node is None:
            return await tree.found("exhausted")
        outcome = await tree.grow(actor, node)
        if outcome is not None and outcome >= enough:
            return await tree.found("enough")
    return await tree.found("budget")


@dataclass(slots=True)
class _Node:
    path: Path
    score: float
    tries: int = 0


class _Tree:
    """The path that is kept, node by node, and what was finished on the way."""

    def __init__(self, problem: Problem, referee: Referee, max_steps: int) -> None:
        self._problem, self._referee, self._max_steps = problem, referee, max_steps
        self._nodes = [_Node((), 0.0)]
        self._finished: list[tuple[Path, float | None]] = []
        self._longest: Path = ()
        self.moves = 0

    def open_node(self, branches: int) -> _Node | None:
        """The last node that may be tried again; those after it are taken back."""
        while self._nodes and self._nodes[-1].tries >= branches:
            self._nodes.pop()
        return self._nodes[-1] if self._nodes else None

    async def grow(self, actor: Actor, node: _Node) -> float | None:
        """One more move; returns the outcome where it finished the path."""
        signal = Signal(node.score if node.path else None, node.tries)
        move = await actor(self._referee.show(View(self._problem.question, node.path, 0, signal)))
        node.tries, self.moves = node.tries + 1, self.moves + 1
        path = moved(node.path, move)
        if move.done or len(self._nodes) >= self._max_steps:
            (outcome,) = await self._referee.outcomes([path])
            self._finished.append((path, outcome))
            return outcome
        score = await self._referee.prefix(path)
        if score is not None and score >= node.score:
            self._nodes.append(_Node(path, score))
            self._longest = max(self._longest, path, key=len)
        return None

    async def found(self, ended: Ended) -> Search:
        """The best finished path, or the longest that was kept."""
        if not self._finished and self._longest:
            (outcome,) = await self._referee.outcomes([self._longest])
            self._finished.append((self._longest, outcome))
        return _search(self._finished, self.moves, self._referee.judged, (ended,))


class _Attempt(NamedTuple):
    path: Path
    moves: int
    ended: Ended


async def _attempt(actor: Actor, referee: Referee, attempt: int, max_steps: int, early: EarlyStop | None) -> _Attempt:
    path: Path = ()
    best, idle = -1.0, 0
    for moves in range(1, max_steps + 1):
        # Attempts of best-of-n are independent samples: no score is shown, whether or not one was taken.
        move = await actor(referee.show(View(referee.problem.question, path, attempt)))
        path = moved(path, move)
        if move.done:
            return _Attempt(path, moves, "done")
        if early is None:
            continue
        score = await referee.prefix(path)
        if score is not None and score >= early.enough:
            return _Attempt(path, moves, "enough")
        best, idle = (score, 0) if score is not None and score > best else (best, idle + 1)
        if early.patience is not None and idle >= early.patience:
            return _Attempt(path, moves, "patience")
    return _Attempt(path, max_steps, "steps")


async def _chosen(referee: Referee, attempts: list[_Attempt], moves: int) -> Search:
    scores = await referee.outcomes([attempt.path for attempt in attempts])
    finished = [(attempt.path, score) for attempt, score in zip(attempts, scores, strict=True)]
    return _search(finished, moves, referee.judged, tuple(attempt.ended for attempt in attempts))


def _search(finished: list[tuple[Path, float | None]], moves: int, judged: int, ended: tuple[Ended, ...]) -> Search:
    scores = tuple(score for _, score in finished)
    scored = [place for place, score in enumerate(scores) if score is not None]
    chosen = max(scored, key=lambda place: (scores[place] or 0.0, -place), default=None)
    path = () if chosen is None else finished[chosen][0]
    return Search(path, None if chosen is None else scores[chosen], chosen, scores, moves, judged, ended)
