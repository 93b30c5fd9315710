"""The nouns of the method, as frozen values without logic.

The way of the data: a `Problem` holds a `Question` (all that a policy may see) and a `Reference` (what only the judge and
the verifier may open). A policy answers a `Question` with a `Rollout`; a `Submission` brings it to a judge, cut into
prefixes; every cut comes back as one `Verdict`.

What this module refuses: to show a reference. `Reference` redacts itself in `repr`, `str`, f-strings, JSON and pickle, and
is the same object under `copy`. Its one door, `Reference.reveal`, is called in `exprl.judge` and `exprl.verify` only; a
test holds the tree to that.

    >>> Reference(solution="3 + 4 = 7", answer="7")
    Reference(<redacted>)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, NoReturn

__all__ = [
    "Domain",
    "Privileged",
    "Problem",
    "Question",
    "Reference",
    "Rollout",
    "Scope",
    "Segment",
    "Submission",
    "Usage",
    "Verdict",
]

Domain = Literal["math", "science", "code", "general"]
Scope = Literal["outcome", "prefix", "segment"]


class Privileged(NamedTuple):
    """A reference, opened: for the judge's and the verifier's eyes. Any part may be missing.

    `tests` is JSON text in the one format of `exprl.verify.code.tests`.
    """

    solution: str | None
    answer: str | None
    tests: str | None = None

    def __repr__(self) -> str:
        return "Privileged(<redacted>)"  # it may stand in a frame whose variables a traceback shows


class Reference:
    """A hidden reference: the worked solution, the stored final answer and the tests, all of them privileged.

    `str`, `repr`, `format` and `pickle` give a redacted stand-in; `json.dumps` and attribute access by name fail without
    showing anything. `digest` identifies the content without revealing it.
    """

    __slots__ = ("__answer", "__digest", "__solution", "__tests")

    def __init__(self, solution: str | None, answer: str | None, tests: str | None = None) -> None:
        set_ = object.__setattr__
        set_(self, "_Reference__solution", solution)
        set_(self, "_Reference__answer", answer)
        set_(self, "_Reference__tests", tests)
        text = f"{len(solution) if solution is not None else '-'}:{solution}\0{answer}"
        if tests is not None:  # a reference without tests keeps the digest under which its verdicts were stored
            text = f"tests:{len(tests)}:{tests}\0{text}"
        set_(self, "_Reference__digest", hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())

    def reveal(self) -> Privileged:
        """Open the reference. Called by `exprl.judge`, `exprl.verify` and `exprl.baselines`, and by nothing else."""
        return Privileged(self.__solution, self.__answer, self.__tests)  # type: ignore[attr-defined]

    @property
    def digest(self) -> str:
        """SHA-256 of the content, for cache keys and run directories."""
        return self.__digest  # type: ignore[attr-defined, no-any-return]

    @property
    def has_solution(self) -> bool:
        """Whether there is a worked solution, which Stage I needs."""
        return self.__solution is not None  # type: ignore[attr-defined]

    @property
    def has_answer(self) -> bool:
        """Whether there is a stored final answer, which sparse rewards need."""
        return self.__answer is not None  # type: ignore[attr-defined]

    @property
    def has_tests(self) -> bool:
        """Whether there are tests, which rewards from execution need."""
        return self.__tests is not None  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return "Reference(<redacted>)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Reference is frozen")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __copy__(self) -> Reference:
        return self

    def __deepcopy__(self, memo: object) -> Reference:
        return self

    def __reduce__(self) -> tuple[type[Reference], tuple[str, None]]:
        # A pickle may be written to disk or sent to a policy's process: it carries the redacted stand-in only.
        return (Reference, ("<redacted>", None))

    def __getstate__(self) -> None:
        """Nothing: the default would hand out the slots."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a policy may see of a problem. It has no field in which a reference could travel."""

    id: str
    text: str
    domain: Domain = "math"


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with its hidden reference. `meta` holds harmless columns (level, subject, steps)."""

    id: str
    text: str
    reference: Reference
    domain: Domain = "math"
    meta: dict[str, str | int | float] = field(default_factory=dict, compare=False)

    @property
    def question(self) -> Question:
        """The policy's view."""
        return Question(self.id, self.text, self.domain)


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sampled answer to a question.

    `truncated` says that it ran into the token budget. `tokens` is its length in tokens; `ids` are the sampled token ids
    where the sampler is local (they are what advantages are spread over), else empty.
    """

    id: str
    question_id: str
    text: str
    tokens: int
    truncated: bool
    ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a trace, as the half-open character span [start, end)."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Submission:
    """One rollout on its way to a judge.

    `cuts` are the character ends of what is to be scored, ascending, the last one `len(text)`; with scope "prefix" item
    t is `text[:cuts[t]]`, with scope "segment" it is `text[cuts[t-1]:cuts[t]]`, with scope "outcome" there is one cut.
    """

    problem: Problem
    rollout_id: str
    text: str
    cuts: tuple[int, ...]
    scope: Scope


@dataclass(frozen=True, slots=True)
class Usage:
    """What a verdict cost."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's or verifier's word on one cut: scored, or unscored with a reason. Never both, never neither.

    `score` is in [0, 1] (Likert n gives (n - 1) / 4) or None; `unscored` says why it is None. `raw` is what the judge
    wrote; it may quote the reference and stays on the evaluator's side. `prompt_hash` identifies the rendered prompt.
    `note` says what a reader must know of a score (a trace that lost its middle); it never holds reference text.
    `panel` holds what judges that only monitor gave the same cut, by name; it is no part of `score`. `share` is the share
    of a problem's tests that a program passed, where a verifier was asked for it: `score` is 1 only if all did.
    """

    score: float | None
    unscored: str | None = None
    likert: int | None = None
    raw: str = ""
    judge: str = ""
    prompt_hash: str = ""
    usage: Usage = Usage()
    note: str = ""
    panel: tuple[tuple[str, float | None], ...] = ()
    share: float | None = None

    def __post_init__(self) -> None:
        if (self.score is None) == (self.unscored is None):
            raise ValueError("a verdict is either scored or unscored with a reason")
        if self.score is not None and not 0.0 <= self.score <= 1.0:
            raise ValueError(f"a score lies in [0, 1], got {self.score}")
        if self.share is not None and not 0.0 <= self.share <= 1.0:
            raise ValueError(f"a share of tests lies in [0, 1], got {self.share}")
