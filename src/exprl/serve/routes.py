"""Every route, once: what the server is built from, and its OpenAPI document."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel

from exprl.serve import bodies, handlers
from exprl.serve.auth import Role
from exprl.serve.gate import Handler

__all__ = ["ROUTES", "Route"]

_EVERYBODY: frozenset[Role] = frozenset({"actor", "evaluator"})
_EVALUATOR: frozenset[Role] = frozenset({"evaluator"})


class Route(NamedTuple):
    """One route: `body` is what it takes, `gives` what it answers by status (None: no JSON)."""

    method: str
    path: str
    handler: Handler
    roles: frozenset[Role] | None
    words: str
    gives: dict[int, type[BaseModel] | None]
    body: type[BaseModel] | None = None
    stream: type[BaseModel] | None = None


ROUTES = (
    Route(
        "POST",
        "/v1/references",
        handlers.register,
        _EVALUATOR,
        "Register a problem with its hidden reference",
        {201: bodies.Registration, 200: bodies.Registration, 409: bodies.Error, 507: bodies.Error},
        bodies.NewReference,
    ),
    Route(
        "GET",
        "/v1/references/{id}",
        handlers.known,
        _EVALUATOR,
        "Is a reference registered?",
        {200: bodies.Known, 404: bodies.Error},
    ),
    Route(
        "DELETE",
        "/v1/references/{id}",
        handlers.forget,
        _EVALUATOR,
        "Forget a reference",
        {204: None, 404: bodies.Error},
    ),
    Route(
        "POST",
        "/v1/score",
        handlers.score,
        _EVERYBODY,
        "The judge's score of a whole trace",
        {200: bodies.Score, 404: bodies.Error, 504: bodies.Error},
        bodies.ScoreText,
    ),
    Route(
        "POST",
        "/v1/score_prefixes",
        handlers.score_prefixes,
        _EVERYBODY,
        "The judge's score of every prefix of a trace",
        {200: bodies.PrefixScores, 404: bodies.Error, 504: bodies.Error},
        bodies.ScorePrefixes,
        stream=bodies.PrefixScore,
    ),
    Route(
        "POST",
        "/v1/verify",
        handlers.verify,
        _EVERYBODY,
        "Is the final answer right, by the strongest verifier that the problem's data allow?",
        {200: bodies.Score, 404: bodies.Error, 504: bodies.Error},
        bodies.Verify,
    ),
    Route("GET", "/metrics", handlers.metrics, _EVALUATOR, "Counts in Prometheus's text format", {200: None}),
    Route(
        "GET",
        "/health",
        handlers.health,
        None,
        "Does the server take requests?",
        {200: bodies.Health, 503: bodies.Health},
    ),
)
