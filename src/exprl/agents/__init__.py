"""For who builds agents and trains nothing: the judge outside training.

    scoring   a trace (text, chat, tool calls) against a hidden reference: outcome, prefix scores, credit a step
    trial     what is given to be scored, and what it is once cut
    outcome   whose word the outcome is: the environment's, a verifier's, the judge's
    result    what comes back: scalars for everybody, the judge's words for the evaluator
    search    best of n, backtracking, early stopping with hidden references, for evaluation
    view      what an actor sees in a search, checked for reference text before it goes out

Evidence of the environment is in `exprl.verify.evidence`, what attempts say of an actor in `exprl.evaluate.advice`.
"""

from exprl.agents.outcome import outcome_batch
from exprl.agents.result import Reasons, StepScore, TraceScore
from exprl.agents.scoring import score, score_batch
from exprl.agents.search import EarlyStop, Search, backtrack, best_of_n
from exprl.agents.trial import Trial
from exprl.agents.view import Actor, Move, Signal, View

__all__ = [
    "Actor",
    "EarlyStop",
    "Move",
    "Reasons",
    "Search",
    "Signal",
    "StepScore",
    "TraceScore",
    "Trial",
    "View",
    "backtrack",
    "best_of_n",
    "outcome_batch",
    "score",
    "score_batch",
]
