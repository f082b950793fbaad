"""Listening, signals and the way down: the one place that knows that this is a process."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import gc
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

from tidegate.errors import ConfigError
from tidegate.server.accepting import Accepting
from tidegate.server.generate import Service
from tidegate.server.handover import Adopt
from tidegate.server.protocol import GatewayProtocol

logger = logging.getLogger("tidegate")

_BACKLOG = 4096
_WANTED_FILES = 65536
_M_MMAP_THRESHOLD = -3
_LARGE_BLOCK = 512 * 1024
"""Blocks of this size go back to the system when they are freed: bodies and images come seldom."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigError with the command that works when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise ConfigError(f"{host!r} is no address of this machine; try --host 127.0.0.1") from None
        reason = error.strerror or str(error)
        raise ConfigError(
            f"cannot listen on {host}:{port}: {reason.lower()}; "
            f"try: tidegate serve --port {_free_port(host, family, port)}"
        ) from None
    listener.setblocking(False)
    return listener


def raise_file_limit() -> int:
    """Allow as many open files as the system lets us; returns how many that is."""
    try:
        import resource  # noqa: PLC0415 - POSIX only
    except ImportError:
        return 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, _WANTED_FILES)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Ending:
    """How a server is asked to end: at first when what is under way has finished, then at once."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.now = asyncio.Event()

    def ask(self) -> None:
        """Stop; asked again, now."""
        (self.now if self.stop.is_set() else self.stop).set()


def obey_signals(ending: Ending, reload: Callable[[], Awaitable[None]]) -> None:
    """SIGINT and SIGTERM ask for the end, SIGHUP calls ``reload``, whose ConfigError is told in the log."""
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()

    def asked_to_reload() -> None:
        task = loop.create_task(_reloaded(reload))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGINT, signal.SIGTERM):
        _on_signal(loop, number, ending.ask)
    if hasattr(signal, "SIGHUP"):
        _on_signal(loop, signal.SIGHUP, asked_to_reload)


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
) -> None:
    """Serve until the end is asked for, then let live streams finish for up to ``shutdown`` seconds.

    ``started`` makes everything ready before the first connection is accepted; ``serving`` is called when
    connections are, with what takes over those of other workers.
    """
    connections = _Connections(app, service, idle_timeout)
    # Until then connections wait in the listener's backlog, so nobody meets a server without routes.
    await started()
    accepting: Accepting | asyncio.Server
    try:
        accepting = Accepting(listener, connections.serve)
    except NotImplementedError:  # Windows
        loop = asyncio.get_running_loop()
        accepting = await loop.create_server(connections.protocol, sock=listener)
    service.ready = True
    if serving is not None:
        await serving(connections.serve)
    _settle_memory()
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
    if gateway.busy:
        logger.info("shutting down: waiting up to %g s for %d streams", seconds, gateway.busy)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while gateway.busy and not now.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(now.wait(), 0.05)
    tasks = [stream.task for stream in gateway.streams if stream.task is not None]
    for stream in gateway.streams:
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


def _settle_memory() -> None:
    """Keep the collector away from what lives as long as the process, and from hurrying over streams.

    Streams free themselves by reference counting; a full collection among thousands of them would stop
    every one for milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    if sys.platform == "linux":
        # glibc raises its threshold with every large block that is freed, and then keeps the next ones.
        with contextlib.suppress(OSError, AttributeError):  # musl has no such call
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


async def _reloaded(reload: Callable[[], Awaitable[None]]) -> None:
    try:
        await reload()
    except ConfigError as error:
        logger.error("the configuration was not reloaded, the old one stays: %s", error.message)
    else:
        logger.info("the configuration was reloaded")


def _on_signal(loop: asyncio.AbstractEventLoop, number: int, action: Callable[[], None]) -> None:
    try:
        loop.add_signal_handler(number, action)
    except NotImplementedError:  # Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(action))


def _free_port(host: str, family: int, port: int) -> int:
    """A port near the wanted one that can be had, for the error message."""
    for candidate in range(port + 1, min(port + 50, 65536)):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((host, candidate))
            except OSError:
                continue
            return candidate
    return 0
