"""A server of a real tiny policy that answers as vLLM does when it is asked for `prompt_logprobs`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from local_server import listening

Spoil = Callable[[dict[str, Any]], Any]


@dataclass
class TeacherServer:
    """Remembers what it was asked; `spoil` makes a bad answer of a good one."""

    model: Any
    spoil: Spoil | None = None
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def completions(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(body)
        choice = {"index": 0, "text": "x", "prompt_logprobs": self._places(body["prompt"], body["prompt_logprobs"])}
        answer: Any = {"choices": [choice]}
        if self.spoil is not None:
            answer = self.spoil(answer)
        if isinstance(answer, int):
            return web.Response(status=answer, text="SECRET")
        return web.json_response(answer)

    def _places(self, ids: list[int], likeliest: int) -> list[Any]:
        import torch

        with torch.no_grad():
            logits = self.model(input_ids=torch.tensor([ids])).logits[0].float()
        log_probs = torch.log_softmax(logits, dim=-1)
        places: list[Any] = [None]  # vLLM says nothing of the first token
        for t, token in enumerate(ids[1:]):
            order = torch.argsort(log_probs[t], descending=True).tolist()
            told = [token, *(i for i in order[:likeliest] if i != token)]
            places.append(
                {
                    str(i): {"logprob": float(log_probs[t, i]), "rank": order.index(i) + 1, "decoded_token": "?"}
                    for i in told
                }
            )
        return places


@asynccontextmanager
async def teacher_server(policy: Path, spoil: Spoil | None = None) -> AsyncIterator[TeacherServer]:
    from transformers import AutoModelForCausalLM

    server = TeacherServer(AutoModelForCausalLM.from_pretrained(policy).eval(), spoil)
    app = web.Application()
    app.router.add_post("/v1/completions", server.completions)
    async with listening(app) as server.url:
        yield server
