"""The address that a process listens on, its open files and its signals, whatever it serves."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
from collections.abc import Awaitable, Callable

from tidegate.errors import ConfigError, StoreError

logger = logging.getLogger("tidegate")

_BACKLOG = 4096
_WANTED_FILES = 65536


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
    """SIGINT and SIGTERM ask for the end, SIGHUP calls ``reload``, whose failure is logged."""
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


async def _reloaded(reload: Callable[[], Awaitable[None]]) -> None:
    try:
        await reload()
    except (ConfigError, StoreError) as error:
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
