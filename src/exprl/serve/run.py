"""From a listening socket to a clean end.

    SIGTERM or SIGINT -> no new connections, new requests 503, `/health` says stopping -> what is in flight is finished, for
    at most `grace` seconds -> connections, judge and verifiers are closed

A second signal ends the waiting. A connection beyond the limit is cut before it costs anything; one that brings no whole
request in `head` seconds is closed, so that slow clients cannot hold what fast ones need.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from functools import partial

from aiohttp import web

from exprl.errors import ConfigError
from exprl.serve.app import make_app
from exprl.serve.log import http_logger, logger
from exprl.serve.metrics import Metrics
from exprl.serve.state import State

__all__ = ["Running", "run_until_signal", "start"]

_POLL = 0.02
_LINGER = 0.5


class Running:
    """A server that listens. `stop` ends it."""

    def __init__(self, state: State, runner: web.AppRunner, listening: asyncio.Server) -> None:
        self._state, self._runner, self._listening = state, runner, listening

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self._listening.sockets[0].getsockname()[1]
        return port

    async def stop(self, hurry: asyncio.Event | None = None) -> None:
        """Finish what is in flight, then close; `hurry` ends the waiting."""
        state = self._state
        state.stopping = True
        self._listening.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + state.limits.grace
        while state.metrics.in_flight and loop.time() < end and not (hurry and hurry.is_set()):
            await asyncio.sleep(_POLL)
        if state.metrics.in_flight:
            logger.warning("%d requests were not finished", state.metrics.in_flight)
        await self._runner.cleanup()
        await state.scorer.aclose()


async def start(state: State, host: str, port: int) -> Running:
    """Listen.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    limits = state.limits
    runner = web.AppRunner(
        make_app(state),
        access_log=None,
        logger=http_logger,
        keepalive_timeout=limits.head,
        lingering_time=_LINGER,
        auto_decompress=False,
        handler_cancellation=True,  # who went away needs no judge
        shutdown_timeout=_LINGER,
    )
    await runner.setup()
    loop = asyncio.get_running_loop()
    server = runner.server
    assert server is not None
    state.connections = lambda: len(server.connections)
    door = partial(_door, server, state.metrics, limits.connections)
    try:
        listening = await loop.create_server(door, host, port, backlog=256)
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(f"cannot listen on {host}, port {port}: {error.strerror}; choose another --port") from error
    return Running(state, runner, listening)


async def run_until_signal(state: State, host: str, port: int, ready: Callable[[int], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        ready: told the port once the server listens.
    Raises:
        ConfigError: see `start`.
    """
    running = await start(state, host, port)
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: (hurry if stop.is_set() else stop).set())
    ready(running.port)
    await stop.wait()
    logger.info("stopping: %d requests in flight", state.metrics.in_flight)
    await running.stop(hurry)


class _Cut(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.abort()


def _door(server: web.Server, metrics: Metrics, most: int) -> asyncio.BaseProtocol:
    if len(server.connections) >= most:
        metrics.refused("connections")
        return _Cut()
    return server()
