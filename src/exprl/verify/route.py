r"""The strongest verifier that a problem's data allow.

    tests      stored tests: the program is run                                  `exprl.verify.code`
    choice     listed options, and a stored answer that names one of them        `exprl.verify.choice`
    science    a stored amount, in a problem of science: units and tolerance      `exprl.verify.science`
    math       a stored answer that is a number, an expression or a few words    `exprl.verify.math`
    judge      prose to be read against a hidden reference                       a judge, outcome scope
    blind      nothing stored at all                                             a judge that sees no reference

A way stands above all that come after it: what the environment can decide no judge is asked. A problem of code without
tests is for a judge, never a pass; so is prose in science, since equal text would call every paraphrase wrong. In
mathematics a stored text is compared as text, as benchmarks do.

    >>> from exprl.types import Reference
    >>> route(Problem("p", "Which?\nA. one\nB. two", Reference(None, "B"), "science"))
    Route(way='choice', why='the question lists 2 options and the stored answer names one')

What it refuses: to call a way possible that the data do not bear (`bears`), so that an override is checked before a run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from exprl.config import Way
from exprl.types import Domain, Problem
from exprl.verify.amounts import read_amount
from exprl.verify.answer import MAX_ANSWER
from exprl.verify.choice import chosen
from exprl.verify.options import options_of
from exprl.verify.parts import split_parts
from exprl.verify.stored import stored_answer

__all__ = ["Route", "bears", "route"]

_COMMAND = re.compile(r"\\[a-zA-Z]+")
_WORD = re.compile(r"[^\W\d_]{3,}")
_PROSE = 4
"""Words from which on an answer is a sentence and no name (`the second law of thermodynamics`)."""


class Route(NamedTuple):
    """Which verifier, and why this one; the reason quotes nothing that is stored."""

    way: Way
    why: str


def route(problem: Problem, override: Mapping[Domain, Way] | None = None) -> Route:
    """The way by which a problem's answers are graded.

    Args:
        override: by domain, from the configuration; it wins over the data.
    """
    if override and (way := override.get(problem.domain)) is not None:
        return Route(way, f"verifier.domains says so for {problem.domain}")
    if problem.reference.has_tests:
        return Route("tests", "it has tests")
    answer = (stored_answer(problem) or "").strip()
    if not answer or problem.domain == "code":
        return _without_answer(problem, answer)
    if (options := options_of(problem)) and _names_option(answer, options, problem.domain):
        return Route("choice", f"the question lists {len(options)} options and the stored answer names one")
    if problem.domain == "science" and all(read_amount(part.text) for part in split_parts(answer)):
        return Route("science", "the stored answer is an amount")
    if problem.domain != "math" and _is_prose(answer):
        return Route("judge", "the stored answer is prose")
    return Route("math", "the stored answer is a number, an expression or a name")


def bears(problem: Problem, way: Way) -> str | None:
    """What a problem lacks for a way, or None where its data bear it."""
    if way == "tests" and not problem.reference.has_tests:
        return "tests"
    if way in ("choice", "science", "math") and not problem.reference.has_answer:
        return "a stored answer"
    if way == "choice" and not options_of(problem):
        return "options that can be read"
    if way == "judge" and not (problem.reference.has_answer or problem.reference.has_solution):
        return "a reference"
    return None


def _without_answer(problem: Problem, answer: str) -> Route:
    lacks = "no tests" if problem.domain == "code" else "no tests and no stored answer"
    if problem.reference.has_solution or answer:
        return Route("judge", f"{lacks}, but a reference")
    return Route("blind", f"{lacks}, and no reference")


def _names_option(answer: str, options: Mapping[str, str], domain: Domain) -> bool:
    """A letter; outside mathematics also an option's text, which in mathematics is better compared as a value."""
    named = chosen(answer, options, several=True)
    return not isinstance(named, str) and (domain != "math" or set(answer.strip("(). ").upper()) <= set(options))


def _is_prose(answer: str) -> bool:
    return len(answer) > MAX_ANSWER or len(_WORD.findall(_COMMAND.sub(" ", answer))) >= _PROSE
