"""Owns adding many rows at once: those that every request leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Dialect, LargeBinary, Table, insert
from sqlalchemy.exc import IntegrityError

Batch = tuple[Table, Sequence[tuple[Any, ...]]]

_Writers = tuple[tuple[int, Callable[[Any], Any]], ...]


def add_new(connection: Connection, *batches: Batch) -> bool:
    """Add rows that are new, as nearly all are; False, and none of them is added, where one is there."""
    try:
        with connection.begin_nested():
            add(connection, *batches)
    except IntegrityError:
        return False
    return True


def add(connection: Connection, *batches: Batch) -> None:
    """Add rows of tables, each with its columns in their order.

    SQLAlchemy wants a dictionary of each, and looks at it several times: twice the time of SQLite itself.
    """
    for table, rows in batches:
        if rows:
            statement, writers = _insertion(table, connection.dialect)
            written = [_written(row, writers) for row in rows] if writers else list(rows)
            connection.exec_driver_sql(statement, written)


def _written(row: Sequence[Any], writers: _Writers) -> tuple[Any, ...]:
    values = list(row)
    for at, write in writers:
        values[at] = write(values[at])
    return tuple(values)


@cache
def _insertion(table: Table, dialect: Dialect) -> tuple[str, _Writers]:
    """The statement with a place for each column, and what has to be made of which before it fits there."""
    statement = str(insert(table).compile(dialect=dialect))
    writers = []
    for at, column in enumerate(table.columns):
        write = column.type.dialect_impl(dialect).bind_processor(dialect)
        if write is not None and not isinstance(column.type, LargeBinary):  # bytes are what a driver takes
            writers.append((at, write))
    return statement, tuple(writers)
