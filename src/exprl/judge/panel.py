"""Several judges as one: the score is the weighted mean of those that gave one; weight 0 only watches.

    score = sum_m w_m s_m / sum_m w_m    over the members m of weight > 0 with a score

All members judge a batch at once. A voter without a score is left out of both sums and named in the verdict's `note`;
only when no voter has one is the verdict unscored, with every voter's reason. What a judge of weight 0 says stands in
`Verdict.panel`, for `exprl.monitor`, and touches nothing else: neither the score nor whether there is one, not even
when it breaks. It can make the batch wait; `batch_timeout` bounds that.

`name` and `template_hash` are made of the voters alone, since scores depend on nothing else: a judge card still holds
when somebody comes to watch.

    >>> panel = PanelJudge([Member("big", 2.0, big), Member("small", 1.0, small), Member("watch", 0.0, other)])
    ...                                                                                            # doctest: +SKIP
    >>> (await panel.score([submission]))[0][0].panel                                              # doctest: +SKIP
    (('watch', 0.25),)
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

from exprl.config import PanelJudgeConfig
from exprl.errors import JudgeError
from exprl.judge.protocol import Judge
from exprl.types import Submission, Usage, Verdict

__all__ = ["Member", "PanelJudge"]

_Rows = list[tuple[Verdict, ...]]


class Member(NamedTuple):
    """A judge on a panel; `name` is what the configuration calls it."""

    name: str
    weight: float
    judge: Judge


class PanelJudge:
    """The weighted mean of several judges; keeps the `Judge` protocol."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = tuple(members)
        self._voters = tuple(member for member in members if member.weight > 0)
        if not self._voters:
            raise JudgeError("a panel of judges that all have weight 0 scores nothing; give at least one a weight")

    @classmethod
    def of(cls, config: PanelJudgeConfig, *, store: Path | None = None, secret: bytes | None = None) -> Self:
        """The panel that a configuration asks for; see `exprl.judge.build_judge`.

        Raises:
            JudgeError: a member that cannot be built.
        """
        from exprl.judge import build_judge  # it imports this module

        return cls(
            [
                Member(name, member.weight, build_judge(member.judge, store=store, secret=secret))
                for name, member in config.members.items()
            ]
        )

    @property
    def name(self) -> str:
        """The voters' names with their weights."""
        return f"panel({' + '.join(f'{voter.weight:g} {voter.judge.name}' for voter in self._voters)})"

    @property
    def template_hash(self) -> str:
        """Changes with the voters, their weights, and their prompts or rules."""
        return _digest([part for v in self._voters for part in (f"{v.weight!r}", v.judge.name, v.judge.template_hash)])

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        """Judge a batch; see `exprl.judge.Judge.score`."""
        said = await asyncio.gather(
            *(member.judge.score(submissions) for member in self._members), return_exceptions=True
        )
        heard = [_heard(member, rows, submissions) for member, rows in zip(self._members, said, strict=True)]
        return [
            tuple(self._verdict(cut) for cut in zip(*rows, strict=True))  # a row a member, a verdict a cut
            for rows in zip(*heard, strict=True)
        ]

    async def aclose(self) -> None:
        """Close every member, also when one of them fails at it."""
        ends = await asyncio.gather(*(member.judge.aclose() for member in self._members), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end

    def _verdict(self, verdicts: Sequence[Verdict]) -> Verdict:
        said = list(zip(self._members, verdicts, strict=True))
        voted = [(member, verdict) for member, verdict in said if member.weight > 0]
        scored = [(member, verdict) for member, verdict in voted if verdict.score is not None]
        return Verdict(
            score=_mean([(member.weight, verdict.score) for member, verdict in scored if verdict.score is not None]),
            unscored=None if scored else "; ".join(f"{member.name}: {verdict.unscored}" for member, verdict in voted),
            likert=scored[0][1].likert if len(scored) == 1 else None,
            raw="\n\n".join(_quoted(member, verdict) for member, verdict in said),
            judge=self.name,
            prompt_hash=_digest([verdict.prompt_hash for _, verdict in voted]),
            usage=sum((verdict.usage for verdict in verdicts), Usage()),
            note=_note(voted) if scored else "",
            panel=tuple((member.name, verdict.score) for member, verdict in said if member.weight == 0),
        )


def _heard(member: Member, rows: _Rows | BaseException, submissions: Sequence[Submission]) -> _Rows:
    if not isinstance(rows, BaseException):
        return rows
    if member.weight > 0 or not isinstance(rows, Exception):
        raise rows
    lost = Verdict(None, unscored=f"failed with {type(rows).__name__}", judge=member.judge.name)
    return [(lost,) * len(submission.cuts) for submission in submissions]


def _mean(scores: Sequence[tuple[float, float]]) -> float | None:
    if not scores:
        return None
    mean = math.fsum(weight * score for weight, score in scores) / math.fsum(weight for weight, _ in scores)
    return min(1.0, max(0.0, round(mean, 12)))  # equal opinions stay equal: a group that agrees has no signal


def _note(voted: Sequence[tuple[Member, Verdict]]) -> str:
    missing = [member.name for member, verdict in voted if verdict.score is None]
    notes = [f"{member.name}: {verdict.note}" for member, verdict in voted if verdict.note]
    return "; ".join([*([f"without {', '.join(missing)}"] if missing else []), *notes])


def _quoted(member: Member, verdict: Verdict) -> str:
    word = f"unscored: {verdict.unscored}" if verdict.score is None else f"{verdict.score:g}"
    return f"[{member.name}, weight {member.weight:g}: {word}]\n{verdict.raw}".rstrip()


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()
