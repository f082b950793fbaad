"""The process that is typed: owns the socket, the engines and the signals, and serves nobody itself."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from tidegate.cli.home import record_address, remove_address
from tidegate.cli.screen import Start, show_start
from tidegate.cli.workers.task import Task
from tidegate.config import Config, load_config, read_file
from tidegate.engines import SharedEngines
from tidegate.engines.directory import PrivateDirectory
from tidegate.engines.shared import READY, RELEASE
from tidegate.errors import ConfigError
from tidegate.net import Pool
from tidegate.server.handover import socket_name
from tidegate.server.loads import Loads
from tidegate.server.process import Ending, obey_signals
from tidegate.server.workers import Child, Supervisor
from tidegate.sources.discovery import Found, all_providers, discover, told, worth_telling

logger = logging.getLogger("tidegate")

_WORKER: Final = (sys.executable, "-P", "-m", "tidegate.cli.workers.worker")
_Given = Mapping[str, str | Sequence[str]]


class Owner:
    """One gateway of several processes."""

    def __init__(
        self, listener: socket.socket, url: str, workers: int, path: Path | None, given: _Given
    ) -> None:
        self._listener = listener
        self._url = url
        self._workers = workers
        self._path = path
        self._given = given
        self._engines = SharedEngines()
        self._pool = Pool(time.monotonic)
        try:
            self._folder = PrivateDirectory("tidegate-workers-", socket_name(workers), "lock")
        except OSError as error:
            raise ConfigError(f"no folder for the sockets of workers: {error}") from None

        self._loads = Loads(self._folder.path, workers)
        for number in range(workers):
            self._loads.gone(number)

    async def run(self) -> None:
        """Serve until a signal ends it. Raises ConfigError when it cannot be begun."""
        ending = Ending()
        begun: list[Supervisor] = []

        async def reload() -> None:
            _, _, task = await self._look()
            for supervisor in begun:
                await supervisor.reload(task)

        obey_signals(ending, reload)
        try:
            config, found, task = await self._look()
            supervisor = Supervisor(self._workers, task, self._spawn, ended=self._ended)
            begun.append(supervisor)
            if await self._started(supervisor, ending, config, found):
                await ending.stop.wait()
                remove_address(os.getpid(), os.environ)
                self._listener.close()
                await supervisor.stop(config.server.shutdown, ending.now)
        finally:
            remove_address(os.getpid(), os.environ)
            await self._engines.stop()
            self._pool.close()
            self._folder.remove()

    def _ended(self, worker: int) -> None:
        self._engines.left(worker)
        self._loads.gone(worker)

    async def _started(
        self, supervisor: Supervisor, ending: Ending, config: Config, found: Sequence[Found]
    ) -> bool:
        """Whether all workers serve; False when the end was asked for meanwhile."""
        starting = asyncio.ensure_future(supervisor.start())
        stopped = asyncio.ensure_future(ending.stop.wait())
        await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            with suppress(asyncio.CancelledError):
                await starting
            return False
        stopped.cancel()
        ready = await starting
        record_address(self._url, os.getpid(), os.environ)
        config = replace(config, auth=replace(config.auth, keys=ready["keys"]))
        start = Start(
            config,
            worth_telling(found, config),
            ready["models"],
            ready["agents"],
            ready["default"],
            self._workers,
        )
        show_start(start, self._url)
        return True

    async def _look(self) -> tuple[Config, list[Found], Any]:
        """The settings as they are now, what the providers say, and the task of workers that follows."""
        path, text = read_file(self._path)
        config = load_config(path, os.environ, self._given, text=text)
        found = await discover(all_providers(config, os.environ).values(), self._pool)
        task = Task(
            config_path=None if path is None else str(path),
            text=text,
            given=dict(self._given),
            found=told(found),
            workers=self._workers,
            folder=str(self._folder.path),
        )
        return config, found, msgspec.to_builtins(task)

    async def _spawn(self, number: int, answers: Mapping[str, Callable[[Any], Awaitable[Any]]]) -> Child:
        engines = {
            READY: lambda settings: self._engines.ready(number, settings),
            RELEASE: lambda settings: self._engines.release(number, settings),
        }
        return await Child.spawn(_WORKER, self._listener, {**answers, **engines})
