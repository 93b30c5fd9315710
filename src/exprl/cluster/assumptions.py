"""Everything that a plan takes for granted, by name, with its default: what a plan shows, and what can be set.

    exprl cluster paper/math-4b --assume gpu=A100-80GB --assume judge_reply_tokens=900

Peak numbers of a GPU are its maker's, dense bf16; what is reached of them differs from one software to the next and is the
first thing to measure: run one step, and set `policy_tokens_per_s`, `judge_tokens_per_s` and `update_tokens_per_s` to
what it took. A rate that is given replaces what is reckoned from the GPU.

Tokens of prompt, reference, reply and response are assumptions too: no data is read for a plan, and nobody knows how long
a policy's answers will be. A response is on average `response_share` of the budget, and the longest fills it.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exprl.errors import ConfigError

__all__ = ["Assumptions", "Gpu", "assume"]


@dataclass(frozen=True, slots=True)
class Gpu:
    """Peak FLOP/s in dense bf16, bytes/s and bytes of its memory, bytes/s to GPUs of the same machine."""

    flops: float
    bandwidth: float
    memory: float
    link: float


GPUS: dict[str, Gpu] = {
    "A100-40GB": Gpu(312e12, 1.555e12, 40e9, 300e9),
    "A100-80GB": Gpu(312e12, 2.039e12, 80e9, 300e9),
    "H100-80GB": Gpu(989e12, 3.35e12, 80e9, 450e9),
    "H200-141GB": Gpu(989e12, 4.8e12, 141e9, 450e9),
    "B200-180GB": Gpu(2250e12, 8.0e12, 180e9, 900e9),
}


_GpuName = Literal["A100-40GB", "A100-80GB", "H100-80GB", "H200-141GB", "B200-180GB"]
_Count = Annotated[int, Field(gt=0)]
_Count0 = Annotated[int, Field(ge=0)]
_Number = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Number0 = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(gt=0, le=1)]
_Part = Annotated[float, Field(ge=0, le=1)]


class Assumptions(BaseModel):
    """What is taken for granted; see above. Rates of 0 are reckoned from the GPU."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpu: _GpuName = Field(default="H100-80GB", description="dense bf16 FLOP/s, bandwidth and memory as its maker says")
    gpu_flops: _Number0 = Field(default=0.0, description="peak FLOP/s of a GPU; 0: the named one's")
    gpu_bandwidth: _Number0 = Field(default=0.0, description="bytes/s of its memory; 0: the named one's")
    gpu_memory: _Number0 = Field(default=0.0, description="bytes of its memory; 0: the named one's")
    gpu_link: _Number0 = Field(default=0.0, description="bytes/s to GPUs of the same machine; 0: the named one's")
    network: _Number = Field(default=50e9, description="bytes/s a GPU between machines (400 Gb/s)")
    host_link: _Number = Field(default=25e9, description="bytes/s a GPU to its machine's memory")
    bandwidth_reached: _Share = Field(default=0.6, description="share of memory bandwidth while decoding")
    decode_reached: _Share = Field(default=0.3, description="share of peak FLOP/s while decoding")
    prefill_reached: _Share = Field(default=0.5, description="share of peak FLOP/s in prefill")
    update_reached: _Share = Field(default=0.35, description="share of peak FLOP/s in log-probabilities and update")
    decode_overhead: _Number0 = Field(default=0.003, description="seconds a decoding step beside memory and FLOPs")
    policy_copy_gpus: _Count = Field(default=1, description="GPUs that share one copy of the policy while sampling")
    judge_copy_gpus: _Count = Field(default=1, description="GPUs that share one copy of the judge")
    slots: _Count = Field(default=256, description="most rollouts, or judge calls, that one copy decodes at once")
    sampler_memory: _Share = Field(default=0.85, description="share of a GPU's memory that a policy's sampler takes")
    judge_memory: _Share = Field(default=0.85, description="share of a GPU's memory that a judge's server takes")
    response_share: _Share = Field(default=0.5, description="mean response as a share of max_tokens")
    prompt_tokens: _Count = Field(default=256, description="of a policy's prompt")
    reference_tokens: _Count = Field(default=1024, description="of a reference")
    rubric_tokens: _Count = Field(default=200, description="of the judge's instructions before problem and trace")
    closing_tokens: _Count = Field(default=300, description="of what follows the trace in a judge's prompt")
    judge_reply_tokens: _Count = Field(default=512, description="that a judge writes a call; at most judge.max_tokens")
    segments: _Count = Field(default=8, description="of a rollout; at most segments.max_segments")
    cache_kept: _Part = Field(default=0.95, description="share of what prefix caches could hold that they do hold")
    recomputed: _Number0 = Field(default=1.0, description="extra forward passes an update (activation checkpointing)")
    state_bytes: _Count = Field(default=18, description="a trained parameter: weight, master, gradient, two moments")
    micro_tokens: _Count0 = Field(default=0, description="a GPU trains at once; 0: one longest sequence")
    layer_bytes: _Count = Field(default=34, description="of activations a token and hidden unit in the layer at work")
    logit_tokens: _Count = Field(default=4096, description="tokens whose logits are held at once (in chunks)")
    step_overhead: _Number0 = Field(default=10.0, description="seconds a step for everything else")
    policy_tokens_per_s: _Number0 = Field(
        default=0.0, description="measured: tokens/s of one copy of the policy, all slots"
    )
    judge_tokens_per_s: _Number0 = Field(
        default=0.0, description="measured: uncached prompt tokens/s of one copy of the judge"
    )
    update_tokens_per_s: _Number0 = Field(
        default=0.0, description="measured: tokens/s a GPU of log-probabilities and update"
    )

    @property
    def device(self) -> Gpu:
        """The GPU's numbers."""
        named = GPUS[self.gpu]
        return Gpu(
            self.gpu_flops or named.flops,
            self.gpu_bandwidth or named.bandwidth,
            self.gpu_memory or named.memory,
            self.gpu_link or named.link,
        )

    def rows(self) -> list[tuple[str, str | float | int, str]]:
        """Name, value and meaning of each, in order; the GPU's numbers as they are used."""
        values = self.model_dump() | {f"gpu_{name}": value for name, value in asdict(self.device).items()}
        return [(name, values[name], str(field.description)) for name, field in Assumptions.model_fields.items()]


def assume(said: Sequence[str] = ()) -> Assumptions:
    """The defaults, changed by `name=value` texts.

    Raises:
        ConfigError: an unknown name, or a value that cannot be.
    """
    changes = {name.strip(): value.strip() for name, _, value in (text.partition("=") for text in said)}
    if unknown := changes.keys() - Assumptions.model_fields.keys():
        raise ConfigError(_unknown(min(unknown)))
    try:
        return Assumptions.model_validate(changes)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise ConfigError(f"assumption {name}={changes[name][:40]!r}: {first['msg']}") from None


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, Assumptions.model_fields, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"they are {', '.join(Assumptions.model_fields)}"
    return f"unknown assumption {name[:40]!r}: {hint}"
