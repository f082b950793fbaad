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
from tidegate.server.generate import Service
from tidegate.server.protocol import GatewayProtocol

logger = logging.getLogger("tidegate")

_BACKLOG = 4096
_WANTED_FILES = 65536
_MOST_ACCEPTED = 256
"""Connections taken at one turn of the event loop: more would keep streams waiting."""

_ACCEPT_PAUSE = 0.1
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


async def serve(
    listener: socket.socket,
    app: ASGIApp,
    service: Service,
    *,
    idle_timeout: float,
    shutdown: float,
    reload: Callable[[], Awaitable[None]],
    started: Callable[[], Awaitable[None]],
) -> None:
    """Serve until SIGINT or SIGTERM, then let live streams finish for up to ``shutdown`` seconds.

    ``started`` makes everything ready before the first connection is accepted. SIGHUP calls ``reload``.
    A second SIGINT or SIGTERM ends the waiting.
    """
    config = Config(app, timeout_keep_alive=int(idle_timeout), access_log=False, log_config=None, ws="none")
    config.load()
    state = ServerState()
    stop = asyncio.Event()
    now = asyncio.Event()
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()

    def asked_to_stop() -> None:
        (now if stop.is_set() else stop).set()

    def asked_to_reload() -> None:
        task = loop.create_task(_reloaded(reload))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGINT, signal.SIGTERM):
        _on_signal(loop, number, asked_to_stop)
    if hasattr(signal, "SIGHUP"):
        _on_signal(loop, signal.SIGHUP, asked_to_reload)
    # Until then connections wait in the listener's backlog, so nobody meets a server without routes.
    await started()
    accepting: _Accepting | asyncio.Server
    try:
        accepting = _Accepting(listener, lambda: GatewayProtocol(config, state, service), loop)
    except NotImplementedError:  # Windows
        accepting = await loop.create_server(lambda: GatewayProtocol(config, state, service), sock=listener)
    service.ready = True
    _settle_memory()
    await stop.wait()
    accepting.close()
    await _wind_down(service, state, shutdown, now)


class _Accepting:
    """Accepts connections: all that wait, at each turn of the event loop.

    uvloop's own server takes one a turn, so that a burst of clients behind many open streams would wait
    for seconds, and overflow the listener's backlog.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._listener = listener
        self._protocol = protocol
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()
        loop.add_reader(listener.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more and give the address back."""
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()

    def _accept(self) -> None:
        for _ in range(_MOST_ACCEPTED):
            try:
                connection, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # out of descriptors: those that wait are served when one is free
                logger.error("cannot accept connections: %s", error.strerror or error)
                self._loop.remove_reader(self._listener.fileno())
                self._loop.call_later(_ACCEPT_PAUSE, self._resume)
                return
            connection.setblocking(False)
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = self._loop.create_task(self._serve(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _resume(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener.fileno(), self._accept)

    async def _serve(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
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
        if stream.header.on_disconnect == "detach" and gateway.streams.log.survives:
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
