r"""How long one step takes, on paper. Pure arithmetic; seconds, tokens, bytes.

**Decoding.** A step of a batch of x sequences reads the weights once and each sequence's cache once, and computes x tokens:

    τ(x) = α + β x      α = 2N / (t B) + o      β = κ c / (t B) + f(c) / (t F)

t GPUs a copy, B and F what is reached of bandwidth and FLOP/s, c the mean context, o a fixed overhead. Reading and
computing are taken not to overlap.

**Sampling.** n rollouts of mean length T, the longest T_max, on r copies of b slots each (b ≤ n / r, and what the KV cache
holds). Slots are filled again as they fall free, and at the end the longest are alone:

    K = n T / (r b) + T_max - T     decoding steps of a copy: full batches, then the tail
    t_sample = α K + β n T / r

K is T_max where all run at once (b = n / r): the batch thins out while every step still reads the weights. n T / r is what a
copy decodes in all, whatever the batch; with more copies than rollouts r is n. What no further GPU takes away is the
longest rollout alone, (α + β) T_max.

**Judging.** A call is a prefill of what caches do not hold, and a reply of O tokens. With m calls and p tokens of prefill a
rollout, on r copies that decode b calls at once:

    t_judge = n (p f / (t F) + m O (α / b + β)) / r

A rollout is judged when it is finished, while others are sampled, so only the last one's judging comes on top: its whole
trace first, then, where there are prefixes, all of those together:

    t_tail = T_max f / (t F) + rounds O (α + β m)         rounds = 1, or 2 with prefixes
    t_collect = max(t_sample, t_judge) + t_tail

**Update.** n (Q + T) tokens; forward, recomputed forward and backward are 1 + recomputed + 2 forward passes, each set of
log-probabilities one more. At least the longest sequence of each update is on one GPU. Weights are gathered twice and
gradients scattered once a micro-batch, beside the computation, so that the longer of the two counts.

**Step.** t = t_collect + t_update + t_sync + a fixed overhead; nothing else overlaps (synchronous, colocated: the GPUs
of the policy sample, then train).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from exprl.cluster.assumptions import Assumptions
from exprl.cluster.shape import BYTES, Shape
from exprl.cluster.workload import Judging, Workload

__all__ = ["Decoding", "StepTime", "cache_tokens", "collect_time", "decoding", "decoding_steps", "step_time"]


class Decoding(NamedTuple):
    """τ(x) = alpha + beta x: seconds of one decoding step of x sequences."""

    alpha: float
    beta: float


@dataclass(frozen=True, slots=True)
class StepTime:
    """Seconds of one step and its parts; `longest` is what the longest rollout would take if it were alone."""

    sample: float
    longest: float
    judge: float
    tail: float
    update: float
    sync: float
    overhead: float

    @property
    def total(self) -> float:
        """Seconds a step."""
        return collect_time(self.sample, self.judge, self.tail) + self.update + self.sync + self.overhead

    @property
    def bottleneck(self) -> str:
        """The longest thing that the step waits for."""
        collecting = ("judging", self.judge) if self.judge > self.sample else ("sampling", self.sample)
        parts = [collecting, ("update", self.update), ("the last rollout's judging", self.tail), ("weights", self.sync)]
        name = max(parts, key=lambda part: part[1])[0]
        return "the longest rollout" if name == "sampling" and self.longest > self.sample / 2 else name


def collect_time(sample: float, judge: float, tail: float) -> float:
    """Sampling and judging side by side, then the last rollout's judging."""
    return max(sample, judge) + tail


def decoding_steps(rollouts: float, response: float, longest: float, copies: float, slots: float) -> float:
    """K: how many decoding steps the busiest copy takes."""
    return rollouts * response / (copies * slots) + longest - response


def decoding(shape: Shape, context: float, gpus: int, assumed: Assumptions) -> Decoding:
    """The line τ(x) of a model on so many GPUs a copy, at a mean context."""
    bandwidth = gpus * assumed.device.bandwidth * assumed.bandwidth_reached
    flops = gpus * assumed.device.flops * assumed.decode_reached
    return Decoding(
        shape.weight_bytes / bandwidth + assumed.decode_overhead,
        shape.kv_bytes * context / bandwidth + shape.flops(context) / flops,
    )


def step_time(
    work: Workload,
    policy: Shape,
    judge: Shape | None,
    policy_gpus: int,
    judge_gpus: int,
    assumed: Assumptions,
    *,
    machines: int = 1,
) -> StepTime:
    """Seconds of one step with so many GPUs for the policy and for the judge, on so many machines."""
    sample, longest = _sampling(work, policy, policy_gpus, assumed)
    judging, tail = (0.0, 0.0) if judge is None else _judging(work, judge, judge_gpus, assumed)
    link = assumed.device.link if machines == 1 else assumed.network
    sync = policy.weight_bytes / link + 2 * assumed.state_bytes * policy.parameters / policy_gpus / assumed.host_link
    update = _update(work, policy, policy_gpus, link, assumed)
    return StepTime(sample, longest, judging, tail, update, sync, assumed.step_overhead)


def cache_tokens(shape: Shape, gpus: int, share: float, assumed: Assumptions) -> float:
    """Tokens that the KV cache of one copy holds, whose server takes that share of its GPUs' memory."""
    return (share * assumed.device.memory * gpus - shape.weight_bytes) / shape.kv_bytes


def _sampling(work: Workload, shape: Shape, gpus: int, assumed: Assumptions) -> tuple[float, float]:
    """Seconds of sampling, and what the longest rollout takes alone."""
    copies = min(gpus / assumed.policy_copy_gpus, work.rollouts)
    line = decoding(shape, work.prompt + work.response / 2, assumed.policy_copy_gpus, assumed)
    held = cache_tokens(shape, assumed.policy_copy_gpus, assumed.sampler_memory, assumed) / (
        work.prompt + work.response
    )
    slots = max(1.0, min(assumed.slots, held, work.rollouts / copies))
    alone = (line.alpha + line.beta) * work.longest
    if assumed.policy_tokens_per_s:
        bulk = work.sampled / (copies * assumed.policy_tokens_per_s)
        return max(bulk + line.alpha * (work.longest - work.response), alone), alone
    steps = decoding_steps(work.rollouts, work.response, work.longest, copies, slots)
    prompts = work.problems * work.prompt * shape.flops(work.prompt / 2)
    prefill = prompts / (gpus * assumed.device.flops * assumed.prefill_reached)
    return line.alpha * steps + line.beta * max(work.sampled / copies, work.longest) + prefill, alone


def _judging(work: Workload, shape: Shape, gpus: int, assumed: Assumptions) -> tuple[float, float]:
    """Seconds of judging all rollouts, and of the last one."""
    judging = work.judging
    assert judging is not None
    copies = min(gpus / assumed.judge_copy_gpus, work.rollouts)
    context = judging.sent / judging.calls
    line = decoding(shape, context, assumed.judge_copy_gpus, assumed)
    held = cache_tokens(shape, assumed.judge_copy_gpus, assumed.judge_memory, assumed) / context
    slots = max(1.0, min(assumed.slots, held, work.rollouts * judging.calls / copies))
    token = _prefill_token(shape, context / 2, assumed)
    prefilled = judging.prefilled(assumed.cache_kept) * token
    replies = judging.calls * judging.reply * (line.alpha / slots + line.beta)
    return work.rollouts * (prefilled + replies) / copies, _last(work, judging, line, token)


def _last(work: Workload, judging: Judging, line: Decoding, token: float) -> float:
    rounds = 1 if judging.calls == 1 else 2
    return work.longest * token + rounds * judging.reply * (line.alpha + line.beta * judging.calls)


def _prefill_token(shape: Shape, context: float, assumed: Assumptions) -> float:
    """Seconds a token of the judge's prefill."""
    if assumed.judge_tokens_per_s:
        return 1 / assumed.judge_tokens_per_s
    return shape.flops(context) / (assumed.judge_copy_gpus * assumed.device.flops * assumed.prefill_reached)


def _update(work: Workload, shape: Shape, gpus: int, link: float, assumed: Assumptions) -> float:
    flops = shape.flops((work.prompt + work.response) / 2)
    passes = 3 + assumed.recomputed + work.forwards
    rate = assumed.update_tokens_per_s or assumed.device.flops * assumed.update_reached / (passes * flops)
    longest = work.prompt + work.longest
    computed = max(work.trained / gpus, work.updates * longest) / rate
    batches = max(work.updates, math.ceil(work.trained / gpus / (assumed.micro_tokens or longest)))
    moved = batches * 3 * BYTES * shape.parameters * (1 - 1 / gpus)
    return max(computed, moved / link)
