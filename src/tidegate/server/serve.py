"""Serving a socket, and the way down: what is under way may finish, and the rest ends honestly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

from tidegate.generation import Gateway
from tidegate.server.accepting import Accepting
from tidegate.server.generate import Service
from tidegate.server.handover import Adopt
from tidegate.server.interpreter import settle_interpreter
from tidegate.server.loads import Counted, Loads
from tidegate.server.process import Ending
from tidegate.server.protocol import GatewayProtocol
from tidegate.streams.registry import Stream

logger = logging.getLogger("tidegate")


async def serve(
    listener: socket.socket,
    app: ASGIApp,
    service: Service,
    *,
    idle_timeout: float,
    shutdown: float,
    ending: Ending,
    started: Callable[[], Awaitable[None]],
    serving: Callable[[Adopt], Awaitable[None]] | None = None,
    loads: Loads | None = None,
) -> None:
    """Serve until the end is asked for, then let live streams finish for up to ``shutdown`` seconds.

    ``started`` makes everything ready before the first connection is accepted; ``serving`` is called when
    connections are, with what takes over those of other workers. ``loads`` are those of all that serve the
    same listener.
    """
    connections = _Connections(app, service, idle_timeout)
    leave = None
    if loads is not None:
        open_ones = connections.state.connections = cast(set[Any], Counted(loads))
        leave = lambda coming: loads.is_ahead(len(open_ones) + coming)  # noqa: E731
    # Until then connections wait in the listener's backlog, so nobody meets a server without routes.
    await started()
    accepting: Accepting | asyncio.Server
    try:
        accepting = Accepting(listener, connections.serve, leave)
    except NotImplementedError:  # Windows
        loop = asyncio.get_running_loop()
        accepting = await loop.create_server(connections.protocol, sock=listener)
    service.ready = True
    if serving is not None:
        await serving(connections.serve)
    settle_interpreter()
    await ending.stop.wait()
    accepting.close()
    await _wind_down(service, connections.state, shutdown, ending.now)


class _Connections:
    """Makes clients' connections, all of one server."""

    def __init__(self, app: ASGIApp, service: Service, idle_timeout: float) -> None:
        self.state = ServerState()
        self._config = Config(
            app, timeout_keep_alive=int(idle_timeout), access_log=False, log_config=None, ws="none"
        )
        self._config.load()
        self._service = service

    def protocol(self, adopted: bytes = b"") -> GatewayProtocol:
        return GatewayProtocol(self._config, self.state, self._service, adopted)

    async def serve(self, connection: socket.socket, adopted: bytes = b"") -> None:
        """Serve a connection that was accepted here, or by another worker that read ``adopted`` from it."""
        try:
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            loop = asyncio.get_running_loop()
            await loop.connect_accepted_socket(lambda: self.protocol(adopted), connection)
        except OSError:
            connection.close()  # gone before it was served


async def _wind_down(service: Service, state: ServerState, seconds: float, now: asyncio.Event) -> None:
    """No new streams; live ones finish until the deadline, the rest end in an honest terminal."""
    gateway = service.gateway
    gateway.closing = True
    for connection in list(state.connections):
        connection.shutdown()
    if pending := _pending(gateway):
        logger.info("shutting down: waiting up to %g s for %d streams", seconds, pending)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while _pending(gateway) and not now.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await now.wait()
    tasks = [stream.task for stream in gateway.streams if stream.task is not None]
    for stream in gateway.streams:
        if _goes_on_elsewhere(gateway, stream):
            stream.leave()
        else:
            stream.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=2)
    # What was written must leave the process before its sockets do.
    for connection in list(state.connections):
        connection.shutdown()
    deadline = asyncio.get_running_loop().time() + 1
    while state.connections and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - uvicorn tells nobody
        await asyncio.sleep(0.01)
    for connection in list(state.connections):
        connection.transport.abort()


def _goes_on_elsewhere(gateway: Gateway, stream: Stream) -> bool:
    """Whether the next process goes on with a stream that this one leaves."""
    return gateway.streams.log.survives and gateway.streams.outermost(stream).on_disconnect == "detach"


def _pending(gateway: Gateway) -> int:
    """How many streams and calls may end soon. A person may take days, and can answer the next process."""
    waiting = (stream for stream in gateway.streams if stream.producer.is_unhurried)
    return gateway.busy - sum(_goes_on_elsewhere(gateway, stream) for stream in waiting)
