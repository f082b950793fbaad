"""``tidegate serve`` with one process, which owns everything and serves."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

from tidegate.app import Application
from tidegate.cli.home import record_address, remove_address
from tidegate.cli.screen import Start, names, show_start
from tidegate.config import Config
from tidegate.server.process import Ending, obey_signals
from tidegate.server.serve import serve


async def serve_alone(config: Config, listener: socket.socket, url: str, load: Callable[[], Config]) -> None:
    """Serve until a signal ends it; SIGHUP takes what ``load`` returns by then. Raises ConfigError."""
    application = Application(config, os.environ, asyncio.get_running_loop())
    ending = Ending()

    async def reload() -> None:
        await application.apply(load())

    async def started() -> None:
        await application.start()
        record_address(url, os.getpid(), os.environ)
        show_start(_start_of(application), url)

    obey_signals(ending, reload)
    try:
        await serve(
            listener,
            application.asgi,
            application.service,
            idle_timeout=config.server.idle_timeout,
            shutdown=config.server.shutdown,
            ending=ending,
            started=started,
            serving=application.serving,
        )
    finally:
        remove_address(os.getpid(), os.environ)
        await application.close()


def _start_of(application: Application) -> Start:
    """What there is to say about this process."""
    routes = application.gateway.routes
    return Start(application.config, application.found, *names(routes), routes.default)
