"""A real HTTP server on this machine that plays a judge model's endpoint, in health and in sickness."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from exprl.config import LLMJudgeConfig
from exprl.judge.http.client import Ask, ChatClient, Failure, Reply
from local_server import listening

CANARY = "CANARY-7f3a"
KEY = "sk-very-secret-0123456789"

Handler = Callable[[web.Request, int], Awaitable[web.StreamResponse]]


def completion(text: str | None = "Score: 4", finish: str = "stop") -> dict[str, object]:
    usage = {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 64}}
    return {"choices": [{"message": {"content": text}, "finish_reason": finish}], "usage": usage}


def always(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Handler:
    text = body if isinstance(body, str) else json.dumps(body)

    async def handle(request: web.Request, call: int) -> web.StreamResponse:
        return web.Response(text=text, status=status, headers=headers, content_type="application/json")

    return handle


good = always(completion())


def first(count: int, fault: Handler, then: Handler = good) -> Handler:
    async def handle(request: web.Request, call: int) -> web.StreamResponse:
        return await (fault if call < count else then)(request, call)

    return handle


async def hang(request: web.Request, call: int) -> web.StreamResponse:
    await asyncio.sleep(30)
    raise AssertionError


async def reset(request: web.Request, call: int) -> web.StreamResponse:
    """Breaks off in the middle of the body."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"choices": [')
    assert request.transport is not None
    request.transport.abort()
    return response


class Server:
    """What the server has seen. `models` is what it says it serves, after `slow` seconds."""

    def __init__(self, handler: Handler, models: object = None) -> None:
        self.url = ""
        self.handler, self.models = handler, models
        self.bodies: list[dict[str, object]] = []
        self.keys: list[str | None] = []
        self.in_flight = self.most = self.identified = 0
        self.slow = 0.0

    async def chat(self, request: web.Request) -> web.StreamResponse:
        call = len(self.bodies)
        self.bodies.append(await request.json())
        self.keys.append(request.headers.get("Authorization"))
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            return await self.handler(request, call)
        finally:
            self.in_flight -= 1

    async def list_models(self, request: web.Request) -> web.Response:
        self.identified += 1
        await asyncio.sleep(self.slow)
        return web.Response(status=404) if self.models is None else web.json_response(self.models)


@asynccontextmanager
async def serving(handler: Handler = good, *, port: int = 0, models: object = None) -> AsyncIterator[Server]:
    server = Server(handler, models)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.chat)
    app.router.add_get("/v1/models", server.list_models)
    async with listening(app, port) as server.url:
        yield server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def question(text: str = "3+4?", **changes: object) -> Ask:
    return Ask([{"role": "user", "content": text}])._replace(**changes)


def client(url: str | tuple[str, ...], **changes: object) -> ChatClient:
    return ChatClient(LLMJudgeConfig.model_validate({"model": "m", "url": url, "timeout": 5.0, "retries": 2} | changes))


async def ask(url: str | tuple[str, ...], **changes: object) -> Reply | Failure:
    async with client(url, **changes) as judge:
        return await judge.complete(question())


async def ask_many(judge: ChatClient, count: int, route: str = "p") -> list[Reply | Failure]:
    return list(await asyncio.gather(*(judge.complete(question(f"{n}?", route=f"{route}{n}")) for n in range(count))))
