"""What an actor is shown in a search, and what it gives back.

A `View` has no field in which a reference, a reason or a verdict could travel: the question, the actor's own path with what
tools answered, and a `Signal` of two numbers. Before it goes out, `Referee.show` checks every text in it that the actor did
not write (`exprl.verify.leak`).

The `Referee` is the evaluator's side: it holds problem, judge and evidence, and lets out scores only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from exprl.agents.outcome import outcome_batch
from exprl.agents.trial import Trial
from exprl.errors import DataError
from exprl.judge import Judge
from exprl.turns import ChatMessage, converse
from exprl.types import Problem, Question, Submission
from exprl.verify import Verifier
from exprl.verify.evidence import Evidence
from exprl.verify.leak import LeakCheck

__all__ = ["Actor", "Gather", "Move", "Path", "Referee", "Signal", "View", "moved"]

Path = tuple[ChatMessage, ...]


class Signal(NamedTuple):
    """All that an actor learns of the judge: its path's score so far (None: not told), and how often it was sent back."""

    score: float | None = None
    retry: int = 0


class View(NamedTuple):
    """What an actor goes on from. `attempt` and `signal.retry` are for its seed."""

    question: Question
    path: Path = ()
    attempt: int = 0
    signal: Signal = Signal()


class Move(NamedTuple):
    """An actor's next step: its message and what tools answered; `done` where it has finished."""

    messages: Sequence[ChatMessage]
    done: bool = False


Actor = Callable[[View], Awaitable[Move]]
Gather = Callable[[Path], Sequence[Evidence]]
"""What the environment shows of a finished path."""


class Referee:
    """Judges paths and guards what goes to the actor."""

    def __init__(self, problem: Problem, judge: Judge, gather: Gather | None, verifier: Verifier | None) -> None:
        self.problem = problem
        self._judge, self._gather, self._verifier = judge, gather, verifier
        self._check = LeakCheck(problem.reference, problem.text)
        self.judged = 0

    def show(self, view: View) -> View:
        """The view, checked.

        Raises:
            LeakError: a text of it that the actor did not write holds reference text.
        """
        self._check.refuse(view.question.id, "the question's id")
        for number, message in enumerate(view.path):
            if message.get("role") != "assistant":  # a tool may well find the answer; it may not find the solution
                self._check.refuse(_texts(message), f"message {number}", answer=message.get("role") != "tool")
        return view

    async def prefix(self, path: Path) -> float | None:
        """The judge's score of an unfinished path."""
        self.judged += 1
        text = converse(path).text
        submission = Submission(self.problem, f"path-{self.judged}", text, (len(text),), "prefix")
        return (await self._judge.score([submission]))[0][-1].score

    async def outcomes(self, paths: Sequence[Path]) -> list[float | None]:
        """The outcome of finished paths: evidence above the verifier above the judge."""
        self.judged += len(paths)
        words = await outcome_batch([self._trial(path) for path in paths], judge=self._judge, verifier=self._verifier)
        return [word.score for word in words]

    def _trial(self, path: Path) -> Trial:
        return Trial.of(self.problem, path, self._gather(path) if self._gather else ())


def moved(path: Path, move: Move) -> Path:
    """The path with a move.

    Raises:
        DataError: a move without an assistant's message at its head.
    """
    if not move.messages or move.messages[0].get("role") != "assistant":
        raise DataError("a move begins with an assistant message; tool results and replies follow it")
    return (*path, *move.messages)


def _texts(value: object) -> str:
    """Every text in a message, wherever it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return " ".join(_texts(part) for part in value.values())
    return " ".join(_texts(part) for part in value) if isinstance(value, list | tuple) else ""
