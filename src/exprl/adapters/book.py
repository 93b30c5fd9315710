"""Problems by id: what an adapter knows and the harness does not.

Ids may be shown; references are looked up where they are needed, and redact themselves wherever else they get to.

    >>> from exprl.types import Reference
    >>> Book([Problem("p1", "3+4?", Reference(None, "7"))]).find("p1", "TRL").text
    '3+4?'
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from exprl.config import SourceConfig
from exprl.data import load_problems
from exprl.errors import DataError
from exprl.types import Problem

__all__ = ["Book", "Problems"]


class Book:
    """Problems with their hidden references, by id.

    Raises:
        DataError: two different problems of one id.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self._problems: dict[str, Problem] = {}
        for problem in problems:
            if self._problems.setdefault(problem.id, problem) != problem:
                raise DataError(f"two problems have the id {problem.id!r}; ids must be unique")

    @classmethod
    def of(cls, problems: Problems) -> Book:
        """From problems, or from the path of their file; see `exprl.load_problems`.

        Raises:
            DataError: a file or row that cannot be used.
        """
        if isinstance(problems, Book):
            return problems
        return cls(_loaded(str(problems)) if isinstance(problems, str | Path) else problems)

    def find(self, name: object, asker: str) -> Problem:
        """The problem of an id.

        Raises:
            DataError: there is none, or no id was given at all.
        """
        found = self._problems.get(name if isinstance(name, str) else str(name))
        if found is None:
            raise DataError(
                f"{asker} asks for problem {name!r}, which is not among the {len(self._problems)} that the adapter was "
                "given; put each problem's id into the harness' rows, and give the adapter the same problems"
            )
        return found

    def __len__(self) -> int:
        return len(self._problems)

    def __repr__(self) -> str:
        return f"Book({len(self)} problems)"


Problems = Book | Iterable[Problem] | str | Path
"""What an adapter is given: problems with their references, or the path of their file."""


@lru_cache(maxsize=8)
def _loaded(path: str) -> tuple[Problem, ...]:
    return tuple(load_problems(SourceConfig(path=path)))
