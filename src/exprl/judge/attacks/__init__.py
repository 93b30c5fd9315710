"""Attacks on a judge: a suite over any data set, and how often it fools a judge that is given the right reference, none,
or another problem's.

An attack derives nothing, so any good grade for it is a mistake. It succeeds at a score of 0.75 or more (what counts as
"correct" everywhere); an attack on growth succeeds where text appended to an honest wrong beginning raises its prefix
score by 0.25 or more.

    suite     the cases: one file a class, deterministic from a seed
    problems  which problems are attacked on
    run       judge them, resumable, one file of verdicts
    result    success rates with intervals, as a table, in words, and for a judge's card

    >>> suite = build_suite(problems, seed=0)  # doctest: +SKIP
    >>> result = await attack(suite, {"correct": judge}, out=folder / "verdicts.jsonl")  # doctest: +SKIP
"""

from exprl.judge.attacks.case import AttackCase
from exprl.judge.attacks.problems import chosen, problems_of
from exprl.judge.attacks.result import AttackResult, Rate
from exprl.judge.attacks.run import attack, waiting
from exprl.judge.attacks.suite import CLASSES, GROWTH, Suite, build_suite
from exprl.judge.calibrate.conditions import CONDITIONS, Condition

__all__ = [
    "CLASSES",
    "CONDITIONS",
    "GROWTH",
    "AttackCase",
    "AttackResult",
    "Condition",
    "Rate",
    "Suite",
    "attack",
    "build_suite",
    "chosen",
    "problems_of",
    "waiting",
]
