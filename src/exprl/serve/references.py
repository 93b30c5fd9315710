"""References by id: registered once by an evaluator, named by actors, and shown to nobody.

    references.add(problem)         True: new; False: the very same is there
    references.get("p1")            the problem with its hidden reference, and a key for what was scored against it

They live in this process's memory and are written nowhere: a server that starts again is given them again, over HTTP or from
the problem files of its configuration. Another problem under an id that is in use is refused (`TakenError`), so that two
evaluators cannot silently grade by each other's references.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from exprl.types import Problem

__all__ = ["FullError", "References", "Registered", "TakenError"]


class TakenError(Exception):
    """Another problem has this id."""


class FullError(Exception):
    """There are as many references as the server keeps."""


class Registered(NamedTuple):
    """A problem, and what identifies it with its reference; the key is for this process and stands in no response."""

    problem: Problem
    key: bytes


class References:
    """The registered problems.

    Args:
        most: how many are kept.
    """

    def __init__(self, problems: Iterable[Problem] = (), most: int = 100_000) -> None:
        self._most = most
        self._by_id: dict[str, Registered] = {}
        for problem in problems:
            self.add(problem)

    def add(self, problem: Problem) -> bool:
        """Register a problem; whether it is new.

        Raises:
            TakenError: another problem has its id.
            FullError: there is no room.
        """
        entry, known = Registered(problem, _key(problem)), self._by_id.get(problem.id)
        if known is not None:
            if known.key != entry.key:
                raise TakenError
            return False
        if len(self._by_id) >= self._most:
            raise FullError
        self._by_id[problem.id] = entry
        return True

    def get(self, name: str) -> Registered | None:
        """A registered problem, or None."""
        return self._by_id.get(name)

    def remove(self, name: str) -> bool:
        """Forget a problem; whether there was one."""
        return self._by_id.pop(name, None) is not None

    def __len__(self) -> int:
        return len(self._by_id)

    def __repr__(self) -> str:
        return f"References({len(self)} <redacted>)"


def _key(problem: Problem) -> bytes:
    parts = (problem.id, problem.text, problem.domain, problem.reference.digest)
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:%b" % (len(data), data))
    return digest.digest()
