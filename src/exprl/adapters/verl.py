"""verl's custom reward function: the outcome of a response against its hidden reference.

    reward.custom_reward_function.path=pkg://exprl.adapters.verl
    reward.custom_reward_function.name=compute_score
    +reward.custom_reward_function.reward_kwargs.problems=problems.jsonl
    +reward.custom_reward_function.reward_kwargs.judge.type=llm
    +reward.custom_reward_function.reward_kwargs.judge.model=Qwen/Qwen3-4B-Instruct-2507

A row of the training file holds the problem's *id* where verl keeps the ground truth (`reward_model.ground_truth`): the file
travels to every worker and into rollout dumps, so no reference belongs there. References are read from `problems`, on the
machine that computes rewards.

verl has no unscored reward. A response without a score is an error here (`JudgeError`) and never a 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from exprl.adapters.book import Book
from exprl.agents.outcome import outcome_batch
from exprl.agents.trial import Trial
from exprl.config import JudgeConfig
from exprl.errors import ConfigError, JudgeError
from exprl.judge import Judge, MilestoneJudge, build_judge

__all__ = ["compute_score"]


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, object] | None = None,
    *,
    problems: str,
    judge: Mapping[str, object] | None = None,
    store: str | None = None,
    verifier: Literal["strongest"] | None = "strongest",
    **_: object,
) -> dict[str, float]:
    """The outcome of one response.

    Args:
        data_source, extra_info: as verl gives them; not read.
        solution_str: the response, untrusted.
        ground_truth: the problem's id.
        problems: path of the problems with their references; see `exprl.load_problems`.
        judge: a configuration's `judge` table; `MilestoneJudge` by default.
        store: folder for the judge's verdicts and costs.
        verifier: None leaves everything to the judge, which is Stage I's dense reward.
    Returns:
        `score`, and `acc`: whether it is a full one.
    Raises:
        DataError: no problem of that id.
        ConfigError: a judge table that cannot be used.
        JudgeError: the response could not be scored; says why.
    """
    problem = Book.of(problems).find(ground_truth, "verl")
    trial = Trial.of(problem, solution_str)
    asked = _judge(json.dumps(_plain(judge), sort_keys=True), store)
    (word,) = await outcome_batch([trial], judge=asked, verifier=verifier)
    if word.score is None:
        raise JudgeError(
            f"problem {problem.id!r}: a response is unscored ({word.unscored}), and verl has no reward for that; mend "
            "the judge or take the problem out"
        )
    return {"score": word.score, "acc": float(word.score == 1.0)}


@lru_cache(maxsize=8)
def _judge(table: str, store: str | None) -> Judge:
    """One judge a process, so that its connections and its cache are shared."""
    if table == "null":
        return MilestoneJudge()
    adapter: TypeAdapter[JudgeConfig] = TypeAdapter(JudgeConfig)
    try:
        config = adapter.validate_json(table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(f"reward_kwargs.judge: {key}: {first['msg']}; write a configuration's judge table") from None
    return build_judge(config, store=None if store is None else Path(store))


def _plain(value: object) -> object:
    """Hydra's containers as plain ones."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
