r"""The child process of `exprl.verify.pool`: reads `[gold, answer, timeout]` lines, writes one outcome a line.

Only the LaTeX grammar of math-verify is used (an ANTLR parser that builds expressions); its other extractors go through
`sympy.parse_expr` and so through `eval`. The grammar itself would do so for numbers (`sympy.Number(text)`): here they
are read by `int` and `sympy.Float`. To be sure, an audit hook ends every comparison that compiles text (`eval`, `exec`,
`parse_expr`, string `sympify`) once the worker is ready, and that pair is unscored.

An alarm ends most long comparisons a little before the parent would kill the process, which keeps sympy loaded; what
the alarm cannot interrupt, the kill does.
"""

from __future__ import annotations

import json
import logging
import re
import signal
import sys
from collections.abc import Callable
from types import FrameType

__all__ = ["main"]

_MEMORY = 2 << 30
_MONOMIAL = re.compile(r"def monomial_[a-z]+\([ABk, ]+\):[\w\s,()=+*<>:-]*")  # no strings, no attributes
_SHARE = 0.75  # of the parent's limit, for the alarm


class _OutOfTime(BaseException):
    """Not an `Exception`: math-verify catches those."""


class _Refused(BaseException):
    """Text was about to be compiled."""


def main() -> None:
    """Serve until standard input ends."""
    _limit_memory()
    logging.disable(logging.CRITICAL)
    compare = _comparer()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        gold, answer, timeout = json.loads(line)
        print(json.dumps(_bounded(compare, gold, answer, _SHARE * timeout)), flush=True)


def _bounded(compare: Callable[[str, str], str], gold: str, answer: str, seconds: float) -> str:
    try:
        _set_alarm(seconds)
        try:
            return compare(gold, answer)
        finally:
            _set_alarm(0)
    except _OutOfTime:
        return "timeout"
    except (MemoryError, _Refused):
        return "died"


def _comparer() -> Callable[[str, str], str]:
    from math_verify import LatexExtractionConfig, parse, verify

    def read(text: str) -> list[object]:
        found: list[object] = parse(
            "\\boxed{" + text + "}", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None
        )
        return found

    def compare(gold: str, answer: str) -> str:
        stored = read(gold)
        if not stored:
            return "gold"
        return "equal" if verify(stored, read(answer), timeout_seconds=None) else "different"

    if sys.platform != "win32":  # there, only the parent's kill ends a long comparison
        signal.signal(signal.SIGALRM, _alarm)
    _read_numbers_directly()
    read("1")  # builds the grammar's tables before the first time limit runs
    compare("x+1", "1+x")
    sys.addaudithook(_refuse_compiling)
    return compare


def _read_numbers_directly() -> None:
    """`sympy.Number(text)`, which the grammar calls for every number, evaluates the text as Python; `int` does not."""
    import sympy
    import sympy.physics.units  # compiles names of its own when it is first imported
    from latex2sympy2_extended import latex2sympy2

    def number(text: str) -> object:
        digits = text.replace(",", "")
        return sympy.Integer(int(digits)) if digits.isdecimal() else sympy.Float(digits)

    def parse_number(self: object, text: str) -> object:
        return number(text)

    latex2sympy2._Latex2Sympy.parse_number = parse_number
    latex2sympy2.Number = number


def _refuse_compiling(event: str, arguments: tuple[object, ...]) -> None:
    """Stop what compiles text; a module imported late bears its file's name, monomials are sympy's own code."""
    if event != "compile" or arguments[0] is None or not str(arguments[1]).startswith("<"):
        return
    source = arguments[0]
    text = source.decode("utf-8", "replace") if isinstance(source, bytes) else source
    if not (isinstance(text, str) and _MONOMIAL.fullmatch(text)):
        raise _Refused


def _set_alarm(seconds: float) -> None:
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _alarm(number: int, frame: FrameType | None) -> None:
    raise _OutOfTime


def _limit_memory() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
