"""Rows that are added many at once: as SQLAlchemy would add them, and all of them or none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.exc import IntegrityError

from tests.store.conftest import OpenDatabase
from tidegate.store.generations import GenerationRow
from tidegate.store.rows import add, add_new
from tidegate.store.schema import generations, steps, stream_chunks, streams
from tidegate.store.streams import ChunkRow, StreamRow

GENERATION = GenerationRow(
    stream="s",
    caller="c",
    key_id=None,
    parent=None,
    model="m",
    answered=None,
    dialect="chat",
    outcome="failed",
    error="busy",
    created_ms=1,
    first_ms=None,
    total_ms=2,
    input_tokens=3,
    output_tokens=4,
    cached_tokens=5,
    reasoning_tokens=6,
    estimated=True,
    attempts=[{"deployment": "a/b", "error": "half \ud83d", "seconds": 0.5}],
)
STREAM = StreamRow(
    id="s",
    caller="c",
    model="m",
    dialect="d",
    created_ms=1,
    ended_ms=2,
    expires_ms=3,
    outcome="completed",
    last_seq=9,
    size=2**40,
    header=b"h\x00",
    attempts=b"",
    seams=b"[]",
    idempotency_key=None,
    body_hash="f",
    parent="p",
)
CHUNK = ChunkRow(stream="s", first_seq=1, last_seq=9, events=b"\x00\xff", summary=None)


def within(open_database: OpenDatabase, work: Callable[[Connection], Any]) -> Any:
    async def main() -> Any:
        async with open_database() as database:
            return await database.run(work)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("table", "row"), [(generations, GENERATION), (streams, STREAM), (stream_chunks, CHUNK)], ids=str
)
def test_a_row_is_in_the_order_of_its_tables_columns_and_becomes_what_the_table_makes_of_it(
    open_database: OpenDatabase, table: Table, row: Any
) -> None:
    named = row._asdict()
    if "size" in named:
        named["bytes"] = named.pop("size")

    def work(connection: Connection) -> list[Any]:
        add(connection, (table, [row]))
        added = connection.execute(select(table)).one()
        connection.execute(table.delete())
        connection.execute(insert(table), [named])
        return [added, connection.execute(select(table)).one()]

    added, inserted = within(open_database, work)
    assert added == inserted == row


def test_where_one_of_many_is_there_none_is_added_to_any_table(open_database: OpenDatabase) -> None:
    def work(connection: Connection) -> list[Any]:
        step = ("s", "first", 1, b"")
        told = [add_new(connection, (steps, [step]))]
        told.append(add_new(connection, (stream_chunks, [CHUNK]), (steps, [("s", "second", 1, b""), step])))
        chunks = connection.scalars(select(stream_chunks.c.stream)).all()
        return [*told, chunks, connection.scalars(select(steps.c.name)).all()]

    assert within(open_database, work) == [True, False, [], ["first"]]


def test_what_is_there_is_an_error_to_whoever_adds_without_asking(open_database: OpenDatabase) -> None:
    def work(connection: Connection) -> None:
        add(connection, (steps, [("s", "first", 1, b"")]), (stream_chunks, []))
        with pytest.raises(IntegrityError):
            add(connection, (steps, [("s", "first", 1, b"")]))

    within(open_database, work)
