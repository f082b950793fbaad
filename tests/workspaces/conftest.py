"""Owns the indexes that the contract of passages is tested with: every kind there is, by name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tidegate.store.database import Database
from tidegate.workspaces.index import PassageIndex
from tidegate.workspaces.passages import SqlitePassages

OpenIndex = Callable[[], AbstractAsyncContextManager[PassageIndex]]


@pytest.fixture(params=["sqlite", "sqlite, vectors read for each search"])
def open_index(request: pytest.FixtureRequest, tmp_path: Path) -> OpenIndex:
    """Opens the test's index, also several times at once, and closes it at the end of the block."""
    most_bytes = 2**20 if request.param == "sqlite" else 0

    @asynccontextmanager
    async def opened() -> AsyncIterator[PassageIndex]:
        index = SqlitePassages(Database(tmp_path / "tidegate.db", busy_seconds=5), most_bytes)
        await index.open()
        try:
            yield index
        finally:
            await index.close()

    return opened
