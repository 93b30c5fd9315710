"""The application: routes behind the gate, the page, and the OpenAPI document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version

from aiohttp import web

from exprl.serve.answers import HEADERS, RefusalError, refusal
from exprl.serve.auth import Role
from exprl.serve.gate import Handler, gated
from exprl.serve.openapi import openapi
from exprl.serve.page import ASSETS, asset
from exprl.serve.routes import ROUTES
from exprl.serve.state import STATE, State

__all__ = ["make_app"]


def make_app(state: State) -> web.Application:
    """The application of one server."""
    # Bodies are read and bounded by `gate.read_body`; this is for whatever might read one another way.
    app = web.Application(middlewares=[_in_json], client_max_size=state.limits.body)
    app[STATE] = state
    for route in ROUTES:
        path = route.path.replace("{id}", "{id:.+}")
        handler = gated(route.handler, roles=route.roles, name=route.path, health=route.path == "/health")
        app.router.add_route(route.method, path, handler)
        if route.method == "GET":
            app.router.add_route("HEAD", path, handler)
    document = web.json_response(openapi(version("exprl"))).body
    app.router.add_get("/openapi.json", gated(_fixed(document, "application/json"), roles=None, name="/openapi.json"))
    for name in ASSETS:
        app.router.add_get(name, gated(asset(name), roles=None, name=name))
    app.on_response_prepare.append(_unnamed)
    return app


def _fixed(body: object, content_type: str) -> Handler:
    async def handler(request: web.Request, state: State, role: Role | None) -> web.StreamResponse:
        return web.Response(body=body, content_type=content_type, headers=HEADERS)

    return handler


@web.middleware
async def _in_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Paths and methods that do not exist are refused in the same words as all else."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        request.app[STATE].metrics.refused("unknown")
        response = refusal(RefusalError(error.status, error.reason.lower(), "unknown"))
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response


async def _unnamed(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "exprl"  # not which version of what
