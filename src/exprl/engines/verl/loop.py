"""verl's agent loop for one rollout: sample it, judge it at once, hand back token-level rewards.

verl runs one such loop for every rollout of a step, all of them at the same time, so the judge reads the short answers while
the long ones are still being written. A rollout that could not be scored gets a mask of 0 throughout, which takes it out of
the loss and of its token count; the estimator finds the same in its marks and takes it out of the group.

    prompt ids of a Question ──policy server──> token ids ──Room.judge──> marks ──> AgentLoopOutput.as_dict()["rm_scores"]

verl's own prompt building, which goes through its dataset's columns, is not used: the prompt is that of `exprl.prompting`, to
the token. verl names the columns of its dataset as arguments; of ours there are none but names.
"""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import torch
from omegaconf import OmegaConf
from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput

from exprl.engines.verl.room import Judged, Room, Sampled

__all__ = ["ExprlAgentLoop", "MarkedOutput"]


class MarkedOutput(AgentLoopOutput):  # type: ignore[misc]
    """verl's output of an agent loop, with rewards for all its tokens in place of one for the last."""

    marks: list[float]

    def as_dict(self) -> dict[str, Any]:
        """verl's form of it, with `rm_scores` of shape (T,)."""
        output: dict[str, Any] = super().as_dict()
        output["rm_scores"] = torch.tensor(output.pop("marks"), dtype=torch.float32)
        return output


class ExprlAgentLoop(AgentLoopBase):  # type: ignore[misc]
    """One rollout, from its problem's id to its marks."""

    def __init__(self, trainer_config: Any, server_manager: Any, tokenizer: Any, **_: object) -> None:
        # Not verl's: that builds a renderer of chats, which needs a chat template and is not used here.
        self.config = trainer_config.config
        self.rollout_config = self.config.actor_rollout_ref.rollout
        self.server_manager = server_manager
        self.tokenizer = tokenizer

    async def run(self, sampling_params: dict[str, Any], **columns: Any) -> AgentLoopOutput:
        """Sample and judge one rollout of the problem that the dataset's row names."""
        room = _room(self.config)
        problem_id = str(columns["problem_id"])
        prompt_ids = room.prompt_ids(problem_id)
        started = time.perf_counter()
        output = await self.server_manager.generate(
            request_id=uuid4().hex, prompt_ids=prompt_ids, sampling_params=sampling_params
        )
        finished = time.perf_counter()
        limit = int(self.rollout_config.response_length)
        sampled = Sampled(
            problem_id,
            tuple(output.token_ids[:limit]),
            int(columns.get("global_steps", 0)),
            str(columns.get("uid", problem_id)),
            int(columns.get("session_id", 0)),
            tuple(output.log_probs or ())[:limit],
        )
        judged = await room.judge(sampled)
        metrics = AgentLoopMetrics(generate_sequences=finished - started, compute_score=time.perf_counter() - finished)
        return self._output(prompt_ids, sampled, judged, output, metrics)

    def _output(
        self, prompt_ids: list[int], sampled: Sampled, judged: Judged, output: Any, metrics: AgentLoopMetrics
    ) -> MarkedOutput:
        # A row of verl's has one token at least; the one that stands for an empty answer is masked.
        ids = list(sampled.ids) or [int(self.tokenizer.eos_token_id)]
        counts = int(bool(sampled.ids) and judged.reward is not None)
        logps = list(output.log_probs or [])[: len(ids)]
        return MarkedOutput(
            prompt_ids=prompt_ids,
            response_ids=ids,
            response_mask=[counts] * len(ids),
            response_logprobs=(logps + [0.0] * (len(ids) - len(logps))) if output.log_probs is not None else None,
            reward_score=judged.reward or 0.0,
            num_turns=2,
            metrics=metrics,
            extra_fields={**output.extra_fields, "turn_scores": [], "tool_rewards": []},
            marks=judged.marks_T.tolist(),
        )


def _room(config: Any) -> Room:
    """This process's room; opened with the first rollout."""
    from exprl.pipeline.cluster import Place, open_room

    place: dict[str, Any] = OmegaConf.to_container(config.exprl, resolve=True)
    return open_room(Place(**place))
