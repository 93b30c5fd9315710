"""A run on this machine that verl's agent loop can be driven in: canaries, a judge over HTTP, a policy that waits."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web

from exprl.config import LLMJudgeConfig, OutcomeConfig, ProcessConfig, RunConfig, SelfDistillConfig, SparseConfig
from exprl.engines.verl.compose import Paths, overrides
from exprl.runs import RunDir, write_jsonl
from local_server import listening

CANARY = "70070070"  # in digits, which the world's tokenizer can write
GROUP = 4
PROBLEMS = 3
RESPONSE = 12


@dataclass
class JudgeServer:
    """A judge's endpoint that remembers when it was asked, and fails for one trace in `broken`."""

    url: str = ""
    asked: list[float] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    broken: int = 0

    async def chat(self, request: web.Request) -> web.Response:
        self.asked.append(time.perf_counter())
        self.bodies.append(json.dumps(await request.json()))
        number = len(self.asked)
        text = (
            "no grade" if self.broken and number % self.broken == 0 else f"{CANARY}, it says.\nScore: {1 + number % 5}"
        )
        usage = {"prompt_tokens": 100, "completion_tokens": 7}
        return web.json_response({"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": usage})


@asynccontextmanager
async def judge_server(broken: int = 0) -> AsyncIterator[JudgeServer]:
    server, app = JudgeServer(broken=broken), web.Application()
    app.router.add_post("/v1/chat/completions", server.chat)
    async with listening(app) as server.url:
        yield server


class WaitingPolicy:
    """Plays verl's client of policy servers: random answers, each taking as long as it is; remembers what it was sent."""

    def __init__(self, size: int, end: int, seconds: float = 0.03) -> None:
        self._random, self._size, self._end, self._seconds = np.random.default_rng(0), size, end, seconds
        self.sent: list[list[int]] = []
        self.finished: list[float] = []

    async def generate(self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any]) -> Any:
        from verl.workers.rollout.replica import TokenOutput

        self.sent.append(prompt_ids)
        length = int(self._random.integers(0, RESPONSE + 4))
        ids = [int(i) for i in self._random.choice([i for i in range(self._size) if i != self._end], size=length)]
        ids = ids[:RESPONSE] if length >= RESPONSE else [*ids, self._end] if length else []
        await asyncio.sleep(self._seconds * (1 + length))
        self.finished.append(time.perf_counter())
        return TokenOutput(token_ids=ids, log_probs=[-1.0] * len(ids), extra_fields={"min_global_steps": 0})


def save_policy(folder: Path, *, attentive: bool = False) -> Path:
    """A random Llama over the chain world's tokens. (`tiny` has another, but imports trl, which verl does not stand beside.)

    Args:
        attentive: what it says depends on its whole prompt, as a teacher's must; else it ends its answers early.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from exprl.worlds.tokenizer import PIECES, make_tokenizer

    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    config = LlamaConfig(
        vocab_size=len(PIECES),
        max_position_embeddings=64,
        tie_word_embeddings=False,
        initializer_range=0.2 if attentive else 0.02,
        **sizes,
        **ends,
    )
    model = LlamaForCausalLM(config)
    if not attentive:
        with torch.no_grad():  # a direction that every token has in common, and that the end of an answer likes
            model.model.embed_tokens.weight += 3.0
            model.lm_head.weight[tokenizer.eos_token_id] = 0.27
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_run(folder: Path, policy: Path, url: str, rollout: str = "vllm", teacher: str | None = None) -> RunDir:
    """A run directory whose arms judge, judge by segment, verify, and ask a teacher."""
    rows = [
        {"id": f"p{i}", "problem": f"{1111 + i} then rev?", "solution": f"{CANARY} {i}", "answer": f"{CANARY}{i}"}
        for i in range(PROBLEMS)
    ]
    write_jsonl(folder / "data.jsonl", rows)
    small = {"steps": 2, "prompts_per_step": PROBLEMS, "rollouts_per_prompt": GROUP, "max_prompt_tokens": 32}
    small |= {"max_tokens": RESPONSE, "updates_per_step": 1, "save_every": 1, "kl": 0.0, "learning_rate": 1e-2}
    config = RunConfig.model_validate(
        {
            "name": "run",
            "output": str(folder),
            "engine": "verl",
            "cluster": {
                "gpus_per_node": 1,
                "workers": 1,
                "rollout": rollout,
                **({"teacher": {"url": teacher, "retries": 0, "alternatives": 64}} if teacher else {}),
            },
            "unscored_limit": 1.0,
            "policy": {"model": str(policy), "dtype": "float32", "device": "cpu"},
            "prompt": {"system": "", "user": "{problem}"},
            "data": {"train": {"path": str(folder / "data.jsonl")}, "filter": False},
            "segments": {"rule": "tokens", "token_budget": 3},
            "judge": LLMJudgeConfig(model="judge", url=url, retries=0).model_dump(),
            "arms": {
                "outcome": OutcomeConfig.model_validate(small).model_dump(),
                "process": ProcessConfig.model_validate({**small, "outcome_weight": 0.5}).model_dump(),
                "sparse": SparseConfig.model_validate(small).model_dump(),
                "self_distill": SelfDistillConfig.model_validate({**small, "max_teacher_tokens": 64}).model_dump(),
            },
        }
    )
    run = RunDir.create(folder / "run", config)
    write_jsonl(run.problems, [{"set": "hard_train", "id": row["id"]} for row in rows])
    return run


def verl_config(run: RunDir, arm: str, attempt: str = "attempt") -> Any:
    """verl's own configuration of an arm's Stage I, composed by its own files."""
    from exprl.engines.verl.main import composed

    folder = run.stage(arm, 0, "stage1").path
    method: Any = run.config.arms[arm]
    paths = Paths(run.config.policy.model, folder / "verl-dataset.jsonl", folder / "verl", folder / "log")
    place = {"run": str(run.path), "arm": arm, "seed": 0, "stage": "stage1", "attempt": attempt, "policy": paths.policy}
    return composed(overrides(run.config, method, paths, place, seed=0, steps=method.steps))
