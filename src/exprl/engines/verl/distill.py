"""Self-distillation under verl: the teacher's log-probabilities as token-level rewards, and the loss that reads them.

    agent loop     asks the teacher for log pi_T of every sampled token, and hands it back as the rollout's token-level rewards
    estimator      exprl_self_distill gives them on in place of advantages
    policy loss    exprl_self_distill   d = log pi_S - log pi_T,   loss = token mean of d * pi_theta / pi_S

log pi_S are verl's own `old_log_probs`: the trainer's weights, before the update, at the sampling temperature. An estimator
is not shown them, hence a loss. On-policy the ratio is 1 and the gradient that of METHOD 4, token mean of stop_grad(d) * log
pi_theta; nothing is clipped (`exprl.baselines.self_distill`).

A log-probability is at most 0. A row with a positive number on its last token is one that the teacher did not answer for.

    >>> write_targets(np.array([-1.5, -0.25]), 2).tolist(), write_targets(None, 2).tolist()
    ([-1.5, -0.25], [0.0, 1.0])
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exprl.engines.verl.credit import refuse_share
from exprl.methods.batch import Floats

__all__ = ["distill_loss", "targets_of", "untold", "write_targets"]

_UNTOLD = 1.0


def write_targets(log_probs_T: Floats | None, tokens: int) -> NDArray[np.float32]:
    """(T,) token-level rewards of one rollout; None: the teacher did not answer."""
    row = np.zeros(max(1, tokens), dtype=np.float32)  # verl's rows have a token at least
    if log_probs_T is None:
        row[-1] = _UNTOLD
    else:
        row[:tokens] = np.minimum(log_probs_T, 0.0)
    return row


def untold(rewards_RT: ArrayLike) -> NDArray[np.bool_]:
    """(R,) rows that the teacher did not answer for."""
    return np.asarray((np.asarray(rewards_RT) > 0).any(axis=1))


def targets_of(rewards_RT: Any, mask_RT: Any, limit: float) -> Any:
    """(R, T) tensor of the teacher's log-probabilities, 0 where a token does not count.

    Raises:
        UnscoredLimitError: the share of rows without them is over the limit.
    """
    refuse_share(untold(rewards_RT.detach().cpu().numpy()), limit)
    return rewards_RT.to(mask_RT.device) * mask_RT


def distill_loss(
    old_log_prob: Any,
    log_prob: Any,
    advantages: Any,
    response_mask: Any,
    loss_agg_mode: str = "token-mean",
    config: Any = None,
    rollout_is_weights: Any = None,
) -> tuple[Any, dict[str, float]]:
    """verl's signature of a policy loss; tensors are (R, T), and `advantages` are the teacher's log-probabilities."""
    import torch
    from verl.trainer.ppo.core_algos import agg_loss

    mask, nothing = response_mask.bool(), torch.zeros_like(log_prob)
    # Where a token does not count there may be anything, and nothing of it may enter.
    gap = torch.where(mask, old_log_prob - advantages, nothing).detach()
    ratio = torch.exp(torch.where(mask, log_prob - old_log_prob.detach(), nothing))
    loss = agg_loss(gap * ratio, mask, loss_agg_mode, **(config.global_batch_info if config is not None else {}))
    count = max(1, int(mask.sum()))
    return loss, {"actor/teacher_gap": float(gap.sum()) / count}
