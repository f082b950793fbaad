"""Owns the one connection to the database and the thread that it lives in.

Works are done in the order in which they were handed in, each with the connection in a transaction. The
event loop never waits for a disk; it is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple, Self, TypeVar

from sqlalchemy import Connection

from tidegate.config.home import home
from tidegate.errors import StoreError, TidegateError
from tidegate.store import sqlite
from tidegate.store.migrations import migrate

logger = logging.getLogger("tidegate")

T = TypeVar("T")

_MOST_TOGETHER: Final = 256
"""Works in one transaction: other processes wait for it."""

_TRIES: Final = 3
"""How often works that nobody waits for are tried while another program has the database locked."""


class _Job(NamedTuple):
    """A work, and where to tell what came of it; None when nobody wants to know."""

    work: Callable[[Connection], Any]
    answer: Callable[[Any, BaseException | None], None] | None
    begin: str = "BEGIN IMMEDIATE"


class Database:
    """The store's database. Works given to it run in its own thread and must not touch the event loop.

    :meth:`open` comes first. A work is a function of a Connection, in a transaction that is committed when it
    returns and rolled back when it raises. It may be run again when what shared its transaction failed, so
    all that it changes must be in the database. ``thread`` is the name of that thread: there may be several
    of them on one file, which do not wait for one another to read.
    """

    def __init__(
        self, path: Path, busy_seconds: float = sqlite.BUSY_SECONDS, *, thread: str = "store"
    ) -> None:
        self.path = path
        self.busy_seconds = busy_seconds
        self._name = thread
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @classmethod
    def at(cls, url: str, environ: Mapping[str, str]) -> Self:
        """The database of a URL as the settings have it; a relative path begins at the data folder."""
        return cls(sqlite.database_path(url, home(environ)))

    async def open(self) -> None:
        """Open the file, make it when it is not there, bring it up to date. Raises StoreError."""
        opened, answer = _promise()
        self._thread = threading.Thread(target=self._main, args=(answer,), name=self._name, daemon=True)
        self._thread.start()
        try:
            await opened
        except BaseException:
            self._thread = None
            self._jobs.put(None)
            raise

    async def run(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` returns, once it is committed. Raises what it raised, or StoreError (503)."""
        return await self._ask(work, "BEGIN IMMEDIATE")

    async def read(self, work: Callable[[Connection], T]) -> T:
        """As :meth:`run`, for a work that only reads: it does not wait for other processes that write."""
        return await self._ask(work, "BEGIN")

    def post(self, work: Callable[[Connection], object]) -> None:
        """Do this too, in its turn; a failure is logged. Works that wait together share one transaction."""
        if self._thread is None:
            logger.error("%s", _closed(self.path))
        else:
            self._jobs.put(_Job(work, None))

    async def close(self) -> None:
        """Finish what was handed in and close the file. Nothing happens when it is not open."""
        thread, self._thread = self._thread, None
        if thread is not None:
            ended, answer = _promise()
            self._jobs.put(_Job(lambda _: None, answer, ""))
            self._jobs.put(None)
            await ended
            thread.join()

    async def _ask(self, work: Callable[[Connection], T], begin: str) -> T:
        if self._thread is None:
            raise StoreError(_closed(self.path))
        promise, answer = _promise()
        self._jobs.put(_Job(work, answer, begin))
        result: T = await promise
        return result

    def _main(self, opened: Callable[[Any, BaseException | None], None]) -> None:
        try:
            connection = sqlite.connect(self.path, self.busy_seconds)
        except BaseException as error:  # whatever it is, whoever waits must hear of it
            opened(None, error)
            return
        try:
            with sqlite.telling(self.path):
                migrate(connection, self.path)
        except BaseException as error:  # likewise
            sqlite.close(connection)
            opened(None, error)
            return
        opened(None, None)
        try:
            while self._work(connection, self._jobs.get()):
                pass
        finally:
            sqlite.close(connection)

    def _work(self, connection: Connection, job: _Job | None) -> bool:
        """Do a job, and with one that nobody waits for those of its kind that wait behind it."""
        posted: list[_Job] = []
        while job is not None and job.answer is None:
            posted.append(job)
            if len(posted) == _MOST_TOGETHER:
                break
            try:
                job = self._jobs.get_nowait()
            except Empty:
                break
        if posted:
            self._do_posted(connection, posted)
        if job is not None and job.answer is not None:
            try:
                result = self._transact(connection, [job])
            except BaseException as error:  # a defect is whoever's who handed it in
                job.answer(None, error)
            else:
                job.answer(result, None)
        return job is not None

    def _do_posted(self, connection: Connection, jobs: list[_Job]) -> None:
        """All of them in one transaction; each in its own when one has failed."""
        for number in range(1, _TRIES + 1):
            try:
                self._transact(connection, jobs)
            except StoreError as error:
                if sqlite.locked(error) and number < _TRIES:
                    continue
                self._failed(connection, jobs, error)
            except Exception as error:  # one that is wrong must not take the others with it
                self._failed(connection, jobs, error)
            return

    def _failed(self, connection: Connection, jobs: list[_Job], error: Exception) -> None:
        if len(jobs) > 1 and not sqlite.locked(error):
            for job in jobs:
                self._do_posted(connection, [job])
        elif isinstance(error, TidegateError):
            logger.error("the store: %d entries are lost: %s", len(jobs), error.message)
        else:
            logger.error("the store: a defect lost an entry", exc_info=error)

    def _transact(self, connection: Connection, jobs: list[_Job]) -> Any:
        """What the last job returned. Raises StoreError for the database, else what a job raised."""
        if not jobs[0].begin:
            return None
        with sqlite.telling(self.path):
            connection.execution_options(begin=jobs[0].begin)
            with connection.begin():
                for job in jobs:
                    result = job.work(connection)
        return result


def _promise() -> tuple[asyncio.Future[Any], Callable[[Any, BaseException | None], None]]:
    """A future of this loop, and what another thread calls to settle it."""
    loop = asyncio.get_running_loop()
    promise: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if promise.done():  # whoever waited was cancelled
            return
        if error is None:
            promise.set_result(result)
        else:
            promise.set_exception(error)

    def answer(result: Any, error: BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever waited
            loop.call_soon_threadsafe(settle, result, error)

    return promise, answer


def _closed(path: Path) -> str:
    return f"{path} is not open; the gateway is starting or stopping"
