"""The OpenAPI 3.1 document, made from the routes and the models that check requests, so that it cannot say something else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from exprl.serve import bodies
from exprl.serve.routes import ROUTES, Route

__all__ = ["openapi"]

_ABOUT = (
    "Scores traces against hidden references that an evaluator has registered and that actors name by id. A score lies in "
    "[0, 1]; null means that there is none, and is never to be read as 0."
)
_REFUSALS = {
    400: "not JSON, or no HTTP",
    408: "the body came too slowly",
    413: "the body is too large",
    415: "another type of body",
    422: "not what is asked for",
}
_GATE = {401: "no token, or nobody's", 403: "another role's token is needed"}
_BUSY = {429: "too many requests; see Retry-After", 503: "stopping, busy, or not set up for this"}


def openapi(version: str) -> dict[str, object]:
    """The document, as JSON values."""
    paths: dict[str, dict[str, object]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "exprl serve", "version": version, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> dict[str, object]:
    operation: dict[str, object] = {
        "operationId": route.handler.__name__,
        "summary": route.words,
        "responses": _responses(route),
        "security": [{"token": []}] if route.roles is not None else [],
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _json(route.body)}
    if "{id}" in route.path:
        schema = {"type": "string", "minLength": 1, "maxLength": 200}
        operation["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": schema}]
    return operation


def _responses(route: Route) -> dict[str, object]:
    found: dict[str, object] = {}
    for status, model in route.gives.items():
        found[str(status)] = _response(model.__doc__ if model else "done", model, route if status == 200 else None)
    refusals = {**(_GATE if route.roles else {}), **_BUSY, **(_REFUSALS if route.body else {})}
    for status, words in sorted(refusals.items()):
        found.setdefault(str(status), _response(words, bodies.Error, None))
    return found


def _response(words: str | None, model: type[BaseModel] | None, route: Route | None) -> dict[str, object]:
    response: dict[str, object] = {"description": words or ""}
    if model is not None:
        response["content"] = _json(model)
    elif route is not None:
        response["content"] = {"text/plain": {"schema": {"type": "string"}}}
    if route is not None and route.stream is not None and isinstance(content := response["content"], dict):
        content["application/x-ndjson"] = {"schema": {"type": "string"}, "x-line": _ref(route.stream)}
    return response


def _json(model: type[BaseModel]) -> dict[str, object]:
    return {"application/json": {"schema": _ref(model)}}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _schemas() -> Mapping[str, Any]:
    _, document = models_json_schema(
        [(model, "validation") for model in _models()], ref_template="#/components/schemas/{model}"
    )
    schemas: Mapping[str, Any] = document["$defs"]
    return schemas


def _models() -> Iterable[type[BaseModel]]:
    found: dict[str, type[BaseModel]] = {}
    for route in ROUTES:
        for model in (route.body, route.stream, *route.gives.values(), bodies.Error, bodies.Done):
            if model is not None:
                found[model.__name__] = model
    return found.values()
