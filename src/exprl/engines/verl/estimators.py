"""Our credit under names that verl's configuration can say: `algorithm.adv_estimator = exprl_process`.

    exprl_outcome, exprl_process, exprl_sparse; exprl_self_distill (`exprl.engines.verl.distill`)

An estimator reads the marks of its batch (`exprl.engines.verl.marks`), takes verl's `uid` for the group, and gives back
advantages of shape (B, T), which it also gives as verl's returns: there is no critic. What the method is set to stands in
`algorithm.exprl`, as JSON of our own configuration, so that nothing is said twice; `unscored_limit` beside it.

verl's own numbers of rewards (`critic/score/mean` and the like) are sums over these marks: the reward under outcome and
sparse, the sum of the segments' scores under process. What counts is in our metrics.jsonl.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from exprl.config import MethodConfig, SelfDistillConfig, SftConfig
from exprl.engines.verl.credit import Sampling, refuse_unscored, token_credit
from exprl.engines.verl.distill import distill_loss, targets_of
from exprl.engines.verl.marks import read_marks
from exprl.engines.verl.registration import ESTIMATORS, LOSS
from exprl.errors import EngineError

__all__ = ["estimate", "register", "settings_of"]

_METHOD: TypeAdapter[MethodConfig] = TypeAdapter(MethodConfig)


def register() -> None:
    """Make estimators and loss known to verl in this process; a second time changes nothing."""
    from verl.trainer.ppo.core_algos import register_adv_est, register_policy_loss

    for name in ESTIMATORS:
        register_adv_est(name)(estimate)
    register_policy_loss(LOSS)(distill_loss)


def estimate(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    config: Any,
    index: np.ndarray[Any, np.dtype[Any]],
    **_: object,
) -> tuple[torch.Tensor, torch.Tensor]:
    """verl's signature of an advantage estimator.

    Args:
        token_level_rewards: (B, T) marks.
        response_mask: (B, T) 1 on sampled tokens; 0 throughout on a rollout that is out of the loss.
        config: verl's `algorithm`, with our `exprl` in it.
        index: (B,) name of each row's prompt.
    Returns:
        (B, T) advantages, twice; under self-distillation the teacher's log-probabilities, which our loss takes.
    Raises:
        UnscoredLimitError: too few rollouts could be scored.
    """
    method, limit = settings_of(config)
    if isinstance(method, SelfDistillConfig):
        targets = targets_of(token_level_rewards, response_mask, limit)
        return targets, targets
    marks = read_marks(token_level_rewards.detach().cpu().numpy())
    refuse_unscored(marks, limit)
    group_R = np.unique(np.asarray([str(name) for name in index]), return_inverse=True)[1]
    credit_RT = torch.as_tensor(token_credit(marks, group_R, method), dtype=torch.float32)
    advantages = credit_RT.to(response_mask.device) * response_mask
    return advantages, advantages


def settings_of(config: Any) -> tuple[Sampling, float]:
    """The method and the limit that verl's `algorithm` carries for us.

    Raises:
        EngineError: there is no `exprl` in it, so verl was not started by exprl.
    """
    ours: Mapping[str, object] | None = config.get("exprl") if config is not None else None
    if not ours:
        raise EngineError(
            "algorithm.exprl is missing in verl's configuration; start verl with `exprl prime CONFIG --engine verl`"
        )
    method = _METHOD.validate_python(json.loads(str(ours["method"])))
    if isinstance(method, SftConfig):
        raise EngineError("algorithm.exprl.method is 'sft', which samples nothing for an estimator to read")
    return method, float(str(ours["unscored_limit"]))
