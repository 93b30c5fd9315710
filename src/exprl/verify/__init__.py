"""Execution truth: does a trace's final answer equal the stored one? No model is asked.

A `Verifier` takes (problem, trace) pairs and gives one `Verdict` each: 1.0 right, 0.0 wrong, or unscored with a
reason. It never raises for what a policy wrote and never waits longer than its time limit. The stored answer is
opened here and in `exprl.judge` only; no verdict, error or log line holds it.

    >>> from exprl.config import VerifierConfig
    >>> from exprl.types import Problem, Reference
    >>> verifier = build_verifier(VerifierConfig())
    >>> [v.score for v in verifier.verify([(Problem("p", "3+4?", Reference(None, "7")), "It is \\\\boxed{7.0}.")])]
    [1.0]
"""

from __future__ import annotations

from exprl.config import VerifierConfig
from exprl.verify.answer import extract_answer
from exprl.verify.math import MathVerifier
from exprl.verify.protocol import Verifier
from exprl.verify.reference import grade_reference

__all__ = ["MathVerifier", "Verifier", "build_verifier", "extract_answer", "grade_reference"]


def build_verifier(config: VerifierConfig) -> Verifier:
    """The verifier that a configuration asks for. Starts no process: workers start when an answer needs one."""
    return MathVerifier(timeout=config.timeout, workers=config.workers)
