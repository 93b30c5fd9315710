"""A run's demand on its judge: a card that shows it is fit, made before anything is spent.

    [judge_card]
    path = "runs/x-calibration/judge-card.json"
    max_misplacement = 0.3

The card must be of this judge (name and `template_hash`), must cover every domain of the training problems, and the upper
end of its misplacement interval with the correct reference must not be above the limit. The upper end, so that few labelled
answers do not pass for good ones.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from pathlib import Path

from exprl.config import JudgeCardConfig, RunConfig
from exprl.data import load_problems
from exprl.errors import JudgeError
from exprl.judge import build_judge
from exprl.judge.calibrate.card import JudgeCard, read_card

__all__ = ["check_card"]


def check_card(config: RunConfig) -> None:
    """Refuse a judge without a fitting card, where one is demanded; without `judge_card` nothing is checked.

    Raises:
        JudgeError: no card, or one that does not fit; says each fault with both values, and what makes a fitting one.
        DataError: the training problems cannot be read.
    """
    demand = config.judge_card
    if demand is None:
        return
    card = read_card(Path(demand.path))
    if faults := list(_faults(config, demand, card)):
        folder = shlex.quote(str(Path(demand.path).parent))
        raise JudgeError(
            f"{demand.path} does not fit this run: {'; '.join(faults)}. Make one that does with `exprl calibrate CONFIG "
            f"--data FILE --out {folder}`, or leave out judge_card"
        )


def _faults(config: RunConfig, demand: JudgeCardConfig, card: JudgeCard) -> Iterator[str]:
    judge = build_judge(config.judge)
    if card.judge != judge.name:
        yield f"it is of the judge {card.judge}, and the run's is {judge.name}"
    if card.template_hash != judge.template_hash:
        yield f"its prompts or rules are {card.template_hash[:12]}, and the judge's are now {judge.template_hash[:12]}"
    domains = sorted({problem.domain for problem in load_problems(config.data.train)} - set(card.domains))
    if domains:
        yield f"it covers {', '.join(card.domains)}, and there are training problems in {', '.join(domains)}"
    yield from _misplacement(demand, card)


def _misplacement(demand: JudgeCardConfig, card: JudgeCard) -> Iterator[str]:
    correct = card.conditions.get("correct")
    high = math.nan if correct is None else correct.rates.misplacement.high
    if math.isnan(high):
        yield "it holds no misplacement with the correct reference"
    elif high > demand.max_misplacement:
        yield f"its misplacement may be as high as {high:.3f}, and judge_card.max_misplacement is {demand.max_misplacement:g}"
