"""The verifier of a benchmark: the one place that turns its name in the registry into the thing itself.

A benchmark of choices is graded as choices, whatever its rows look like; in every other each problem takes its own way
(`exprl.verify.route`), so that in science an expression is compared as one and prose is left unscored for a judge.

What this module refuses: `code` on a machine that lacks a layer of isolation (`SandboxError` says which and what to do).

    >>> open_verifier("choice").name
    'choice'
"""

from __future__ import annotations

from exprl.config import VerifierConfig
from exprl.evaluate.benchmarks.registry import VerifierName
from exprl.verify import ChoiceVerifier, Verifier, build_verifier

__all__ = ["open_verifier"]


def open_verifier(name: VerifierName, workers: int = 1) -> Verifier:
    """The verifier of that name, to be closed after use.

    Args:
        workers: comparisons or programs at the same time.
    Raises:
        SandboxError: `code`, and programs cannot be run safely here.
    """
    if name == "code":
        from exprl.verify.sandbox import open_sandbox

        open_sandbox().close()
    if name == "choice":
        return ChoiceVerifier()
    return build_verifier(VerifierConfig(workers=workers))
