"""Keeps the log's files few while streams live for long: what stands in old ones is copied behind the rest.

A file goes when no stream begins in it or before it, so one stream that lives for an hour would keep all that
the others have written meanwhile. As in a log-structured file system, streams that begin in the oldest file
are therefore written once more, at the end of the newest one, as soon as more than half of the files is of
no use. Of a stream nothing is left behind: as always, all of it stands at or after its header.

A copy that was not finished counts for nothing. Its header says up to which event it has to reach, and
whoever takes over the files leaves out what there is twice.
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from itertools import accumulate
from typing import Final, Protocol

from tidegate.errors import Full, LogError
from tidegate.streams.log import Relayed
from tidegate.streams.records import copied_header
from tidegate.streams.segments import Segments

logger = logging.getLogger("tidegate")

_FEW: Final = 4
"""So many files may be of no use in any case."""

_AT_ONCE: Final = 256
"""Records that are copied in one step."""

_BYTES_AT_ONCE: Final = 256 * 1024


class Movable(Protocol):
    """A stream as the log keeps it."""

    key: bytes
    head: int
    """The place of its header."""
    head_size: int
    notes: array[int]
    """The places of its notes, of its events, and in ``firsts`` the seqs that these begin with."""
    places: array[int]
    firsts: array[int]
    size: int
    relay: Relayed | None
    copied: bool
    """It is about to be written elsewhere, and only the log may append to it."""
    broken: str | None
    """Why nothing more of it can be written."""
    deleted: bool
    fixed: bool
    """It cannot be copied, for it is damaged: it stays where it is."""


class Cleaning:
    """Copies streams forward when too much of the files is of no use.

    ``in_steps`` is given an iterator and has to exhaust it, a millisecond or so at each step. ``when_safe``
    calls back when all that is written by then is as safe as the log promises.
    """

    def __init__(
        self,
        segments: Segments,
        streams: Callable[[], Collection[Movable]],
        in_steps: Callable[[Iterator[None]], object],
        when_safe: Callable[[Callable[[], None]], object],
    ) -> None:
        self._segments = segments
        self._streams = streams
        self._in_steps = in_steps
        self._when_safe = when_safe
        self._looked = 0
        """The newest file when the streams were last added up."""
        self._running = False
        self._closed = False

    def look(self) -> None:
        """Begin to copy if that is worth it; called when a stream has gone, for only that leaves room."""
        newest = self._segments.newest
        if self._running or newest == self._looked or newest - self._segments.oldest < _FEW:
            return
        self._looked = newest
        if self._wasteful():
            self._running = True
            self._in_steps(self._clean(newest))

    def close(self) -> None:
        """Copy no more."""
        self._closed = True

    def _wasteful(self) -> bool:
        segments = self._segments
        needed = sum(stream.size + stream.head_size for stream in self._streams())
        files = segments.newest - segments.oldest
        return files >= _FEW and (files - _FEW) * segments.segment_bytes > 2 * needed

    def _clean(self, newest: int) -> Iterator[None]:
        """Copy what begins in the oldest file, until enough of them have gone or all are copied."""
        segments = self._segments
        try:
            while segments.oldest < newest and self._wasteful():
                oldest = segments.oldest
                for stream in [each for each in self._streams() if segments.number(each.head) == oldest]:
                    yield from self._copy(stream)
                if segments.oldest == oldest:  # what is there cannot be copied, or is not safe yet
                    return
        except Full as error:
            logger.warning("old files of the log stay for now: %s", error.message)
        finally:
            self._running = False

    def _copy(self, stream: Movable) -> Iterator[None]:
        """Write a stream once more, behind everything; then forget where it was. Raises Full.

        What is appended meanwhile is copied too, so that the copy is in order.
        """
        segments = self._segments
        if not self._may(stream):
            return
        stream.copied = True
        if stream.relay is not None:
            stream.relay.end()
        begun: int | None = None
        old, places = stream.head, array("Q")
        try:
            header = segments.read(old)
            begun = segments.append(copied_header(header, stream.firsts[-1] if stream.firsts else 0))
            segments.hold(begun)
            notes = array("Q", self._written(segments.read(place).raw for place in stream.notes))
            while len(places) < len(stream.places):
                if places:
                    yield
                    if not self._may(stream):
                        return
                places.extend(self._copied(stream, len(places)))
            later = stream.notes[len(notes) :]
            notes.extend(self._written(segments.read(place).raw for place in later))
            stream.head, stream.places, stream.notes = begun, places, notes
            begun = None
            self._when_safe(partial(segments.release, old))
        except Full:
            raise
        except LogError as error:
            stream.fixed = True
            logger.error("stream %s cannot be copied: %s", stream.key.hex(), error.message)
        finally:
            stream.copied = False
            if begun is not None:
                segments.release(begun)

    def _may(self, stream: Movable) -> bool:
        return not (self._closed or stream.deleted or stream.fixed) and stream.broken is None

    def _copied(self, stream: Movable, begin: int) -> list[int]:
        """Copy some of a stream's records from one on; returns where they are now."""
        records: list[bytes] = []
        size = 0
        for at in range(begin, min(begin + _AT_ONCE, len(stream.places))):
            record = self._segments.read(stream.places[at])
            if record.seq != stream.firsts[at] or record.stream != stream.key.hex():
                raise LogError("a part of the stream's log is damaged")
            records.append(record.raw)
            size += len(record.raw)
            if size > _BYTES_AT_ONCE:
                break
        return self._written(records)

    def _written(self, records: Iterable[bytes]) -> list[int]:
        """Write records together; returns their places."""
        sizes = accumulate(map(len, records := list(records)), initial=0)
        place = self._segments.append(b"".join(records)) if records else 0
        return [place + size for size in sizes][:-1]
