"""The judge and the rewards over HTTP: for actors whose process must never hold a reference.

An evaluator registers problems with their references once; an actor names them by id and gets numbers. Both show a bearer
token, and each has its own (`auth`).

    routes    what there is           gate       what every request passes before it is read
    handlers  what is done            scoring    judge, verifier, and what they have said already
    limits    what one server bears   run        from listening to a clean end

    POST /v1/references        {id, problem, solution, answer, tests, domain}       evaluator
    POST /v1/score             {reference, text}                -> {score}
    POST /v1/score_prefixes    {reference, text, cuts, stream}  -> {cuts, scores}, or a line a prefix
    POST /v1/verify            {reference, text}                -> {score}: 1 right, 0 wrong
    GET  /health  /metrics  /openapi.json  /  (a page)

No response holds a reference, with one exception that must be asked for: an evaluator's `"reasons": true` gives the judge's own
words, which may quote one. Logs, errors and metrics hold none at all, nor any text of a request.

What it refuses: to run without a token. What it leaves to others: TLS, for which a proxy stands before it where the network is
not one's own. aiohttp, a core dependency, serves; importing `exprl` does not import it.
"""

from __future__ import annotations

__all__: list[str] = []
