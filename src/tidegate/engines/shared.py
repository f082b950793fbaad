"""Engines of one process that others use: whoever owns them answers here, :class:`RemoteEngine` asks.

An engine runs as long as one of the workers that has used it has not given it up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from tidegate.engines.process import Engine, EngineSettings, EngineUnavailable

Ask = Callable[[str, Any], Awaitable[Any]]
"""Puts a question to the owner. Raises ConnectionError when that has gone."""

READY = "engine ready"
RELEASE = "engine release"


class LocalEngine(Protocol):
    """What a source needs of an engine, wherever its process is kept."""

    @property
    def settings(self) -> EngineSettings: ...

    async def ready(self) -> str:
        """See :meth:`tidegate.engines.process.Engine.ready`."""
        ...

    async def stop(self) -> None:
        """It is not needed here any more."""
        ...


class SharedEngines:
    """Starts each engine once, however many workers ask for it. Workers are known by their numbers."""

    def __init__(self, make: Callable[[EngineSettings], Engine] = Engine) -> None:
        self._make = make
        self._engines: dict[EngineSettings, Engine] = {}
        self._users: dict[EngineSettings, set[int]] = {}

    async def ready(self, worker: int, told: Any) -> Any:
        """Answers READY: the path of the socket, or why there is none."""
        settings = _settings(told)
        engine = self._engines.get(settings)
        if engine is None:
            engine = self._engines[settings] = self._make(settings)
        self._users.setdefault(settings, set()).add(worker)
        try:
            return {"socket": await engine.ready()}
        except EngineUnavailable as error:
            return {
                "error": error.message,
                "retryable": error.retryable,
                "retry_after": error.retry_after,
            }

    async def release(self, worker: int, told: Any) -> None:
        """Answers RELEASE."""
        settings = _settings(told)
        users = self._users.get(settings, set())
        users.discard(worker)
        if not users and settings in self._engines:
            del self._users[settings]
            await self._engines.pop(settings).stop()

    def left(self, worker: int) -> None:
        """A worker has died. Its engines go on: the one that takes its place will want them."""
        for users in self._users.values():
            users.discard(worker)

    async def stop(self) -> None:
        """Stop them all."""
        await asyncio.gather(*(engine.stop() for engine in self._engines.values()))


class RemoteEngine:
    """An engine that another process keeps; used in the place of :class:`tidegate.engines.process.Engine`."""

    def __init__(self, settings: EngineSettings, ask: Ask) -> None:
        self.settings = settings
        self._ask = ask
        self._used = False

    async def ready(self) -> str:
        """The path of its socket. Raises EngineUnavailable with the owner's sentence."""
        self._used = True
        try:
            answer = await self._ask(READY, _told(self.settings))
        except ConnectionError:
            raise EngineUnavailable(f"engine {self.settings.name} is stopped", retryable=False) from None
        if "socket" in answer:
            return str(answer["socket"])
        raise EngineUnavailable(
            answer["error"], retryable=answer["retryable"], retry_after=answer["retry_after"]
        )

    async def stop(self) -> None:
        """Give it up; it stops when no other worker needs it."""
        if self._used:
            self._used = False
            try:
                await self._ask(RELEASE, _told(self.settings))
            except ConnectionError:
                return  # then it stops with its owner


def _told(settings: EngineSettings) -> dict[str, Any]:
    return {**asdict(settings), "path": str(settings.path)}


def _settings(told: Any) -> EngineSettings:
    return EngineSettings(**{**told, "path": Path(told["path"])})
