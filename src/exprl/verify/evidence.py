"""What the environment shows of an attempt: it outranks every judge.

    tests    how many of the hidden tests passed           strongest
    state    the state that is left is the wanted one
    exit     a process ended with the wanted code
    log      a log holds (or lacks) a line                 weakest

`decide` asks the strongest kind that is there, and no other: all of that kind must hold for 1.0, one that does not gives
0.0, and one that could not be told leaves the attempt unscored. It never falls back to a weaker kind, or to a judge,
because a stronger one failed: an actor could then break the tests to be read by a judge. Weaker evidence that disagrees
is named in the verdict's note.

What is compared is compared at once: the record holds whether it held, and neither the state nor the log nor what was
wanted. No tests at all is unscored, never a pass.

    >>> decide([exit_code(0), passed_tests(3, 4)])  # doctest: +ELLIPSIS
    Verdict(score=0.0, unscored=None, ... note='exit would say otherwise', panel=(), share=0.75)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from exprl.types import Verdict

__all__ = ["Evidence", "EvidenceKind", "decide", "exit_code", "log_shows", "passed_tests", "state_is"]

EvidenceKind = Literal["tests", "state", "exit", "log"]
_RANKS: tuple[EvidenceKind, ...] = get_args(EvidenceKind)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One piece: whether it held; None where nobody could tell, and then `why`. `share` is that of tests that passed."""

    kind: EvidenceKind
    held: bool | None
    why: str = ""
    share: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in _RANKS:
            raise ValueError(f"evidence is one of {', '.join(_RANKS)}, got {self.kind!r}")
        if self.held is None and not self.why:
            raise ValueError("evidence that could not be told says why")


def passed_tests(passed: int, total: int) -> Evidence:
    """Hidden tests that were run: all must pass."""
    if not 0 <= passed <= total:
        raise ValueError(f"{passed} of {total} tests cannot have passed")
    if total == 0:
        return Evidence("tests", None, "no tests were run")
    return Evidence("tests", passed == total, share=passed / total)


def state_is(actual: object, wanted: object) -> Evidence:
    """The state left behind (plain JSON values) against the hidden wanted one. `True` is not 1, and 1 is 1.0."""
    return Evidence("state", _equal(actual, wanted))


def exit_code(code: int | None, wanted: int = 0) -> Evidence:
    """How a process ended; None where it was killed or never ran."""
    return Evidence("exit", None, "no exit code") if code is None else Evidence("exit", code == wanted)


def log_shows(log: str | None, line: str, *, absent: bool = False) -> Evidence:
    """Whether a log holds a text as it stands (`absent`: whether it lacks it). None: there is no log."""
    if not line:
        raise ValueError("every log holds the empty text; say what to look for")
    return Evidence("log", None, "no log") if log is None else Evidence("log", (line in log) != absent)


def decide(evidence: Sequence[Evidence]) -> Verdict | None:
    """The word of the strongest kind that is there; None where there is no evidence."""
    if not evidence:
        return None
    kind = min((piece.kind for piece in evidence), key=_RANKS.index)
    strongest = [piece for piece in evidence if piece.kind == kind]
    unknown = next((piece.why for piece in strongest if piece.held is None), None)
    if unknown is not None and all(piece.held is not False for piece in strongest):
        return Verdict(None, unscored=f"{kind}: {unknown}", judge=kind)
    held = all(piece.held for piece in strongest)
    against = {piece.kind for piece in evidence if piece.kind != kind and piece.held is (not held)}
    note = f"{', '.join(sorted(against))} would say otherwise" if against else ""
    shares = [piece.share for piece in strongest if piece.share is not None]
    return Verdict(float(held), judge=kind, note=note, share=min(shares) if shares else None)


def _equal(left: object, right: object) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(_equal, left, right))
    return left == right
