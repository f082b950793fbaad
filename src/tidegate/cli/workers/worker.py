"""One worker's program: serves the socket that it inherited, for as long as its owner lives.

Started by :mod:`tidegate.cli.workers.owner` as ``python -m tidegate.cli.workers.worker LISTENER CHANNEL``,
two descriptors; what to do it asks over the channel.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from tidegate.app import Application
from tidegate.cli.event_loop import loop_factory
from tidegate.cli.screen import names
from tidegate.cli.workers.task import Task
from tidegate.cli.workers.whole_lines import log_as
from tidegate.engines import RemoteEngine
from tidegate.errors import ConfigError, StoreError
from tidegate.server.handover import Adopt, Peers
from tidegate.server.loads import Loads
from tidegate.server.process import Ending
from tidegate.server.serve import serve
from tidegate.server.together import answers_to_peers
from tidegate.server.workers import Channel
from tidegate.server.workers.supervisor import ALIVE, NOW, READY, RELOAD, STOP, TASK

_SET_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG


class _Worker:
    """This process. Its answers to the owner's questions come from here."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._ending = Ending()
        self._application: Application | None = None

    async def run(self, end: socket.socket) -> int:
        """Serve until the owner, or a SIGTERM, asks for the end; the exit code."""
        answers = {RELOAD: self._reload, STOP: self._stop, NOW: self._now, ALIVE: self._alive}
        channel = await Channel.over(end, answers)
        listening = asyncio.ensure_future(channel.listen())
        # Without an owner there are no engines, and nobody who could start a new one would get the address.
        listening.add_done_callback(_die)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._ending.stop.set)
        told = await channel.ask(TASK)
        log_as(told["number"])
        try:
            await self._serve(channel, told["number"], msgspec.convert(told["task"], Task))
        except (ConfigError, StoreError) as error:
            await channel.ask(READY, {"problem": error.message})
            return 1
        finally:
            listening.remove_done_callback(_die)
        return 0

    async def _serve(self, channel: Channel, number: int, task: Task) -> None:
        config = task.config(os.environ)
        self._application = application = Application(
            config,
            os.environ,
            asyncio.get_running_loop(),
            make_engine=lambda settings: RemoteEngine(settings, channel.ask),
            preloads=number == 0,
        )
        peers = application.service.peers = Peers.of_worker(Path(task.folder), number, task.workers)

        async def started() -> None:
            await application.start(task.found)

        async def serving(adopt: Adopt) -> None:
            peers.listen(answers_to_peers(application.service, application.metrics), adopt)
            await application.serving(adopt)
            routes = application.gateway.routes
            models, agents = names(routes)
            keys = application.config.auth.keys  # which the keys of the store have a say in
            await channel.ask(
                READY, {"models": models, "agents": agents, "default": routes.default, "keys": keys}
            )

        try:
            await serve(
                self._listener,
                application.asgi,
                application.service,
                idle_timeout=config.server.idle_timeout,
                shutdown=config.server.shutdown,
                ending=self._ending,
                started=started,
                serving=serving,
                loads=Loads(Path(task.folder), task.workers, number),
            )
        finally:
            peers.close()
            await application.close()

    async def _reload(self, value: Any) -> str | None:
        """Take a new task; what is wrong with it, and then the old one stays."""
        assert self._application is not None
        task = msgspec.convert(value, Task)
        try:
            await self._application.apply(task.config(os.environ), task.found)
        except ConfigError as error:
            return error.message
        return None

    async def _alive(self, _: Any) -> bool:
        return True

    async def _stop(self, _: Any) -> None:
        self._ending.stop.set()

    async def _now(self, _: Any) -> None:
        self._ending.stop.set()
        self._ending.now.set()


def main() -> None:
    """Begin to serve, or say to the owner why not."""
    listener, channel = (socket.socket(fileno=int(each)) for each in sys.argv[1:3])
    _settle_signals()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        code = runner.run(_Worker(listener).run(channel))
    sys.exit(code)


def _settle_signals() -> None:
    """Ctrl-C and a closing terminal are for the owner, which decides; its death is this one's (on Linux).

    Elsewhere, and for an owner that was gone before this call, the end of the channel does it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)


def _die(_: asyncio.Future[None]) -> None:
    os._exit(1)


if __name__ == "__main__":
    main()
