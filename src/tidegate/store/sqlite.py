"""Owns SQLite: where the file is, who may read it, how it is opened, and what its errors mean to people."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from tidegate.errors import StoreError

PREFIX: Final = "sqlite:///"
BUSY_SECONDS: Final = 5.0
"""How long a transaction waits for those of other processes."""

_PAUSE: Final = 0.02
_LOCKED: Final = ("SQLITE_BUSY", "SQLITE_LOCKED")
_DAMAGED: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


def database_path(url: str, folder: Path) -> Path:
    """The file that a URL such as ``sqlite:///tidegate.db`` names; a relative one is below ``folder``."""
    return folder / Path(url.removeprefix(PREFIX)).expanduser()


def connect(path: Path, busy_seconds: float = BUSY_SECONDS) -> Connection:
    """Open the file, which is made when it is not there, for this thread. Raises StoreError.

    Transactions begin with what the execution option ``begin`` says, ``BEGIN IMMEDIATE`` where it says
    nothing: a transaction that reads first and writes then would fail when another process wrote between.
    """
    with telling(path):
        _make_private(path)
        engine = create_engine(
            URL.create("sqlite", database=str(path)),
            poolclass=StaticPool,
            connect_args={"timeout": busy_seconds, "isolation_level": None},
        )
        _listen(engine)
        connection = engine.connect()
        try:
            _write_ahead(connection, busy_seconds)
        except BaseException:
            connection.close()
            engine.dispose()
            raise
        return connection


def close(connection: Connection) -> None:
    """Let go of the file; the last one to do so folds the write-ahead log into it."""
    with contextlib.suppress(SQLAlchemyError):
        connection.close()
        connection.engine.dispose()


@contextlib.contextmanager
def telling(path: Path) -> Iterator[None]:
    """Turn errors of the database and the file system into a StoreError that says what to do."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreError(_told(path, getattr(error, "orig", None) or error), retry_after=1) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(
            f"{path} cannot be opened: {reason}; make it writable, or name another file in 'store'"
        ) from error


def locked(error: BaseException) -> bool:
    """Whether a StoreError stands for a database that another process keeps to itself."""
    cause = getattr(error.__cause__, "orig", None)
    return getattr(cause, "sqlite_errorname", "").startswith(_LOCKED)


def _told(path: Path, error: BaseException) -> str:
    name: str = getattr(error, "sqlite_errorname", "")
    if name.startswith(_LOCKED):
        return f"{path} is locked by another program; close whatever else has it open"
    if name.startswith(_DAMAGED):
        return (
            f"{path} is damaged, or no SQLite database; move it away, with {path.name}-wal and "
            f"{path.name}-shm, and a new one is begun"
        )
    if name.startswith("SQLITE_FULL"):
        return f"the disk of {path} is full; make room on it"
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return f"{path} cannot be written; make it and its folder writable, or name another file in 'store'"
    return f"{path} failed: {error}"


def _make_private(path: Path) -> None:
    """Make the file readable by its owner only; what SQLite puts beside it is made alike.

    One that is there is not opened here: to close it would take away the locks of all connections that this
    process has to it, whereupon others fold its log away under them (https://sqlite.org/howtocorrupt.html,
    section 2.2).
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if os.name == "posix" and path.stat().st_mode & 0o077:
        with contextlib.suppress(OSError):  # somebody else's file, which they let us write
            path.chmod(0o600)


def _listen(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _: Any) -> None:
        # A commit reaches the disk with the next checkpoint: what a killed process committed stays, and after
        # a power cut the file is whole, if older.
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        begin = connection.get_execution_options().get("begin", "BEGIN IMMEDIATE")
        connection.exec_driver_sql(begin)


def _write_ahead(connection: Connection, busy_seconds: float) -> None:
    """Readers and one writer at once. SQLite does not wait for others while it changes to that."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    tries = max(1, int(busy_seconds / _PAUSE))
    for number in range(1, tries + 1):
        try:
            raw.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if number == tries or not error.sqlite_errorname.startswith(_LOCKED):
                raise StoreError(_told(Path(connection.engine.url.database or ""), error)) from error
            threading.Event().wait(_PAUSE)
        except sqlite3.DatabaseError as error:
            raise StoreError(_told(Path(connection.engine.url.database or ""), error)) from error
        else:
            return
