"""An answer in lines of JSON, each sent when it is known (application/x-ndjson).

The last line says how it ended: `{"done":true}`, or `{"error":"..."}`. A stream without such a line was broken off, so
nobody can take half an answer for a whole one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from aiohttp import web

from exprl.serve.answers import HEADERS, line
from exprl.serve.log import note_error
from exprl.serve.state import State

__all__ = ["TIMED_OUT", "stream"]

TIMED_OUT = "there was no verdict in time"


async def stream(
    request: web.Request, state: State, parts: AsyncGenerator[Mapping[str, object], None]
) -> web.StreamResponse:
    """Send parts as they come, all within the time for an answer."""
    response = web.StreamResponse(headers={**HEADERS, "Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    last: Mapping[str, object] = {"done": True}
    try:
        # Closed here: whoever goes away leaves no judge at work for nobody.
        async with asyncio.timeout(state.limits.answer), aclosing(parts):
            async for part in parts:
                await response.write(line(part))
    except TimeoutError:
        last = {"error": TIMED_OUT}
    except ConnectionError:
        raise
    except Exception as error:
        note_error(error)  # the head is sent: what went wrong can only be said in the last line
        last = {"error": "something went wrong here"}
    await response.write(line(last))
    await response.write_eof()
    return response
