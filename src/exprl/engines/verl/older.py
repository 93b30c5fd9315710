"""The hook for verl's older trainer (`trainer.use_v1 = false`): an agent-loop manager whose workers keep the marks.

The newer trainer stores what `AgentLoopOutput.as_dict` gives. The older one pads every row and writes one reward, on the last
token, so its workers carry the marks beside the row and put them in that reward's place when the batch is made.

    actor_rollout_ref.rollout.agent.agent_loop_manager_class = exprl.engines.verl.older.ExprlAgentLoopManager
"""

from __future__ import annotations

from typing import Any

import ray
import torch
from verl.experimental.agent_loop.agent_loop import AgentLoopManager, AgentLoopWorker
from verl.protocol import DataProto

__all__ = ["ExprlAgentLoopManager", "ExprlAgentLoopWorker"]

_KEY = "exprl_marks"


class ExprlAgentLoopWorker(AgentLoopWorker):  # type: ignore[misc]
    """verl's worker; its batches hold token-level rewards."""

    async def _run_agent_loop(self, sampling_params: Any, trajectory: Any, *, agent_name: str, **kwargs: Any) -> Any:
        # Here a rollout is told its step and its place in the group by `trajectory` alone.
        kwargs = {"global_steps": trajectory["step"], "session_id": trajectory["rollout_n"], **kwargs}
        return await super()._run_agent_loop(sampling_params, trajectory, agent_name=agent_name, **kwargs)

    async def _agent_loop_postprocess(self, output: Any, validate: bool, **kwargs: Any) -> Any:
        output.extra_fields[_KEY] = output.marks
        return await super()._agent_loop_postprocess(output, validate, **kwargs)

    def _postprocess(self, inputs: list[Any], *others: Any, **more: Any) -> DataProto:
        batch: DataProto = super()._postprocess(inputs, *others, **more)
        rows = batch.non_tensor_batch.pop(_KEY)
        rewards = torch.zeros_like(batch.batch["response_mask"], dtype=torch.float32)
        for i, row in enumerate(rows):
            rewards[i, : len(row)] = torch.tensor(row, dtype=torch.float32)
        batch.batch["rm_scores"] = rewards
        return batch


class ExprlAgentLoopManager(AgentLoopManager):  # type: ignore[misc]
    """verl's manager, with those workers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.agent_loop_workers_class = ray.remote(ExprlAgentLoopWorker)
        super().__init__(*args, **kwargs)
