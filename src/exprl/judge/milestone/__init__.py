"""The judge without a model: reads intermediate results off the reference and finds them derived in a text.

`arithmetic` evaluates, `claims` finds the equations of a text, `milestones` reads a reference, `judge` scores.
"""

from exprl.judge.milestone.judge import MilestoneJudge

__all__ = ["MilestoneJudge"]
