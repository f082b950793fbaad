"""What is particular to SQLite: what a killed process leaves, and what is held in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Connection, func, select

from tests.workspaces.test_index import MODEL, angle, embed, entries, found
from tidegate.store.database import Database
from tidegate.store.schema import passages, vectors
from tidegate.workspaces import passage_rows
from tidegate.workspaces.passages import SqlitePassages
from tidegate.workspaces.vectors import Matrices, Matrix, packed


@asynccontextmanager
async def both(folder: Path) -> AsyncIterator[tuple[Database, SqlitePassages]]:
    """A store and an index in its file."""
    database = Database(folder / "tidegate.db")
    index = SqlitePassages(database)
    await database.open()
    await index.open()
    try:
        yield database, index
    finally:
        await index.close()
        await database.close()


def rows(connection: Connection) -> tuple[int, int]:
    return tuple(  # type: ignore[return-value]  # of two
        connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in (passages, vectors)
    )


async def some_unseen(database: Database) -> None:
    """Returns when some of a document is there and not to be found yet."""
    if not await database.read(passage_rows.unseen):
        await some_unseen(database)


def tables(connection: Connection) -> list[str]:
    found = connection.exec_driver_sql(
        "SELECT name FROM sqlite_master WHERE name LIKE 'passages_%' ESCAPE '\\'"
    )
    return sorted(row[0] for row in found if row[0].split("_")[1].isdigit())


def test_what_a_killed_process_left_is_tidied_away(tmp_path: Path) -> None:
    async def main() -> None:
        async with both(tmp_path) as (database, index):
            await index.put(1, "a", entries("honey"))
            left = passage_rows.prepared(entries("unseen honey"))
            await database.run(lambda each: passage_rows.insert_unseen(each, 1, "unseen x", left))
            await database.run(lambda each: passage_rows.hide(each, 1, "a"))
            assert await found(index, 1, "honey") == []
            assert await database.read(rows) == (2, 0)
            await index.tidy()
            assert await database.read(rows) == (0, 0)
            await index.put(1, "a", entries("honey"))
            assert await found(index, 1, "honey") == ["honey"]

    asyncio.run(main())


def test_what_is_tidied_away_while_it_is_put_in_is_put_in_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with both(tmp_path) as (database, index):
            putting = asyncio.create_task(index.put(1, "a", entries(*(f"part{at}" for at in range(1500)))))
            await some_unseen(database)
            await index.tidy()
            await putting
            assert await index.count(1) == 1500

    asyncio.run(main())


def test_a_put_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with both(tmp_path) as (database, index):
            putting = asyncio.create_task(index.put(1, "a", entries(*["part"] * 1500)))
            await some_unseen(database)
            putting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await putting
            assert await database.read(rows) == (0, 0)

    asyncio.run(main())


def test_a_dropped_workspace_leaves_no_table(tmp_path: Path) -> None:
    async def main() -> None:
        async with both(tmp_path) as (database, index):
            await index.put(7, "a", entries("honey"))
            await embed(index, 7, {"honey": 0})
            assert "passages_7" in await database.read(tables)
            await index.drop(7)
            assert await database.read(tables) == []
            assert await database.read(rows) == (0, 0)

    asyncio.run(main())


def test_searches_do_not_wait_for_the_store_nor_for_a_write(tmp_path: Path) -> None:
    async def main() -> None:
        async with both(tmp_path) as (database, index):
            await index.put(1, "a", entries("honey"))
            searched = asyncio.Event()
            loop = asyncio.get_running_loop()

            def busy(_: Connection) -> bool:
                """Keeps the store's thread, and the one place of a writer, until there was a search."""
                return asyncio.run_coroutine_threadsafe(searched.wait(), loop).result(20)

            work = asyncio.create_task(database.run(busy))
            writing = asyncio.create_task(index.put(1, "b", entries("more honey")))
            assert await found(index, 1, "honey") == ["honey"]
            searched.set()
            assert await work
            await writing
            assert len(await found(index, 1, "honey")) == 2

    asyncio.run(main())


def test_the_least_lately_searched_make_room(tmp_path: Path) -> None:
    def matrix(count: int) -> Matrix:
        made = Matrix(0, "exact")
        made.add([(at + 1, at, packed(angle(at))) for at in range(count)], 0)
        return made

    one = matrix(10).bytes
    kept = Matrices(2 * one)
    for workspace in (1, 2):
        kept.keep((workspace, MODEL), matrix(10))
    assert kept.get((1, MODEL)) is not None
    kept.keep((3, MODEL), matrix(10))
    assert [kept.get((workspace, MODEL)) is not None for workspace in (1, 2, 3)] == [True, False, True]
    assert kept.bytes <= kept.most_bytes


def test_a_vector_is_kept_at_length_one() -> None:
    assert np.frombuffer(packed([3.0, 4.0]), "<f2").tolist() == pytest.approx([0.6, 0.8], abs=1e-3)
    assert packed([0.0, 0.0]) == bytes(4)
    assert packed([float("nan"), 1.0]) == bytes(4)
    assert packed([1e300, 1e300]) == bytes(4)
