"""Samples from an OpenAI-compatible chat endpoint (vLLM, llama.cpp, a hosted model).

One request a sample, `concurrency` of them in flight, also while the caller grades what came before; yielded as they
come back: a rollout is known by its id, not by its place. (A server with a prefix cache reads a prompt once all the
same, and every sample can be asked for again by itself.) Each request carries a seed hashed from the run's and its id,
for servers that honour it. `top_k` and `min_p` are sent as 0, since servers otherwise sample with defaults of their own
(40 and 0.05 in llama.cpp); pass `extra={}` for one that refuses to know them (`--standard-keys` of `exprl eval`). A key
is read from the environment variable EXPRL_POLICY_API_KEY and from nowhere else.

Connection errors, timeouts, 408, 429 and 5xx are tried again with growing pauses; after that, and on any other answer
that cannot be used, sampling stops with an `EngineError`, and what was yielded before is the caller's to keep.

    >>> sampler = HTTPSampler("http://127.0.0.1:8000/v1", "HuggingFaceTB/SmolLM2-135M-Instruct", PromptConfig())
    >>> rollouts = sampler.sample(questions, 64, temperature=0.8, max_tokens=512, seed=0)  # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Self

import aiohttp
import stamina

from exprl.config import PromptConfig
from exprl.errors import EngineError
from exprl.evaluate.sample.plan import Draw, derive_seed, draws
from exprl.prompting import messages
from exprl.types import Question, Rollout

__all__ = ["UNTOUCHED_SOFTMAX", "HTTPSampler"]

API_KEY_ENV = "EXPRL_POLICY_API_KEY"
# Without handlers of the application's, every single retry would be a line on standard error.
logging.getLogger("stamina").addHandler(logging.NullHandler())

_Put = Callable[[Rollout], Awaitable[None]]
UNTOUCHED_SOFTMAX: Mapping[str, float] = {"top_k": 0, "min_p": 0}


class _Busy(Exception):
    """An answer after which it makes sense to ask again."""


_RETRIED = (aiohttp.ClientError, TimeoutError, _Busy)


class HTTPSampler:
    """A `Sampler` over a chat endpoint. It runs an event loop in a thread of its own while it is asked for rollouts.

    Args:
        url: up to and including the version, as in `http://127.0.0.1:8000/v1`.
        timeout: seconds for one sample; default: 600, or as many as 5 tokens a second need for a longer one.
        extra: further keys of the request.
    """

    def __init__(
        self,
        url: str,
        model: str,
        prompt: PromptConfig,
        *,
        concurrency: int = 32,
        timeout: float | None = None,
        retries: int = 4,
        extra: Mapping[str, str | float] = UNTOUCHED_SOFTMAX,
    ) -> None:
        self._url = url.rstrip("/") + "/chat/completions"
        self._model = model
        self._prompt = prompt
        self._concurrency = concurrency
        self._timeout = timeout
        self._retries = retries
        self._extra = dict(extra)

    def sample(
        self,
        questions: Sequence[Question],
        n: int,
        *,
        temperature: float,
        max_tokens: int,
        seed: int,
        done: Collection[str] = (),
    ) -> Iterator[Rollout]:
        """See `Sampler.sample`; in the order of the answers' coming.

        Raises:
            EngineError: the server cannot be reached, or answers what cannot be used.
        """
        finished = frozenset(done)
        settings = {"temperature": temperature, "top_p": 1.0, "max_tokens": max_tokens, **self._extra}
        todo = [draw for draw in draws(questions, n) if draw.id not in finished]
        bodies = ((draw, self._body(draw, seed) | settings) for draw in todo)
        timeout = aiohttp.ClientTimeout(total=self._timeout or max(600.0, max_tokens / 5), sock_connect=60.0)
        with _Asking(lambda put: self._ask_all(bodies, put, timeout), ahead=self._concurrency) as asking:
            yield from asking

    async def _ask_all(
        self, bodies: Iterator[tuple[Draw, dict[str, object]]], put: _Put, timeout: aiohttp.ClientTimeout
    ) -> None:
        async with self._session(timeout) as session, asyncio.TaskGroup() as group:

            async def ask_on() -> None:
                for draw, body in bodies:
                    await put(await self._ask(session, draw, body))

            for _ in range(self._concurrency):
                group.create_task(ask_on())

    def _body(self, draw: Draw, seed: int) -> dict[str, object]:
        turns = messages(draw.question, self._prompt)
        return {"model": self._model, "messages": turns, "seed": derive_seed(seed, [draw.id], bits=31)}

    def _session(self, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
        key = os.environ.get(API_KEY_ENV)
        return aiohttp.ClientSession(
            timeout=timeout,
            connector=aiohttp.TCPConnector(limit=self._concurrency),
            headers={"Authorization": f"Bearer {key}"} if key else None,
        )

    async def _ask(self, session: aiohttp.ClientSession, draw: Draw, body: Mapping[str, object]) -> Rollout:
        try:
            async for attempt in stamina.retry_context(
                on=_RETRIED, attempts=self._retries + 1, timeout=None, wait_initial=0.5, wait_max=30.0
            ):
                with attempt:
                    return _rollout(draw, await self._post(session, body))
        except _RETRIED as error:
            raise EngineError(
                f"no sample from {self._url} after {self._retries + 1} tries ({type(error).__name__}: {error}); start "
                "the server and give the same command again (`exprl run` with --resume): finished samples are kept"
            ) from error
        raise AssertionError("retries end in a rollout or an error")

    async def _post(self, session: aiohttp.ClientSession, body: Mapping[str, object]) -> object:
        async with session.post(self._url, json=body) as response:
            if response.status in {408, 429} or response.status >= 500:
                raise _Busy(f"status {response.status}")
            text = await response.text(errors="replace")
            if response.status != 200:
                raise EngineError(
                    f"{self._url} refuses the request with status {response.status}: {text[:300]!r}; check the model's "
                    f"name, {API_KEY_ENV}, and whether the server knows {', '.join(self._extra) or 'these settings'}"
                )
            try:
                reply: object = await response.json(content_type=None)
            except ValueError as error:
                raise EngineError(
                    f"{self._url} does not answer in JSON: {text[:300]!r}; is this the /v1 of a server?"
                ) from error
            return reply


def _rollout(draw: Draw, reply: object) -> Rollout:
    choice = _part(_part(reply, "choices"), 0)
    message, tokens = _part(choice, "message"), _part(_part(reply, "usage"), "completion_tokens")
    text = _part(message, "content")
    if not isinstance(text, str) and any(_part(message, key) for key in ("reasoning_content", "reasoning")):
        raise EngineError("the server splits the reasoning off the answer; start it without a reasoning parser")
    if not isinstance(message, dict) or not isinstance(tokens, int):
        raise EngineError(
            f"the server's reply lacks choices[0].message or usage.completion_tokens: {str(reply)[:300]!r}; "
            "it must speak the OpenAI chat protocol"
        )
    truncated = _part(choice, "finish_reason") == "length"
    return Rollout(draw.id, draw.question.id, text if isinstance(text, str) else "", tokens, truncated)


def _part(value: object, key: str | int) -> object:
    """One step into untrusted JSON; None where there is no such step."""
    if isinstance(value, dict):
        return value.get(key)
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return value[key]
    return None


class _Asking:
    """An event loop in a thread of its own, and what comes out of it; requests go on while the caller does other things.

    `ahead` answers wait for the caller at most: what is not taken yet is lost with the process.
    """

    def __init__(self, work: Callable[[_Put], Coroutine[object, object, None]], ahead: int) -> None:
        self._work, self._ahead = work, ahead
        self._ready: SimpleQueue[Rollout | BaseException | None] = SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self._run())
        # A daemon: a caller that is never closed does not keep the process from ending.
        self._thread = Thread(target=self._loop.run_until_complete, args=(self._task,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()
        self._loop.close()

    def __iter__(self) -> Iterator[Rollout]:
        while (item := self._ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    async def _run(self) -> None:
        end: BaseException | None = None
        try:
            await self._work(self._put)
        except BaseExceptionGroup as group:
            end = group.exceptions[0]  # when a server fails, many requests fail at once, and one error is enough
        except (Exception, asyncio.CancelledError) as error:
            end = error
        self._ready.put(end)

    async def _put(self, rollout: Rollout) -> None:
        while self._ready.qsize() >= self._ahead:
            await asyncio.sleep(0.02)
        self._ready.put(rollout)
