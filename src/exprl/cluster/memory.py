"""Bytes a GPU holds: while it trains, while it samples, and where it judges.

train     s N / g  +  m d (2 L + a)  +  l V (2 + 4)  +  2 N / g where a frozen copy gives log-probabilities
          s bytes a trained parameter, g GPUs that share it, m tokens at once, d hidden size, L layers, a bytes of
          activations in the layer at work (the others keep their input, and are computed again), l tokens whose
          logits over V words are held at once, in bf16 and fp32
sample    2 N / t of weights, and the KV cache in what else the sampler takes; training state is on the host meanwhile
judge     the same for the judge's model
"""

from __future__ import annotations

from dataclasses import dataclass

from exprl.cluster.assumptions import Assumptions
from exprl.cluster.shape import BYTES, Shape
from exprl.cluster.step import cache_tokens
from exprl.cluster.workload import Workload

__all__ = ["Memory", "memory"]

_LOGIT_BYTES = 6


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes a GPU while training, and tokens that one copy's KV cache holds; `fits` says whether all of it does."""

    train: float
    weights: float
    cache_tokens: float
    judge_weights: float
    judge_cache_tokens: float
    problems: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether the GPUs hold it."""
        return not self.problems


def memory(work: Workload, policy: Shape, judge: Shape | None, policy_gpus: int, assumed: Assumptions) -> Memory:
    """What every GPU holds, and what does not fit."""
    train = _train(work, policy, policy_gpus, assumed)
    room = cache_tokens(policy, assumed.policy_copy_gpus, assumed.sampler_memory, assumed)
    judged = 0.0 if judge is None else cache_tokens(judge, assumed.judge_copy_gpus, assumed.judge_memory, assumed)
    longest = work.prompt + work.longest
    problems = []
    if train > assumed.device.memory:
        problems.append(f"training takes {train / 1e9:.0f} GB of a GPU's {assumed.device.memory / 1e9:.0f}")
    if room < longest:
        problems.append(
            f"the policy's KV cache holds {max(room, 0):,.0f} tokens, less than one rollout: set policy_copy_gpus"
        )
    if judge is not None and judged < longest:
        problems.append(
            f"the judge's KV cache holds {max(judged, 0):,.0f} tokens, less than one trace: set judge_copy_gpus"
        )
    return Memory(
        train,
        policy.weight_bytes / assumed.policy_copy_gpus,
        max(room, 0.0),
        0.0 if judge is None else judge.weight_bytes / assumed.judge_copy_gpus,
        max(judged, 0.0),
        tuple(problems),
    )


def _train(work: Workload, shape: Shape, gpus: int, assumed: Assumptions) -> float:
    states = assumed.state_bytes * shape.parameters / gpus
    frozen = shape.weight_bytes / gpus if work.frozen_copy else 0.0
    tokens = assumed.micro_tokens or work.prompt + work.longest
    activations = tokens * shape.hidden * (BYTES * shape.layers + assumed.layer_bytes)
    logits = min(tokens, assumed.logit_tokens) * shape.vocabulary * _LOGIT_BYTES
    return states + frozen + activations + logits
