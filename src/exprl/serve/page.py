"""The page: paste a trace, name a reference, and see the segments by their scores.

Three files of the package, served as they are. They need nothing from elsewhere, and the Content-Security-Policy allows
nothing else: no inline script, no inline style, no other host. What a server answers and what a user pastes is put into the
page as text (`textContent`), never as markup. A token that is typed there stays in the page's memory.
"""

from __future__ import annotations

from importlib import resources

from aiohttp import web

from exprl.serve.auth import Role
from exprl.serve.gate import Handler
from exprl.serve.state import State

__all__ = ["ASSETS", "asset"]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ASSETS = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def asset(name: str) -> Handler:
    """The handler of one of the page's files."""
    file, content_type = ASSETS[name]
    text = resources.files("exprl.serve").joinpath(file).read_text("utf-8")

    async def handler(request: web.Request, state: State, role: Role | None) -> web.StreamResponse:
        return web.Response(text=text, content_type=content_type, charset="utf-8", headers=_HEADERS)

    return handler
