"""The database as the rest of the program uses it: order, transactions, and what failures look like."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import IntegrityError

from tests.store.conftest import OpenDatabase
from tidegate.errors import Conflict, StoreError
from tidegate.store.database import Database
from tidegate.store.schema import counters


def add(name: str, value: int = 0) -> Callable[[Connection], object]:
    """A work that adds a row."""
    return lambda connection: connection.execute(insert(counters).values(name=name, value=value))


def names(connection: Connection) -> list[str]:
    return [row.name for row in connection.execute(select(counters).order_by(counters.c.value))]


def test_what_was_written_is_there_when_it_is_opened_again(open_database: OpenDatabase) -> None:
    async def main() -> list[str]:
        async with open_database() as database:
            await database.run(add("a"))
            database.post(add("b", 1))
        async with open_database() as database:
            return await database.read(names)

    assert asyncio.run(main()) == ["a", "b"]


def test_works_are_done_in_the_order_they_were_handed_in(open_database: OpenDatabase) -> None:
    async def main() -> tuple[list[str], list[str]]:
        async with open_database() as database:
            for number in range(50):
                database.post(add(f"p{number}", 2 * number))
            middle = asyncio.ensure_future(database.run(names))
            await asyncio.sleep(0)
            database.post(add("last", 1000))
            return await middle, await database.run(names)

    middle, end = asyncio.run(main())
    assert middle == [f"p{n}" for n in range(50)]
    assert end == [*middle, "last"]


def test_works_that_wait_together_share_a_transaction(open_database: OpenDatabase) -> None:
    """The thread is held while they gather; then the first one sees that the second rolls back with it."""
    gate = threading.Event()
    transactions: list[int] = []

    def note(connection: Connection) -> None:
        transactions.append(id(connection.get_transaction()))

    async def main() -> None:
        async with open_database() as database:
            database.post(lambda _: gate.wait(10))
            for _ in range(20):
                database.post(note)
            gate.set()

    asyncio.run(main())
    assert len(transactions) == 20
    assert len(set(transactions)) <= 2  # the held one may have taken the first along


def test_a_work_that_fails_takes_no_other_with_it(
    open_database: OpenDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()

    def broken(connection: Connection) -> None:
        add("half")(connection)
        raise ValueError("a defect")

    async def main() -> list[str]:
        async with open_database() as database:
            database.post(lambda _: gate.wait(10))
            database.post(add("before"))
            database.post(broken)
            database.post(add("after", 1))
            gate.set()
            return await database.run(names)

    with caplog.at_level(logging.ERROR, "tidegate"):
        assert asyncio.run(main()) == ["before", "after"]
    assert [record.message for record in caplog.records] == ["the store: a defect lost an entry"]


def test_what_a_work_raises_is_raised_where_it_was_asked_for(open_database: OpenDatabase) -> None:
    def refuse(connection: Connection) -> None:
        add("half")(connection)
        raise Conflict("taken")

    async def main() -> list[str]:
        async with open_database() as database:
            with pytest.raises(Conflict, match="taken"):
                await database.run(refuse)
            return await database.read(names)

    assert asyncio.run(main()) == []


def test_an_error_of_the_database_is_a_store_error(open_database: OpenDatabase) -> None:
    async def main() -> StoreError:
        async with open_database() as database:
            await database.run(add("a"))
            with pytest.raises(StoreError) as raised:
                await database.run(add("a"))
            return raised.value

    error = asyncio.run(main())
    assert (error.status, error.retry_after) == (503, 1)
    assert "UNIQUE constraint" in error.message
    assert isinstance(error.__cause__, IntegrityError)


def test_a_cancelled_wait_leaves_the_work_done_and_the_thread_alive(open_database: OpenDatabase) -> None:
    gate = threading.Event()

    async def main() -> list[str]:
        async with open_database() as database:
            database.post(lambda _: gate.wait(10))
            waiting = asyncio.ensure_future(database.run(add("a")))
            await asyncio.sleep(0)
            waiting.cancel()
            gate.set()
            return await database.read(names)

    assert asyncio.run(main()) == ["a"]


def test_a_lock_of_another_program_is_told_and_passes(open_database: OpenDatabase, tmp_path: Path) -> None:
    async def main() -> list[str]:
        async with open_database() as database:
            other = sqlite3.connect(tmp_path / "tidegate.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match=r"tidegate\.db is locked by another program; close"):
                await database.run(add("refused"))
            assert await database.read(names) == []
            database.post(add("patient"))
            other.execute("ROLLBACK")
            other.close()
            return await database.read(names)

    assert asyncio.run(main()) == ["patient"]


def test_a_read_sees_one_moment(open_database: OpenDatabase, tmp_path: Path) -> None:
    def twice(connection: Connection) -> tuple[int | None, int | None]:
        count = select(func.count()).select_from(counters)
        before = connection.scalar(count)
        with sqlite3.connect(tmp_path / "tidegate.db") as other:
            other.execute("INSERT INTO counters VALUES ('a', 1)")
        other.close()
        return before, connection.scalar(count)

    async def main() -> tuple[int | None, int | None]:
        async with open_database() as database:
            return await database.read(twice)

    assert asyncio.run(main()) == (0, 0)


def test_a_closed_database_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        database = Database(tmp_path / "tidegate.db")
        await database.close()
        with pytest.raises(StoreError, match=r"tidegate\.db is not open"):
            await database.run(names)
        await database.open()
        await database.close()
        await database.close()
        database.post(lambda _: None)

    asyncio.run(main())
    assert "is not open" in caplog.text
