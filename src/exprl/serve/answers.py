"""How an answer is written: JSON, not to be kept by anybody on the way, and refusals that quote nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from aiohttp import web

from exprl.serve.bodies import Said
from exprl.types import Verdict

__all__ = ["HEADERS", "RefusalError", "answer", "line", "refusal", "said"]

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class RefusalError(Exception):
    """A request that is turned away: status, words for the asker, a word for the metrics, and when to come again."""

    def __init__(self, status: int, words: str, reason: str, *, wait: float | None = None, close: bool = False) -> None:
        super().__init__(words)
        self.status, self.words, self.reason, self.wait, self.close = status, words, reason, wait, close


def answer(body: Mapping[str, object], status: int = 200) -> web.Response:
    """A JSON response."""
    return web.Response(body=line(body), status=status, content_type="application/json", headers=HEADERS)


def refusal(error: RefusalError) -> web.Response:
    """The response that turns a request away."""
    response = answer({"error": error.words}, error.status)
    if error.wait is not None:
        response.headers["Retry-After"] = str(max(math.ceil(error.wait), 1))
    if error.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="exprl"'
    if error.close:
        response.force_close()
    return response


def line(body: Mapping[str, object]) -> bytes:
    """One line of JSON, ASCII only."""
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def said(verdict: Verdict) -> dict[str, object]:
    """A verdict with its reasons, for an evaluator."""
    return Said(
        judge=verdict.judge, grade=verdict.likert, unscored=verdict.unscored, reply=verdict.raw, note=verdict.note
    ).model_dump()
