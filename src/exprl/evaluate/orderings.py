"""The paper's orderings of methods, and whether a run bears them out.

A claim says that one method is above another in one measure after one stage. Methods are recognised by their settings
(`role`), never by an arm's name: a Process arm with DeltaNorm on prefixes is the paper's Process, whatever it is called; with
outcome credit added it is *combined*, which the paper does not have, and is listed apart.

A claim *holds* if the interval of the paired difference lies above 0, *does not hold* if it lies below, and *cannot be told*
if it includes 0: neither side of a coin that lies on its edge. A claim of which the run lacks an arm is "not run".

    >>> role({"type": "process", "credit": "end_norm", "scope": "segment", "outcome_weight": 0.0})
    'process, EndNorm, segments'
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from exprl.evaluate.intervals import Interval

__all__ = ["CLAIMS", "Claim", "Verdict", "claimed", "role", "verdict"]

Stage = Literal["stage1", "stage2"]
Verdict = Literal["holds", "does not hold", "cannot be told", "not run"]

PROCESS = "process, DeltaNorm, prefixes"
_NORMS = {"delta_norm": "DeltaNorm", "end_norm": "EndNorm", "group_norm": "GroupNorm"}
_SCOPES = {"prefix": "prefixes", "segment": "segments"}


@dataclass(frozen=True, slots=True)
class Claim:
    """`upper` is above `lower` after `stage`: in coverage (pass@16, or the largest k of fewer samples) or in pass@1.

    `paper` says that the paper claims it; otherwise it is asked because the method is this project's own.
    """

    upper: str
    lower: str
    stage: Stage
    measure: Literal["coverage", "pass@1"]
    paper: bool = True


CLAIMS = (
    Claim("outcome", "sparse", "stage1", "coverage"),
    Claim(PROCESS, "sparse", "stage1", "coverage"),
    Claim("outcome", "sparse", "stage2", "pass@1"),
    Claim(PROCESS, "sparse", "stage2", "pass@1"),
    # The paper's default over what it was compared with; it gives no intervals.
    Claim(PROCESS, "process, EndNorm, prefixes", "stage2", "pass@1"),
    Claim(PROCESS, "process, GroupNorm, prefixes", "stage2", "pass@1"),
    Claim(PROCESS, "process, DeltaNorm, segments", "stage2", "pass@1"),
    Claim("base", "sft", "stage1", "pass@1"),
    Claim("base", "sft", "stage2", "pass@1"),
    Claim("self-distillation", "base", "stage1", "pass@1"),
    Claim("outcome", "self-distillation", "stage1", "pass@1"),
    Claim(PROCESS, "self-distillation", "stage1", "pass@1"),
    Claim("combined", "sparse", "stage1", "coverage", paper=False),
    Claim("combined", "sparse", "stage2", "pass@1", paper=False),
    Claim("combined", "outcome", "stage2", "pass@1", paper=False),
    Claim("combined", PROCESS, "stage2", "pass@1", paper=False),
)


def role(method: Mapping[str, object]) -> str:
    """What a method is, from its settings: `sparse`, `outcome`, `process, <norm>, <scope>`, `combined`, ..."""
    kind = str(method.get("type"))
    if kind == "process":
        if method.get("outcome_weight"):
            return "combined"
        norm, scope = str(method.get("credit", "delta_norm")), str(method.get("scope", "prefix"))
        return f"process, {_NORMS.get(norm, norm)}, {_SCOPES.get(scope, scope)}"
    return {"self_distill": "self-distillation"}.get(kind, kind)


def claimed(roles: Mapping[str, str]) -> Iterator[tuple[Claim, str | None, str | None]]:
    """Each claim with every pair of arms that it is about; (claim, None, None) where the run lacks one.

    Args:
        roles: by arm, its role; `base` among them.
    """
    for claim in CLAIMS:
        uppers = [arm for arm, found in roles.items() if found == claim.upper]
        lowers = [arm for arm, found in roles.items() if found == claim.lower]
        if uppers and lowers:
            yield from ((claim, upper, lower) for upper in uppers for lower in lowers)
        elif claim.paper:
            yield claim, None, None


def verdict(difference: Interval | None) -> Verdict:
    """What the paired difference upper - lower says."""
    if difference is None:
        return "not run"
    if difference.low > 0:
        return "holds"
    return "does not hold" if difference.high < 0 else "cannot be told"
