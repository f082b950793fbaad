"""Owns what the steps of agents came to, for as long as somebody may run them again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from tidegate.store.database import Database
from tidegate.store.schema import steps

_KEPT_MS: Final = 7 * 24 * 3600 * 1000


class StoredSteps:
    """A :class:`tidegate.agents.steps.StepStore` in the database; ``now_ms`` is Unix time in ms."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    async def load(self, stream: str) -> dict[str, bytes]:
        """See :class:`tidegate.agents.steps.StepStore`, as for all that follow."""

        def work(connection: Connection) -> dict[str, bytes]:
            found = connection.execute(select(steps.c.name, steps.c.result).where(steps.c.stream == stream))
            return {row.name: row.result for row in found}

        return await self._database.read(work)

    async def save(self, stream: str, name: str, result: bytes) -> None:
        row = {"stream": stream, "name": name, "created_ms": self._now_ms(), "result": result}

        def work(connection: Connection) -> None:
            connection.execute(delete(steps).where(steps.c.stream == stream, steps.c.name == name))
            connection.execute(insert(steps).values(row))

        await self._database.run(work)

    async def expire(self) -> None:
        """Let go of steps that nobody will ask for. Raises StoreError."""
        before = self._now_ms() - _KEPT_MS
        await self._database.run(lambda each: each.execute(delete(steps).where(steps.c.created_ms < before)))
