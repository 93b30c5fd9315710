"""exprl: prime a language model on problems it cannot yet solve, with hidden references as rubrics.

Names are imported when they are first used, so `import exprl` costs neither numpy nor torch.

    >>> import exprl
    >>> float(exprl.pass_at_k(n=4, c=1, k=2))
    0.5
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exprl.advantages import outcome_advantages, process_advantages
    from exprl.agents import Trial, best_of_n, score, score_batch
    from exprl.config import RunConfig
    from exprl.data import load_problems
    from exprl.errors import ExprlError
    from exprl.evaluate.advice import advise
    from exprl.evaluate.coverage import coverage, pass_at_k
    from exprl.judge import LLMJudge, MilestoneJudge
    from exprl.segment import split
    from exprl.types import Problem, Question, Reference, Rollout, Segment, Submission, Usage, Verdict

    __version__: str

__all__ = [
    "ExprlError",
    "LLMJudge",
    "MilestoneJudge",
    "Problem",
    "Question",
    "Reference",
    "Rollout",
    "RunConfig",
    "Segment",
    "Submission",
    "Trial",
    "Usage",
    "Verdict",
    "__version__",
    "advise",
    "best_of_n",
    "coverage",
    "load_problems",
    "outcome_advantages",
    "pass_at_k",
    "process_advantages",
    "score",
    "score_batch",
    "split",
]

_HOMES = {
    "exprl.advantages": ("outcome_advantages", "process_advantages"),
    "exprl.agents": ("Trial", "best_of_n", "score", "score_batch"),
    "exprl.config": ("RunConfig",),
    "exprl.data": ("load_problems",),
    "exprl.errors": ("ExprlError",),
    "exprl.evaluate.advice": ("advise",),
    "exprl.evaluate.coverage": ("coverage", "pass_at_k"),
    "exprl.judge": ("LLMJudge", "MilestoneJudge"),
    "exprl.segment": ("split",),
    "exprl.types": ("Problem", "Question", "Reference", "Rollout", "Segment", "Submission", "Usage", "Verdict"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        value: object = version("exprl")
    elif name in _HOME:
        from importlib import import_module

        value = getattr(import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value  # the next look-up finds it at once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
