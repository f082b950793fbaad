"""Owns the fixture that opens a database in a folder of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tidegate.store.database import Database

OpenDatabase = Callable[[], AbstractAsyncContextManager[Database]]


@pytest.fixture
def open_database(tmp_path: Path) -> OpenDatabase:
    """Opens the test's database, and closes it at the end of the block."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Database]:
        database = Database(tmp_path / "tidegate.db", busy_seconds=0.2)
        await database.open()
        try:
            yield database
        finally:
            await database.close()

    return opened
