"""The embedded default: tiny problems with worked references and a tiny policy, no downloads.

    world:chain              the policy, primed on first use and cached
    world:chain/easy         problems of 1-3 steps, which it solves
    world:chain/hard_train   problems of 7 or 8 steps, which it does not
    world:chain/hard_held_out  more of the same kind, for evaluation
    world:mixed              the same with small code tasks, every other problem: tables of 4 or 5 rows, each with a test

A world is named wherever a model or a source of problems is: `policy.model = "world:chain"`,
`data.train.path = "world:chain/hard_train"`; `limit` and `offset` cut the 240 problems of a set.
"""

from __future__ import annotations

from pathlib import Path

from exprl.errors import ConfigError, DataError
from exprl.types import Problem
from exprl.worlds.chain import EASY_STEPS, HARD_STEPS, problems
from exprl.worlds.policy import World
from exprl.worlds.table import HARD_ROWS
from exprl.worlds.table import problems as tables

__all__ = ["SETS", "is_world", "load_problems", "world_policy", "world_seed"]

SETS = {
    "easy": (1, EASY_STEPS),
    "hard_train": (2, HARD_STEPS),
    "hard_held_out": (3, HARD_STEPS),
}
SIZE = 240
WORLDS: tuple[World, ...] = ("chain", "mixed")
STEPS: dict[World, int] = {"chain": 1500, "mixed": 2500}
"""Steps of priming: the mixed world has two forms to learn."""


def is_world(name: str) -> bool:
    """Whether a model's or a source's name is an embedded world's."""
    return name.startswith("world:")


def load_problems(path: str) -> list[Problem]:
    """The problems of a world's set, always the same.

    Raises:
        DataError: no such world or set.
    """
    world, _, name = path.removeprefix("world:").partition("/")
    if world not in WORLDS or name not in SETS:
        known = ", ".join(f"world:{one}/{set_}" for one in WORLDS for set_ in SETS)
        raise DataError(f"{path}: no such set; there are {known}")
    seed, steps = SETS[name]
    if world == "chain":
        return problems(name, SIZE, seed, steps)
    rows = steps if name == "easy" else HARD_ROWS
    pairs = zip(problems(name, SIZE // 2, seed, steps), tables(name, SIZE // 2, seed, rows), strict=True)
    return [problem for pair in pairs for problem in pair]


def world_policy(name: str) -> Path:
    """The checkpoint of a world's primed policy; `world:chain@3` is the one primed with seed 3.

    Raises:
        ConfigError: no such world.
    """
    from exprl.worlds.policy import Priming, cached_policy

    world, seed = _named(name)
    return cached_policy(Priming(world=world, seed=seed, steps=STEPS[world]))


def world_seed(name: str) -> int:
    """The seed that a world's policy is primed with; primes nothing.

    Raises:
        ConfigError: no such world.
    """
    return _named(name)[1]


def _named(name: str) -> tuple[World, int]:
    written, _, seed = name.removeprefix("world:").partition("@")
    world = next((one for one in WORLDS if one == written), None)
    if world is None or (seed and not (seed.isascii() and seed.isdecimal())):
        known = " and ".join(f"world:{one}" for one in WORLDS)
        raise ConfigError(f"{name}: no such world; there are {known}, or either with @SEED")
    return world, int(seed or 0)
