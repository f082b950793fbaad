"""What a process that was killed left behind: its streams are taken over by one other, and by no second.

A slot whose lock is free has no owner. Whoever takes the lock copies the streams that are in no archive yet
into its own log, under a higher epoch, and deletes the slot when that is done. A process
that is killed meanwhile leaves both; the longer copy counts, then the newer one.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeVar

from tidegate.core.event import AnyEvent, failure
from tidegate.core.request import Header
from tidegate.errors import Full, LogError, Overloaded, TidegateError
from tidegate.streams.archive import Archive
from tidegate.streams.records import EVENTS, HEADER, NOTE, Kept, Note, read_events, read_header, read_note
from tidegate.streams.registry import Stream, Streams
from tidegate.streams.segments import Slot, read_segment, try_lock

logger = logging.getLogger("tidegate")

T = TypeVar("T")

_PAUSE: Final = 0.02
_MOST_TRIES: Final = 100
"""Of as many pauses: somebody may wait for this."""

_PASSING: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors that say nothing of the file."""


class _Found:
    """What a slot holds of a stream, as its records are gone through."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.epoch = 0
        self.last_seq = 0
        """Up to here it is whole."""
        self.reaches: int | None = None
        """Where it has to reach, by its header: see :mod:`tidegate.streams.cleaning`."""
        self.newest = 0
        """The last event of which there is anything."""

    def add(self, record: Kept) -> None:
        """Take the next record; what comes without a header, or again, is left over from before a copy."""
        if record.kind == HEADER and self.reaches is None:
            self.reaches, self.epoch = record.seq, max(self.epoch, record.epoch)
        elif record.kind == EVENTS and self.reaches is not None:
            self.newest = max(self.newest, record.seq)
            if record.seq == self.last_seq + 1:
                self.last_seq += record.total
                self.epoch = record.epoch

    @property
    def counts(self) -> bool:
        """Whether it is a stream, and no copy that was given up."""
        return self.reaches is not None and self.reaches <= max(self.last_seq, self.newest)

    def beats(self, other: _Found) -> bool:
        """The best copy of a stream is that which says most, then the newest."""
        return (self.last_seq, self.epoch) > (other.last_seq, other.epoch)


class Recovered(NamedTuple):
    """A stream that has not ended, and what it has said so far."""

    stream: Stream
    said: list[AnyEvent]


class Aside(Protocol):
    """Does a work where it holds nobody up."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


async def _here(work: Callable[[], T]) -> T:
    return work()


class Recovery:
    """Takes over what is left in the slots below a folder, as often as it is asked to."""

    def __init__(self, folder: Path, own: Slot, streams: Streams, aside: Aside = _here) -> None:
        self._folder = folder
        self._streams = streams
        self._aside = aside
        self._one_at_a_time = asyncio.Lock()
        self._passed_over = {own.folder}
        """Also folders in which something is that is not ours, or that cannot be read: it stays there."""
        self._unfinished: list[Slot] = []
        """Some of their streams are here, and some could not be copied. Nobody else may have them."""
        self._adopted: set[str] = set()
        """The streams that came from those."""
        self._told = ""

    async def take_over(self) -> list[Recovered]:
        """The streams that have not ended, of owners that are gone.

        Those that have ended are on their way to the archive. Raises StoreError when it cannot be asked,
        and Overloaded while another process is at it.
        """
        async with self._one_at_a_time, _alone(self._folder):
            return await self._take_over([*self._unfinished])

    async def _take_over(self, slots: list[Slot]) -> list[Recovered]:
        left: set[Path] = set()
        recovered: list[Recovered] = []
        full = ""
        try:
            while more := self._abandoned():
                slots += more
                await asyncio.sleep(_PAUSE)  # who dies while it takes over lets go of its own slot first
            found = await self._aside(partial(_survey, slots, left))
            wanted = {name: copy for name, copy in found.items() if await self._is_wanted(name)}
            for slot in slots:
                here = {name: copy.epoch for name, copy in wanted.items() if copy.slot is slot}
                for taken in await self._aside(partial(_put_together, slot, left, here)):
                    if self._streams.get(taken.name) is not None:
                        continue
                    try:
                        recovered += _adopt(taken, here[taken.name] + 1, self._streams)
                        self._adopted.add(taken.name)
                    except Full as error:
                        full = error.message
                    await asyncio.sleep(0)  # others are under way
        except BaseException:
            self._leave(slots)
            raise
        if full:
            self._leave(slots)
        else:
            self._unfinished = []
            self._adopted.clear()
            for slot in slots:
                self._clear_away(slot, left)
        if full and full != self._told:  # and not again each time
            logger.error("some of what another process has left waits: %s", full)
        self._told = full
        if wanted and not full:
            logger.info("took over %d streams, %d of which had not ended", len(wanted), len(recovered))
        return recovered

    async def _is_wanted(self, name: str) -> bool:
        return name not in self._adopted and not await _archived(self._streams.archive, name)

    def _leave(self, slots: list[Slot]) -> None:
        """Try again later. What has streams that are here now is not let go of: they would be twice."""
        self._unfinished = slots if self._adopted or self._unfinished else []
        for slot in slots if not self._unfinished else ():
            slot.close()

    def _clear_away(self, slot: Slot, left: Collection[Path]) -> None:
        try:
            slot.remove(left)
        except OSError as error:  # its lock is kept
            logger.error("%s cannot be cleared away: %s", slot.folder, error.strerror)
        if slot.folder.exists():
            self._passed_over.add(slot.folder)

    def _abandoned(self) -> list[Slot]:
        ours = self._passed_over.union(slot.folder for slot in self._unfinished)
        folders = (each for each in sorted(self._folder.iterdir()) if each.is_dir())
        return [slot for each in folders if each not in ours and (slot := Slot.abandoned(each)) is not None]


@asynccontextmanager
async def _alone(folder: Path) -> AsyncIterator[None]:
    """While no other process takes over: of two that do, each might find a copy of the same stream."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        tries = 0
        while not try_lock(descriptor):
            if tries >= _MOST_TRIES:
                raise Overloaded("another gateway is just taking over streams; try again", retry_after=1)
            tries += 1
            await asyncio.sleep(_PAUSE)
        yield
    finally:
        os.close(descriptor)


def _survey(slots: Iterable[Slot], left: set[Path]) -> dict[str, _Found]:
    """Which streams there are, and in which slot the best copy of each is: as far as nothing is missing.

    Files that cannot be read go into ``left``.
    """
    best: dict[str, _Found] = {}
    for slot in slots:
        here: dict[str, _Found] = {}
        for record in _records(slot, left):
            found = here.get(record.stream)
            if found is None:
                found = here[record.stream] = _Found(slot)
            found.add(record)
        for name, found in here.items():
            if found.counts and (name not in best or found.beats(best[name])):
                best[name] = found
    return best


def _records(slot: Slot, left: set[Path]) -> Iterable[Kept]:
    for file in slot.files():
        if file in left:
            continue
        try:
            yield from read_segment(file)
        except LogError as error:
            logger.error("%s", error.message)
            left.add(file)
        except OSError as error:
            if error.errno in _PASSING:
                raise
            logger.error("%s cannot be read, and is left as it is: %s", file, error.strerror)
            left.add(file)


async def _archived(archive: Archive, name: str) -> bool:
    try:
        return await archive.find(name) is not None
    except LogError:
        return False
    except TidegateError as error:
        if error.status == 410:
            return True
        raise


class _Taken:
    """A stream as it is put together from a slot, up to where it is damaged."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.header: Header | None = None
        self.said: list[AnyEvent] = []
        self.notes: dict[bytes, Note] = {}
        """By what stands in the log: a copy has them again."""
        self.cut: LogError | None = None
        """Why it ends where it does, if that is not where it ended."""
        self._newest = 0

    def add(self, record: Kept) -> None:
        """Take the next record, as :class:`_Found` does."""
        if self.cut is not None:
            return
        try:
            if record.kind == HEADER and self.header is None:
                self.header = read_header(record.content)
            elif record.kind == EVENTS and self.header is not None:
                self._newest = max(self._newest, record.seq)
                if record.seq == len(self.said) + 1:
                    self.said += read_events(record.content)
            elif record.kind == NOTE and self.header is not None:
                self.notes[record.raw] = read_note(record.content)
        except LogError as error:  # what comes before it is whole, and is all that can be told
            self._end(error)

    def close(self) -> None:
        """There is no more."""
        if self.cut is None and self._newest > len(self.said):
            self._end(LogError(f"the stream's log is damaged; event {len(self.said) + 1} is missing"))

    def _end(self, error: LogError) -> None:
        logger.error("stream %s ends where its log is damaged: %s", self.name, error.message)
        self.cut = error


def _put_together(slot: Slot, left: set[Path], names: Iterable[str]) -> list[_Taken]:
    """Streams of a slot."""
    found = {name: _Taken(name) for name in names}
    for record in _records(slot, left):
        if record.stream in found:
            found[record.stream].add(record)
    for taken in found.values():
        taken.close()
    return [taken for taken in found.values() if taken.header is not None]


def _adopt(taken: _Taken, epoch: int, streams: Streams) -> list[Recovered]:
    """Copy a stream into our own log; none, where that has ended. Raises Full, and it is not here then."""
    assert taken.header is not None
    stream = streams.adopt(taken.header, epoch, taken.said, list(taken.notes.values()))
    if stream.producer.ended:
        return []
    if taken.cut is not None:  # more than this was shown, so nothing else may take its place
        stream.producer.end("interrupted", error=failure(taken.cut))
        return []
    return [Recovered(stream, taken.said)]
