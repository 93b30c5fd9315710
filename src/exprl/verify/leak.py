"""The leak check: does a text that an actor would read hold its hidden reference?

Search with hidden references gives an actor its question, its own steps, what tools answered, and scalars. All of it is checked
before it goes out. A text leaks where it holds, and the question does not,

    8 words in a row of the solution or the tests (of a shorter solution: all of it, from 3 words on)
    the stored answer, where it is 6 characters or longer    in what the evaluator writes; a tool may find it

Words are runs of letters and digits, in any case. An actor's own words are not checked: it may well write what the
reference says. Shorter answers (`7`) stand in too many texts to tell; types keep those out: what goes to an actor
has no field for them (`exprl.agents.search.View`).

What it refuses: to say what leaked. `LeakError` names the place and the kind.

    >>> check = LeakCheck(Reference("first add 3 and 4 then double the sum to get 14", "fourteen"), "3, 4: what now?")
    >>> check.finds("Hint: then double the sum to get 14, as in: add 3 and 4 then double the sum to get 14")
    'words of the solution'
"""

from __future__ import annotations

import re

from exprl.errors import LeakError
from exprl.types import Reference

__all__ = ["LeakCheck"]

_WORD = re.compile(r"[^\W_]+")
_RUN = 8
_FEWEST = 3
_ANSWER = 6


class LeakCheck:
    """Checks texts against one reference.

    Args:
        reference: the hidden one.
        question: what the actor knows anyway.
    """

    def __init__(self, reference: Reference, question: str) -> None:
        solution, answer, tests = reference.reveal()
        self._hidden = {
            "words of the solution": _hidden_runs(solution, question),
            "words of the tests": _hidden_runs(tests, question),
        }
        spoken = " ".join((answer or "").casefold().split())
        self._answer = spoken if len(spoken) >= _ANSWER and spoken not in _flat(question) else None

    def __repr__(self) -> str:
        return "LeakCheck(<redacted>)"

    def finds(self, text: str, *, answer: bool = True) -> str | None:
        """What kind of reference text a text holds, or None.

        Args:
            answer: look for the stored answer, too.
        """
        runs = {length: _runs(text, length) for length in {_length(hidden) for hidden in self._hidden.values()}}
        for kind, hidden in self._hidden.items():
            if hidden & runs[_length(hidden)]:
                return kind
        if answer and self._answer is not None and self._answer in _flat(text):
            return "the stored answer"
        return None

    def refuse(self, text: str, where: str, *, answer: bool = True) -> None:
        """Stop a text that leaks.

        Raises:
            LeakError: it does; says where and of what kind.
        """
        if (kind := self.finds(text, answer=answer)) is not None:
            raise LeakError(f"{where} holds {kind} of the hidden reference; nothing was sent. Take it out of there")


def _hidden_runs(text: str | None, question: str) -> set[tuple[str, ...]]:
    count = len(_words(text or ""))
    if count < _FEWEST:
        return set()
    length = min(_RUN, count)
    return _runs(text or "", length) - _runs(question, length)


def _length(runs: set[tuple[str, ...]]) -> int:
    return len(next(iter(runs))) if runs else _RUN


def _runs(text: str, length: int) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _flat(text: str) -> str:
    return " ".join(text.casefold().split())
