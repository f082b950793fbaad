"""A stream that has ended and is read from the archive, by readers that each go at their own speed."""

from __future__ import annotations

import asyncio
import logging

from tidegate.core.attempt import Attempt, Seam
from tidegate.core.event import AnyEvent, End
from tidegate.core.request import Header
from tidegate.core.run import Skipped
from tidegate.errors import TidegateError
from tidegate.streams.archive import Archive, Summary
from tidegate.streams.reader import Reader

logger = logging.getLogger("tidegate")

_NOTHING_SHOWN = 2
"""Events of a stream that has but a start and an end."""

_BATCH = 256
"""Events rendered into one write."""


class Finished:
    """Has what a live stream has for readers; see :class:`tidegate.streams.registry.Readable`."""

    def __init__(self, summary: Summary, archive: Archive) -> None:
        self.summary = summary
        self._archive = archive
        self._feeds: dict[Reader, _Feed] = {}

    @property
    def live(self) -> bool:
        """See :class:`tidegate.streams.registry.Readable`, as for all that follow."""
        return False

    @property
    def dropped(self) -> tuple[str, ...]:
        return ()

    @property
    def visible(self) -> bool:
        return self.summary.end.outcome == "completed" or self.summary.last_seq > _NOTHING_SHOWN

    @property
    def header(self) -> Header:
        return self.summary.header

    @property
    def end(self) -> End | None:
        return self.summary.end

    @property
    def last_seq(self) -> int:
        return self.summary.last_seq

    def settle(self) -> None:
        """It has all been counted."""

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        return self.summary.attempts

    @property
    def seams(self) -> tuple[Seam, ...]:
        return self.summary.seams

    async def events(self, after: int, most: int) -> list[AnyEvent]:
        return await self._archive.events(self.header.id, after, most)

    async def passed(self, upto: int) -> tuple[list[Skipped], int]:
        return await self._archive.passed(self.header.id, upto)

    def attach(self, reader: Reader) -> None:
        self._feeds[reader] = _Feed(self, reader)

    def detach(self, reader: Reader) -> None:
        feed = self._feeds.pop(reader, None)
        if feed is not None and not reader.finished:
            feed.task.cancel()

    def block(self, reader: Reader) -> None:
        reader.blocked = True

    def unblock(self, reader: Reader) -> None:
        reader.blocked = False
        feed = self._feeds.get(reader)
        if feed is not None:
            feed.room.set()

    def commit_start(self) -> None:
        """It has begun."""

    def cancel(self) -> None:
        """It has ended."""


class _Feed:
    """Brings events from the archive to one reader, while it has room."""

    def __init__(self, stream: Finished, reader: Reader) -> None:
        self.room = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self._run(stream, reader))

    async def _run(self, stream: Finished, reader: Reader) -> None:
        try:
            while not reader.finished:
                events = await stream.events(reader.seq, _BATCH)
                if not events:
                    reader.give_up(f"stream {stream.header.id} has nothing after event {reader.seq}")
                    return
                reader.take(events)
                while reader.blocked and not reader.finished:
                    self.room.clear()
                    await self.room.wait()
        except TidegateError as error:  # it expired while it was read, or the store is not there
            logger.error("stream %s cannot be read on: %s", stream.header.id, error.message)
            reader.give_up(error.message)
