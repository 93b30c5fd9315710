"""What the server does for those whom the gate lets in. An answer to an actor is made of numbers alone.

Reasons (the judge's words, why there is no score) are for an evaluator who asks for them: `"reasons": true` with an actor's
token is refused, whatever it names. An id that nobody registered is 404 for everybody, without a hint at others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Sequence
from itertools import islice
from typing import TypeVar

from aiohttp import web

from exprl.segment import split
from exprl.serve.answers import RefusalError, answer, said
from exprl.serve.auth import Role
from exprl.serve.bodies import NewReference, ScorePrefixes, ScoreText, Verify
from exprl.serve.gate import read_body
from exprl.serve.references import FullError, Registered, TakenError
from exprl.serve.state import State
from exprl.serve.stream import TIMED_OUT, stream
from exprl.types import Problem, Reference, Verdict
from exprl.verify.code.readers import read_tests
from exprl.verify.code.tests import TestsError

__all__ = ["forget", "health", "known", "metrics", "register", "score", "score_prefixes", "verify"]

_AHEAD = 8
_LONG = 20_000
_Given = TypeVar("_Given")


async def health(request: web.Request, state: State, role: Role | None) -> web.StreamResponse:
    """Whether the server takes requests."""
    return answer({"status": "stopping"}, 503) if state.stopping else answer({"status": "ok"})


async def metrics(request: web.Request, state: State, role: Role | None) -> web.StreamResponse:
    """Counts for Prometheus."""
    text = state.metrics.text(references=len(state.references), connections=state.connections())
    return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def register(request: web.Request, state: State, role: Role | None) -> web.StreamResponse:
    """Take a problem with its reference; the same one again changes nothing."""
    body = await read_body(request, NewReference, state.limits.reference_body, state.limits.receive)
    reference = Reference(body.solution, body.answer, _tests(body))
    try:
        new = state.references.add(Problem(body.id, body.problem, reference, body.domain))
    except TakenError:
        raise RefusalError(409, "another problem has this id; delete it first or take another id", "conflict") from None
    except FullError:
        most = state.limits.references
        raise RefusalError(507, f"there are {most} references, as many as are kept; delete some", "full") from None
    return answer({"id": body.id}, 201 if new else 200)


async def forget(request: web.Request, state: State, role: Role | None) -> web.StreamResponse:
    """Remove a reference."""
    state.references.remove(_entry(state, request.match_info["id"]).problem.id)
    return web.Response(status=204)


async def known(request: web.Request, state: State, role: Role | None) -> web.StreamResponse:
    """Whether a reference is registered: its id and domain, and nothing of what it holds."""
    entry = _entry(state, request.match_info["id"])
    return answer({"id": entry.problem.id, "domain": entry.problem.domain})


async def score(request: web.Request, state: State, role: Role | None) -> web.StreamResponse:
    """The judge's score of a whole trace."""
    body = await read_body(request, ScoreText, state.limits.body, state.limits.receive)
    _may_read(role, body)
    entry = _entry(state, body.reference)
    verdicts = await _in_time(state, state.scorer.score(entry, body.text, (len(body.text),), "outcome"))
    return answer(_scored(verdicts[0], reasons=body.reasons))


async def verify(request: web.Request, state: State, role: Role | None) -> web.StreamResponse:
    """Whether the final answer is right."""
    body = await read_body(request, Verify, state.limits.body, state.limits.receive)
    _may_read(role, body)
    entry = _entry(state, body.reference)
    verdict = await _in_time(state, state.scorer.verify(entry, body.text))
    return answer(_scored(verdict, reasons=body.reasons))


async def score_prefixes(request: web.Request, state: State, role: Role | None) -> web.StreamResponse:
    """The judge's score of every prefix, together or line by line."""
    body = await read_body(request, ScorePrefixes, state.limits.body, state.limits.receive)
    _may_read(role, body)
    entry = _entry(state, body.reference)
    cuts = body.cuts or await _cuts(state, body.text)
    if body.stream:
        return await stream(request, state, _in_order(state, entry, body, cuts))
    verdicts = await _in_time(state, state.scorer.score(entry, body.text, cuts, "prefix"))
    shown: dict[str, object] = {"cuts": cuts, "scores": [verdict.score for verdict in verdicts]}
    if body.reasons:
        shown["verdicts"] = [said(verdict) for verdict in verdicts]
    return answer(shown)


async def _cuts(state: State, text: str) -> list[int]:
    """Where the configuration's rule ends segments; an empty text has one, which is empty."""
    if len(text) <= _LONG:
        segments = split(text, state.segments)
    else:  # a text of nothing but markers takes a while, and others are waiting
        segments = await asyncio.to_thread(split, text, state.segments)
    return [segment.end for segment in segments] or [0]


async def _in_order(
    state: State, entry: Registered, body: ScorePrefixes, cuts: Sequence[int]
) -> AsyncGenerator[dict[str, object], None]:
    """A line a cut, as soon as it and those before it have one; a few prefixes are judged ahead."""
    if not state.one_by_one:
        for cut, verdict in zip(cuts, await state.scorer.score(entry, body.text, cuts, "prefix"), strict=True):
            yield {"cut": cut, **_scored(verdict, reasons=body.reasons)}
        return
    ahead: deque[asyncio.Task[tuple[Verdict, ...]]] = deque()
    waiting = iter(cuts)
    try:
        for cut in cuts:
            # Not all at once: every prefix is a copy of the text.
            for later in islice(waiting, _AHEAD - len(ahead)):
                one = state.scorer.score(entry, body.text[:later], (later,), "prefix")
                ahead.append(asyncio.ensure_future(one))
            verdict = (await ahead.popleft())[0]
            yield {"cut": cut, **_scored(verdict, reasons=body.reasons)}
    finally:
        for task in ahead:
            task.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)


async def _in_time(state: State, verdicts: Awaitable[_Given]) -> _Given:
    try:
        async with asyncio.timeout(state.limits.answer):
            return await verdicts
    except TimeoutError:
        raise RefusalError(504, TIMED_OUT, "timeout") from None


def _entry(state: State, name: str) -> Registered:
    entry = state.references.get(name)
    if entry is None:
        raise RefusalError(404, "no reference has this id", "unknown")
    return entry


def _may_read(role: Role | None, body: ScoreText | ScorePrefixes | Verify) -> None:
    if body.reasons and role != "evaluator":
        raise RefusalError(403, "reasons are for evaluators", "forbidden")


def _tests(body: NewReference) -> str | None:
    if not (body.tests or "").strip():
        return None
    try:
        return read_tests({"tests": body.tests, "prompt": body.problem}, "tests")
    except TestsError:
        pass  # its message names places in the tests; the asker is told no more than that they cannot be read
    raise RefusalError(422, "tests: no form of tests that is known (exprl.verify.code.readers)", "malformed")


def _scored(verdict: Verdict, *, reasons: bool) -> dict[str, object]:
    return {"score": verdict.score, "verdict": said(verdict)} if reasons else {"score": verdict.score}
