"""The same judge in other harnesses: each module needs its own package, and importing this one needs none.

    trl           an async reward function for TRL's trainers            pip install 'exprl[train]'
    verl          `compute_score` for verl's custom_reward_function
    inspect       a scorer for Inspect; logs that its viewer opens       pip install 'exprl[inspect]'
    verifiers     a reward and a judge for verifiers' tasks              pip install 'exprl[verifiers]'
    graders       OpenAI's grader JSON, in and out                       nothing else
    book          the problems by id: how all of them find a reference

A harness writes its data set into logs, traces and warnings (TRL prints a row's columns, Inspect logs targets, verifiers saves
task data). So its rows carry a problem's *id* and no reference; the adapter looks the reference up, in the evaluator's process.
"""

from exprl.adapters.book import Book

__all__ = ["Book"]
