"""Execution truth: is a trace's answer right? A model is asked only where nothing else can tell, and on request.

A `Verifier` takes (problem, trace) pairs and gives one `Verdict` each: 1.0 right, 0.0 wrong, or unscored with a
reason. It never raises for what a policy wrote and never waits longer than its time limit. The stored answer is
opened here and in `exprl.judge` only; no verdict, error or log line holds it.

    route     the strongest way for a problem: tests > choice > science, math > judge > blind
    routed    the verifier that sends each problem its way
    code/     programs against tests in sandbox/, a jail
    choice, science, math        and what they read answers with
    judged    a judge as the last resort

    >>> from exprl.config import VerifierConfig
    >>> from exprl.types import Problem, Reference
    >>> verifier = build_verifier(VerifierConfig())
    >>> [v.score for v in verifier.verify([(Problem("p", "3+4?", Reference(None, "7")), "It is \\\\boxed{7.0}.")])]
    [1.0]
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from exprl.config import JudgeConfig, LLMJudgeConfig, VerifierConfig, Way
from exprl.verify.answer import extract_answer
from exprl.verify.choice import ChoiceVerifier
from exprl.verify.math import MathVerifier
from exprl.verify.protocol import Verifier
from exprl.verify.reference import grade_reference
from exprl.verify.route import Route, bears, route
from exprl.verify.routed import RoutedVerifier
from exprl.verify.science import ScienceVerifier

__all__ = [
    "ChoiceVerifier",
    "MathVerifier",
    "Route",
    "RoutedVerifier",
    "ScienceVerifier",
    "Verifier",
    "bears",
    "build_verifier",
    "extract_answer",
    "grade_reference",
    "route",
]


def build_verifier(
    config: VerifierConfig, *, judge: JudgeConfig | None = None, store: Path | None = None, dense: bool = False
) -> Verifier:
    """The verifier that a configuration asks for. Starts no process: workers start when an answer needs one.

    Args:
        judge: the configuration's judge, for `config.judge`.
        store: where the judge keeps its verdicts; see `exprl.judge.build_judge`.
        dense: run every test of a program, for rewards by the share that pass.
    """
    build: dict[Way, Callable[[], Verifier]] = {
        "tests": lambda: _code(config, dense),
        "choice": ChoiceVerifier,
        "science": ScienceVerifier,
        "math": lambda: MathVerifier(timeout=config.timeout, workers=config.workers),
    }
    if config.judge and judge is not None:
        build["judge"] = lambda: _judged(judge, store)
        build["blind"] = lambda: _judged(_blind(judge), store)
    return RoutedVerifier(build, config.domains)


def _code(config: VerifierConfig, dense: bool) -> Verifier:
    from exprl.verify.code import CodeVerifier
    from exprl.verify.sandbox import Limits, open_sandbox

    limits = Limits(wall=config.code_timeout, cpu=config.code_timeout, memory=config.code_memory << 20)
    return CodeVerifier(open_sandbox(profile=config.sandbox, workers=config.workers), dense=dense, limits=limits)


def _judged(judge: JudgeConfig, store: Path | None) -> Verifier:
    from exprl.judge import build_judge
    from exprl.verify.judged import JudgeVerifier

    return JudgeVerifier(lambda: build_judge(judge, store=store))


def _blind(judge: JudgeConfig) -> JudgeConfig:
    return judge.model_copy(update={"reference": False}) if isinstance(judge, LLMJudgeConfig) else judge
