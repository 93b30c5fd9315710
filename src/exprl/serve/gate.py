"""What every request passes, in this order; the first thing that is wrong turns it away.

    stopping?            503    the server finishes what it has, and takes nothing new
    public route         200    page, health and OpenAPI, at a rate an address
    whose token?         401    nobody's; after too many of these from one address 429
    may this role?       403    an actor neither registers nor reads metrics
    too often?           429    a bucket a role
    too many at once?    503

Only then is a body read (`read_body`): its type, its size, and all of it in time. So whoever has no token can make the server
read a head and nothing else. What goes wrong inside is an answer 500 without words, and a line in the log with the kind
of error and where it arose: the text of an exception may hold a trace or worse.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ValidationError

from exprl.errors import ExprlError
from exprl.serve.answers import RefusalError, answer, refusal
from exprl.serve.auth import Role
from exprl.serve.bodies import faults
from exprl.serve.log import note_answer, note_error
from exprl.serve.state import STATE, State

__all__ = ["Handler", "gated", "read_body"]

Handler = Callable[[web.Request, State, Role | None], Awaitable[web.StreamResponse]]
_Model = TypeVar("_Model", bound=BaseModel)
_BUSY_WAIT = 1.0


def gated(
    handler: Handler, *, roles: frozenset[Role] | None, name: str, health: bool = False
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A handler behind the gate.

    Args:
        roles: whose token it takes; None for a public route.
        name: the route's template, for metrics and log.
        health: also answers while the server stops.
    """

    async def answered(request: web.Request) -> web.StreamResponse:
        state, started = request.app[STATE], time.perf_counter()
        metrics, response, role = state.metrics, None, None
        if roles is not None:
            role = state.keyring.role(request.headers.get("Authorization"))
        metrics.in_flight += 1
        try:
            response = await _tried(handler, request, state, role, roles, health=health)
            return response
        finally:
            metrics.in_flight -= 1
            seconds = time.perf_counter() - started
            status = 499 if response is None else response.status  # 499: the client went away
            metrics.answered(name, status, seconds)
            if state.access_log:
                note_answer(request.method, name, status, seconds, role)

    return answered


async def _tried(
    handler: Handler,
    request: web.Request,
    state: State,
    role: Role | None,
    roles: frozenset[Role] | None,
    *,
    health: bool,
) -> web.StreamResponse:
    try:
        if state.stopping and not health:
            raise RefusalError(503, "the server is stopping", "stopping", wait=5.0, close=True)
        if roles is None:
            _admit_stranger(state, request.remote or "")
        else:
            _admit(state, request.remote or "", role, roles)
        return await handler(request, state, role)
    except RefusalError as error:
        state.metrics.refused(error.reason)
        return refusal(error)
    except ExprlError as error:
        note_error(error, words=True)  # says what to install or mend, and holds no text of a request
        return answer({"error": "the server cannot do this as it is set up; its log says why"}, 503)
    except ConnectionError:
        raise  # the client went away
    except (HttpProcessingError, web.RequestPayloadError):  # chunks that are none, say
        state.metrics.refused("malformed")
        return answer({"error": "the body is broken"}, 400)
    except Exception as error:
        note_error(error)
        return answer({"error": "something went wrong here"}, 500)


def _admit_stranger(state: State, address: str) -> None:
    if wait := state.strangers.take(f"public {address}"):
        raise RefusalError(429, "too many requests from this address", "rate", wait=wait)


def _admit(state: State, address: str, role: Role | None, roles: frozenset[Role]) -> None:
    if role is None:
        if wait := state.strangers.take(address):
            raise RefusalError(429, "too many requests without a token", "rate", wait=wait, close=True)
        raise RefusalError(401, "a bearer token is needed", "unauthenticated")
    if role not in roles:
        raise RefusalError(403, "this needs an evaluator's token", "forbidden")
    if wait := state.roles.take(role):
        raise RefusalError(429, "too many requests", "rate", wait=wait)
    if state.metrics.in_flight > state.limits.in_flight:
        raise RefusalError(503, "too many requests at once", "busy", wait=_BUSY_WAIT)


async def read_body(request: web.Request, model: type[_Model], most: int, seconds: float) -> _Model:
    """The body of a request, checked.

    Args:
        most: bytes.
        seconds: for all of it.
    Raises:
        RefusalError: 400 malformed, 408 too slow, 413 too large, 415 another type, 422 not what is asked for.
    """
    if request.content_type != "application/json" or request.headers.get("Content-Encoding", "identity") != "identity":
        raise RefusalError(415, "the body must be application/json, not compressed", "malformed", close=True)
    if (request.content_length or 0) > most:
        raise _too_large(most)
    try:
        async with asyncio.timeout(seconds):
            data = await _bytes(request, most)
    except TimeoutError:
        raise RefusalError(408, f"the body did not arrive within {seconds:g} s", "slow", close=True) from None
    try:
        return model.model_validate_json(bytes(data))
    except ValidationError as error:
        # The exception knows what was sent: it is read off here and not chained.
        broken = any(
            item["type"] == "json_invalid" for item in error.errors(include_input=False, include_context=False)
        )
        words = "the body is not JSON" if broken else faults(error, model)
    raise RefusalError(400 if broken else 422, words, "malformed")


async def _bytes(request: web.Request, most: int) -> bytearray:
    data = bytearray()
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > most:
            raise _too_large(most)
    return data


def _too_large(most: int) -> RefusalError:
    return RefusalError(413, f"the body is larger than {most} bytes", "oversized", close=True)
