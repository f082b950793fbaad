"""The streams of this process: who produces each, who reads it, and how it comes into the archive."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence

from tidegate.core.clock import Clock
from tidegate.core.event import AnyEvent, End
from tidegate.core.request import Header
from tidegate.errors import Forbidden, Full, LogError, NotFound, TidegateError
from tidegate.streams.archive import Archive, Summary, is_behind
from tidegate.streams.behind import Behind
from tidegate.streams.finished import Finished
from tidegate.streams.listing import Wanted, archived
from tidegate.streams.log import Committed, StreamLog
from tidegate.streams.readable import Elsewhere, Readable
from tidegate.streams.records import Note
from tidegate.streams.stream import CANCELLED, Stream

logger = logging.getLogger("tidegate")

_ARCHIVE_PAUSE = 0.05
"""Seconds in which streams that have ended collect, to be archived in one transaction."""

_ARCHIVE_RETRY = 2.0
_SETTLE_SECONDS = 5.0
"""So long the end waits for a store that does not take what has ended; the log keeps it then."""


class Streams:
    """All streams of this process, by id. ``retain`` is the seconds for which an ended one can be read."""

    def __init__(
        self, clock: Clock, make: Callable[[Committed], tuple[StreamLog, Archive]], retain: float
    ) -> None:
        self.log, self.archive = make(self._committed)
        self.log.refused = self._refused
        self.retain = retain
        self.under_way = 0
        """How many have not ended."""
        self.unbegun: Callable[[Stream], None] = _nothing
        """Is told of a stream whose task was cancelled before its first step."""
        self.inherited: Callable[[Stream], None] = _nothing
        """Is told of a stream that ended before anything here went on with it."""
        self.archiving: Callable[[], None] = _nothing
        """Is called before streams are archived: what must be stored no later than they are."""
        self.clock = clock
        self._streams: dict[str, Stream] = {}
        self._ended: list[Stream] = []
        self.behind = Behind()
        self._archiving: asyncio.Task[None] | None = None
        self.elsewhere: Callable[[str], Awaitable[object | None]] | None = None
        """Finds the process that has a stream, and takes over those of processes that have died."""

    def create(self, header: Header, epoch: int = 1) -> Stream:
        """A new stream, ready for its producer. Raises Full when it cannot be logged."""
        self.log.create(header, epoch)
        stream = self._streams[header.id] = Stream(header, epoch, self)
        self.under_way += 1
        return stream

    def adopt(
        self, header: Header, epoch: int, said: Sequence[AnyEvent], notes: Sequence[Note] = ()
    ) -> Stream:
        """A stream that another process began, with what is in its log so far. Raises Full."""
        stream = self.create(header, epoch)
        for note in notes:
            if note.attempt is not None:
                stream.producer.attempted(note.attempt)
            if note.answering is not None:
                stream.producer.resume_from(note.answering.deployment)
            if note.seam is not None:
                stream.producer.join(note.seam)
        if said:
            try:
                stream.producer.adopt(said)
            except Full:
                self.under_way -= 1
                self.forget(stream)
                raise
        return stream

    def forget(self, stream: Stream) -> None:
        """Let go of a stream that is archived and that nobody reads here."""
        if self._streams.pop(stream.header.id, None) is not None:
            stream.passed_on = self.log.last_seq(stream.header.id)  # who holds it still reads from there
            self.log.delete(stream.header.id)

    def get(self, stream: str) -> Stream | None:
        """The stream of this id, where it is one of this process."""
        return self._streams.get(stream)

    def outermost(self, stream: Stream) -> Header:
        """The head of the stream within which this one was asked for, or its own."""
        while stream.header.parent is not None and (above := self.get(stream.header.parent)) is not None:
            stream = above
        return stream.header

    async def find(self, stream: str, caller: str, workspaces: Collection[str] | None = None) -> Readable:
        """The stream of this id. Raises NotFound, Forbidden for another caller's, Gone for an expired one.

        ``workspaces`` are those that the caller's key is for, None being all, here and below. Raises
        Elsewhere when another process has it.
        """
        found = await self._here(stream)
        if found is None and self.elsewhere is not None:
            holder = await self.elsewhere(stream)
            if holder is not None:
                raise Elsewhere(holder)
            found = await self._here(stream)  # whoever had it may have ended, or died and left it to us
        if found is None:
            raise NotFound(f"there is no stream {stream}", code="stream_not_found")
        if found.header.caller != caller or not found.header.is_within(workspaces):
            raise Forbidden(f"stream {stream} belongs to another key", code="not_your_stream")
        return found

    async def _here(self, stream: str) -> Readable | None:
        found = self._streams.get(stream)
        if found is not None:
            return found
        summary = await self.archive.find(stream)
        return Finished(summary, self.archive) if summary is not None else None

    async def listed(self, wanted: Wanted) -> list[Readable | Summary]:
        """A caller's streams, as an archive lists them."""
        status = wanted.status
        found: dict[str, Readable | Summary] = {}
        if status != "running":
            found = {summary.header.id: summary for summary in await archived(self.archive, wanted)}
        for name, stream in self._streams.items():
            created, end = stream.header.created * 1000, stream.end
            as_wanted = status in (None, "running" if end is None else end.outcome)
            mine = wanted.takes(stream.header) and stream.header.parent is None
            if as_wanted and mine and is_behind(created, name, wanted.before):
                found[name] = stream
        newest = sorted(found.values(), key=lambda each: (-each.header.created, each.header.id))
        return newest[: wanted.most]

    def __len__(self) -> int:
        return self.under_way

    def __iter__(self) -> Iterator[Stream]:
        return iter([stream for stream in self._streams.values() if not stream.producer.ended])

    async def settle(self) -> None:
        """Wait until what has ended is in the archive, or for a few seconds where it cannot be for now."""
        if self._archiving is not None:
            _, late = await asyncio.wait({self._archiving}, timeout=_SETTLE_SECONDS)
            for task in late:
                task.cancel()

    @property
    def unsettled(self) -> bool:
        """Whether there are streams whose records are needed still."""
        return any(not stream.archived for stream in self._streams.values())

    def over(self, stream: str) -> None:
        """The producer of a stream has ended it."""
        live = self._streams[stream]
        self.under_way -= 1
        if live.task is None:
            self.inherited(live)
        if not live.header.keep or self.retain <= 0:
            live.archived = True
            return
        self._ended.append(live)
        if self._archiving is None:
            self._archiving = asyncio.get_running_loop().create_task(self._archive())

    async def _archive(self) -> None:
        """Bring what has ended to the archive, until nothing is left."""
        pause = _ARCHIVE_PAUSE
        while self._ended:
            await asyncio.sleep(pause)
            pause = _ARCHIVE_PAUSE
            batch = {stream: end for stream in self._ended if (end := self.told(stream)) is not None}
            try:
                if batch:
                    self.archiving()
                    await self.archive.keep([self._summed_up(*each) for each in batch.items()])
            except Exception as error:  # a defect must not end it: nothing would be kept any more
                known = isinstance(error, TidegateError)
                reason = error.message if isinstance(error, TidegateError) else repr(error)
                logger.error("%d streams wait for the store: %s", len(batch), reason, exc_info=not known)
                pause = _ARCHIVE_RETRY
                continue
            self._ended = [stream for stream in self._ended if stream not in batch]
            for stream in batch:
                stream.archived = True
                if not stream.readers:
                    self.forget(stream)
        self._archiving = None

    def told(self, stream: Stream) -> End | None:
        """The end as readers are told it, once they may be: a log that syncs does so first."""
        name = stream.header.id
        try:
            last = self.log.read(name, self.log.last_seq(name) - 1, 1)
        except LogError:  # damaged, which whoever reads it is told
            return stream.producer.end_event
        return last[0] if last and isinstance(last[0], End) else None

    def _summed_up(self, stream: Stream, end: End) -> Summary:
        producer, header = stream.producer, stream.header
        now = self.clock.now_ms()
        return Summary(
            header=header,
            end=end,
            last_seq=self.log.last_seq(header.id),
            size=self.log.size(header.id),
            created_ms=header.created * 1000,
            ended_ms=now,
            expires_ms=now + round(self.retain * 1000),
            attempts=producer.attempts,
            seams=producer.seams,
        )

    def _refused(self, stream: str, end: End) -> None:
        """The log could not keep the producer's end, and tells this one."""
        live = self._streams.get(stream)
        if live is not None:
            live.producer.end_event = end

    def _committed(self, stream: str, seq: int) -> None:
        live = self._streams[stream]
        readers = live.readers
        if len(readers) == 1:
            if not readers[0].behind:
                readers[0].advance()
        else:
            for reader in tuple(readers):  # one that ends leaves the list
                if not reader.behind:
                    reader.advance()
        if live.archived and not live.readers:
            self.forget(live)


def _nothing(*_: object) -> None:
    """Where nobody wants to be told."""


__all__ = ["CANCELLED", "Elsewhere", "Readable", "Stream", "Streams", "Summary"]
