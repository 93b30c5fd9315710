"""Samples from an OpenAI-compatible chat endpoint (vLLM, llama.cpp, a hosted model).

One request a sample, `concurrency` of them in flight, yielded as they come back: a rollout is known by its id, not by
its place. Each request carries a seed hashed from the run's and its id, for servers that honour it. `top_k` and
`min_p` are sent as 0, since servers otherwise sample with defaults of their own (40 and 0.05 in llama.cpp); pass
`extra={}` for one that refuses to know them. A key is read from the environment variable EXPRL_POLICY_API_KEY and
from nowhere else.

Connection errors, timeouts, 408, 429 and 5xx are tried again with growing pauses; after that, and on any other answer
that cannot be used, sampling stops with an `EngineError`, and what was yielded before is the caller's to keep.

    >>> sampler = HTTPSampler("http://127.0.0.1:8000/v1", "HuggingFaceTB/SmolLM2-135M-Instruct", PromptConfig())
    >>> rollouts = sampler.sample(questions, 64, temperature=0.8, max_tokens=512, seed=0)  # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterator, Mapping, Sequence

import aiohttp
import stamina

from exprl.config import PromptConfig
from exprl.errors import EngineError
from exprl.evaluate.sample.plan import Draw, derive_seed, draws
from exprl.prompting import messages
from exprl.types import Question, Rollout

__all__ = ["HTTPSampler"]

API_KEY_ENV = "EXPRL_POLICY_API_KEY"
_UNTOUCHED_SOFTMAX: Mapping[str, float] = {"top_k": 0, "min_p": 0}


class _Busy(Exception):
    """An answer after which it makes sense to ask again."""


_RETRIED = (aiohttp.ClientError, TimeoutError, _Busy)


class HTTPSampler:
    """A `Sampler` over a chat endpoint. Not to be called from inside a running event loop: it runs its own.

    Args:
        url: up to and including the version, as in `http://127.0.0.1:8000/v1`.
        timeout: seconds for one sample.
        extra: further keys of the request.
    """

    def __init__(
        self,
        url: str,
        model: str,
        prompt: PromptConfig,
        *,
        concurrency: int = 32,
        timeout: float = 600.0,
        retries: int = 4,
        extra: Mapping[str, str | float] = _UNTOUCHED_SOFTMAX,
    ) -> None:
        self._url = url.rstrip("/") + "/chat/completions"
        self._model = model
        self._prompt = prompt
        self._concurrency = concurrency
        self._timeout = aiohttp.ClientTimeout(total=timeout)
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
        # The loop runs while this generator is asked for the next rollout; requests in flight wait in between.
        with asyncio.Runner() as runner:
            session = runner.run(self._session())
            ready: set[asyncio.Task[Rollout]] = set()
            pending: set[asyncio.Task[Rollout]] = set()
            try:
                while True:
                    while len(pending) < self._concurrency and (item := next(bodies, None)) is not None:
                        pending.add(runner.get_loop().create_task(self._ask(session, *item)))
                    if not pending:
                        return
                    ready, pending = runner.run(_first(pending))
                    yield from [task.result() for task in ready]
            finally:
                runner.run(_close(session, ready | pending))

    def _body(self, draw: Draw, seed: int) -> dict[str, object]:
        turns = messages(draw.question, self._prompt)
        return {"model": self._model, "messages": turns, "seed": derive_seed(seed, [draw.id], bits=31)}

    async def _session(self) -> aiohttp.ClientSession:
        key = os.environ.get(API_KEY_ENV)
        return aiohttp.ClientSession(
            timeout=self._timeout,
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
                "the server and run again with --resume: finished samples are kept"
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


async def _first(tasks: set[asyncio.Task[Rollout]]) -> tuple[set[asyncio.Task[Rollout]], set[asyncio.Task[Rollout]]]:
    return await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


async def _close(session: aiohttp.ClientSession, tasks: set[asyncio.Task[Rollout]]) -> None:
    for task in tasks:
        task.cancel()
    # Looked at, all of them: when a server fails, many requests fail at once, and one error is enough.
    await asyncio.gather(*tasks, return_exceptions=True)
    await session.close()
