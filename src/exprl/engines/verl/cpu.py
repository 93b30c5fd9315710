"""verl without a GPU: a platform and a policy server that run on CPUs, for trials and tests of the whole path.

verl 0.9.1 knows CUDA, ROCm and Ascend, and samples with vLLM, SGLang or TensorRT-LLM. Both are registries that take more, so a
real run of its trainer, with FSDP over gloo, is possible on a machine that has neither:

    VERL_PLATFORM=exprl_cpu     the platform       rollout.name = exprl_cpu     the policy server

The server samples with `exprl.evaluate.sample.generate`, as the engine on one machine does, whatever is asked for together in
one batch. After every update it is sent all weights. It is meant for policies of some millions of parameters.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import ray
import torch
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry
from verl.workers.rollout.base import _ROLLOUT_REGISTRY, BaseRollout
from verl.workers.rollout.replica import RolloutReplica, RolloutReplicaRegistry, TokenOutput

from exprl.engines.verl.registration import CPU

__all__ = ["CPUPlatform", "CPUReplica", "CPURollout", "register"]


class _Device(ModuleType):
    """`torch.cpu`, with a nought for every question about memory that only an accelerator answers."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(torch.cpu, name, lambda *_, **__: 0)

    def get_device_name(self, *_: object) -> str:
        """The name under which verl looks up what a device could compute."""
        return "CPU"

    def mem_get_info(self, *_: object) -> tuple[int, int]:
        """Bytes free, and in all: one, since verl divides by it."""
        return 0, 1


class CPUPlatform(PlatformBase):  # type: ignore[misc]
    """What verl asks of the hardware."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = _Device("cpu")

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        return os.environ.get("VERL_PLATFORM") == CPU

    def current_device(self) -> str:
        return "cpu"

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None: ...

    def synchronize(self, device_index: int | None = None) -> None: ...

    def manual_seed(self, seed: int) -> None: ...

    def manual_seed_all(self, seed: int) -> None: ...

    def set_allocator_settings(self, settings: str) -> None: ...

    def empty_cache(self) -> None: ...

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        return None, None

    def communication_backend_name(self) -> str:
        """gloo, which joins its group here.

        verl asks this where it names a backend for the CPU and one for the device, which torch refuses if they are one device;
        a group that stands already is left as it is.
        """
        if "MASTER_ADDR" in os.environ and not torch.distributed.is_initialized():
            torch.distributed.init_process_group("gloo")
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "EXPRL_CPU_VISIBLE"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None: ...

    def profiler_stop(self) -> None: ...

    def ray_resource_name(self) -> str:
        """What the trainers ask Ray for: verl counts no other name, so Ray is told of GPUs that are none (`compose`)."""
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> None: ...


_Answer = tuple[list[int], list[float] | None]
"""Token ids, and their log-probabilities where they were asked for."""


class _Server:
    """A Ray actor that samples; the methods are those that verl calls on a policy server."""

    def __init__(self, path: str, response: int) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from exprl.engines.verl.room import end_ids

        torch.set_num_threads(1)
        self._model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, use_safetensors=True).eval()
        self._ends = sorted(end_ids(path, AutoTokenizer.from_pretrained(path).eos_token_id))
        self._response, self._step = response, 0
        self._waiting: list[tuple[list[int], dict[str, Any], asyncio.Future[_Answer]]] = []
        self._sampling: asyncio.Task[None] | None = None

    async def generate(
        self, request_id: str, prompt_ids: list[int], sampling_params: dict[str, Any], **_: object
    ) -> TokenOutput:
        """Sample one answer, together with those that are asked for meanwhile."""
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((prompt_ids, sampling_params, answer))
        if self._sampling is None or self._sampling.done():
            self._sampling = asyncio.create_task(self._sample())
        ids, log_probs = await answer
        extra = {"global_steps": self._step}
        return TokenOutput(token_ids=ids, log_probs=log_probs, stop_reason="completed", extra_fields=extra)

    async def _sample(self) -> None:
        await asyncio.sleep(0.02)  # those of a step come within a moment
        while self._waiting:
            batch, self._waiting = self._waiting, []
            answers = await asyncio.to_thread(self._answers, [prompt for prompt, *_ in batch], batch[0][1])
            for (*_, future), answer in zip(batch, answers, strict=True):
                future.set_result(answer)

    def _answers(self, prompts: list[list[int]], params: dict[str, Any]) -> list[_Answer]:
        from exprl.engines.trl.logprobs import token_log_probs
        from exprl.evaluate.sample.generate import generate

        temperature = float(params.get("temperature", 1.0))
        rows = generate(self._model, prompts, temperature=temperature, max_tokens=self._response, stops=self._ends)
        if not params.get("logprobs"):
            return [(list(ids), None) for ids in rows]
        said = token_log_probs(self._model, prompts, rows, temperature=temperature)
        return [(list(ids), log_probs.tolist()) for ids, log_probs in zip(rows, said, strict=True)]

    async def load(self, weights: dict[str, torch.Tensor], step: int) -> None:
        """Take the policy's weights after an update."""
        self._model.load_state_dict(weights, strict=False)
        self._step = step

    async def nothing(self, *_: object, **__: object) -> None:
        """What only an accelerator has: memory to free, profiles to take."""

    wake_up = sleep = abort_all_requests = resume_generation = clear_kv_cache = nothing
    release_kv_cache = resume_kv_cache = start_profile = stop_profile = nothing


class CPURollout(BaseRollout):  # type: ignore[misc]
    """The trainer's end of it: sends the weights."""

    def __init__(self, config: Any, model_config: Any, device_mesh: Any, *_: object, **__: object) -> None:
        super().__init__(config, model_config, device_mesh)
        self._rank = int(os.environ["RANK"])

    async def resume(self, tags: list[str]) -> None: ...

    async def release(self) -> None: ...

    async def update_weights(self, weights: Any, wire_format: str = "named_tensors", **more: Any) -> None:
        """Send all weights to the server of this process."""
        state = {name: tensor.detach().cpu().clone() for name, tensor in weights}
        await ray.get_actor(_name(self._rank)).load.remote(state, int(more.get("global_steps") or 0))


class CPUReplica(RolloutReplica):  # type: ignore[misc]
    """One policy server a training process."""

    async def launch_servers(self) -> None:
        """Start the server, as an actor that the trainer finds by its name."""
        server = ray.remote(_Server).options(name=_name(self.replica_rank), num_cpus=0, max_concurrency=1000)
        self.servers = [server.remote(self.model_config.path, int(self.config.response_length))]
        self._server_handle = self.servers[0]
        self._server_address = _name(self.replica_rank)


def register() -> None:
    """Tell verl of the platform and of the server."""
    PlatformRegistry.register(CPU)(CPUPlatform)
    _ROLLOUT_REGISTRY[(CPU, "async")] = f"{__name__}.CPURollout"
    RolloutReplicaRegistry.register(CPU, lambda: CPUReplica)


def _name(rank: int) -> str:
    return f"{CPU}_server_{rank}"
