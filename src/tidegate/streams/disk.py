"""A stream log on the local disk: what one read of an upstream brought is one write, before it is shown."""

from __future__ import annotations

import contextlib
import logging
from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from tidegate.core.attempt import Answering, Attempt, Seam
from tidegate.core.clock import Clock
from tidegate.core.event import AnyEvent, End, Failure, Record
from tidegate.core.request import Header
from tidegate.core.run import Skipped, coalesce, decode, encode
from tidegate.errors import Fenced, Full, LogError
from tidegate.streams.cleaning import Cleaning
from tidegate.streams.gathering import Gathering, Whole
from tidegate.streams.group_sync import GroupSync
from tidegate.streams.log import Committed, Follower, Place, Relayed
from tidegate.streams.records import (
    Kept,
    events_record,
    header_record,
    note_record,
    placed,
    read_events,
    stream_key,
)
from tidegate.streams.segments import Segments

_SUMMED_UP = 1024
"""After so many events a part of a stream is summed up, for readers that begin behind it."""

logger = logging.getLogger("tidegate")


class _Stream:
    __slots__ = (
        "broken",
        "committed",
        "copied",
        "deleted",
        "epoch",
        "firsts",
        "fixed",
        "follower",
        "head",
        "head_size",
        "key",
        "notes",
        "places",
        "relay",
        "seq",
        "size",
        "summaries",
        "tail",
        "unkept",
    )

    def __init__(self, key: bytes, epoch: int, head: int, head_size: int) -> None:
        self.key = key
        self.epoch = epoch
        self.head = head
        """The place of its header, where the stream begins."""
        self.head_size = head_size
        self.notes = array("Q")
        self.places = array("Q")
        """Where each append is, and in ``firsts`` the seq that it begins with."""
        self.firsts = array("Q")
        self.relay: Relayed | None = None
        self.copied = False
        """It is being copied to another place, so no relay may append to it."""
        self.seq = 0
        """Of the last event that is written."""
        self.committed = 0
        """Of the last event that readers may see."""
        self.tail: Sequence[AnyEvent] = ()
        """The events of the last append: readers are about to ask for them, and the archive for their end."""
        self.unkept: End | None = None
        """The end, where the disk did not take it: readers are told all the same."""
        self.broken: str | None = None
        """Why nothing more can be made durable."""
        self.deleted = False
        self.fixed = False
        self.follower: Follower | None = None
        self.size = 0
        self.summaries: tuple[tuple[int, bytes], ...] = ()
        """What the first events come to, a part at a time, each with the seq that it reaches."""


class DiskLog:
    """A :class:`tidegate.streams.log.StreamLog` of what survives the process.

    ``most`` is bytes a stream. With ``power`` events are committed when a group of them has been synced, by a
    thread; else as soon as they are written. ``aside`` does a work in a thread; ``in_steps`` exhausts what it
    is given, with pauses.
    """

    def __init__(
        self,
        clock: Clock,
        committed: Committed,
        segments: Segments,
        *,
        most: int = 64 * 2**20,
        power: bool = False,
        aside: Callable[[Callable[[], None]], object] = lambda work: work(),
        in_steps: Callable[[Iterator[None]], object] = list,
    ) -> None:
        self._now_ms = clock.now_ms
        self._committed = committed
        self.refused: Callable[[str, End], None] = lambda *_: None
        self._segments = segments
        self._most = most
        self._aside = aside
        self._streams: dict[str, _Stream] = {}
        self._sync = GroupSync(segments.sync, self._synced) if power else None
        self._when_synced: deque[Callable[[], None]] = deque()
        self.gathering = Gathering(segments)
        """Of the thread that calls :meth:`whole`, which has to close it from time to time."""
        self._cleaning = Cleaning(segments, self._streams.values, in_steps, self._when_safe)

    @property
    def survives(self) -> bool:
        """See :class:`tidegate.streams.log.StreamLog`, as for all that follow."""
        return True

    def create(self, header: Header, epoch: int = 1) -> None:
        record, body = header_record(header, epoch, self._now_ms())
        place = self._segments.append(record, body)
        self._segments.hold(place)
        size = len(record) + len(body)
        self._streams[header.id] = _Stream(stream_key(header.id), epoch, place, size)

    def append(self, stream: str, epoch: int, events: Sequence[AnyEvent]) -> None:
        kept = self._streams[stream]
        if kept.relay is not None:
            kept.relay.end()
        if epoch != kept.epoch:
            raise Fenced(f"stream {stream} is written by another producer")
        before = kept.seq
        now_ms = self._now_ms  # in variables, as the follower below: see sources/upstream.py
        record = events_record(kept.key, epoch, before + 1, now_ms(), events)
        if kept.broken is not None or kept.size > self._most:
            self._refuse(stream, kept, events)
            return
        try:
            place = self._segments.append(record)
        except Full as error:
            kept.broken = error.message
            self._refuse(stream, kept, events)
            return
        kept.places.append(place)
        kept.firsts.append(before + 1)
        kept.size += len(record)
        kept.seq = seq = before + len(events)
        if seq >= _SUMMED_UP and before // _SUMMED_UP < seq // _SUMMED_UP:
            self._aside(partial(self._sum_up, kept, seq))
        if self._sync is not None:
            self._sync.add(stream, events)
            return
        kept.committed = seq  # as in _commit, without a call for each delta
        kept.tail = tuple(events)
        follower = kept.follower
        if follower is not None:
            follower(events)
        else:
            self._committed(stream, seq)

    def note(self, stream: str, note: Attempt | Seam | Answering) -> None:
        kept = self._streams[stream]
        with contextlib.suppress(Full):
            kept.notes.append(self._segments.append(note_record(kept.key, kept.epoch, self._now_ms(), note)))

    def waits(self, stream: str) -> bool:
        kept = self._streams.get(stream)
        return kept is not None and kept.committed < kept.seq

    def follow(self, stream: str, follower: Follower | None) -> None:
        kept = self._streams.get(stream)
        if kept is not None:
            if kept.relay is not None:
                kept.relay.end()
            kept.follower = follower

    def place(self, stream: str, epoch: int) -> Place | None:
        kept = self._streams[stream]
        alone = self._sync is None and not kept.copied and kept.broken is None and kept.size <= self._most
        if not alone or epoch != kept.epoch:
            return None
        # Where a part is to be summed up, the log has to see the event.
        last = (kept.seq // _SUMMED_UP + 1) * _SUMMED_UP - 1
        kept.tail = ()
        return Place(kept.key, epoch, kept.seq, last, self._most + 1 - kept.size, self._segments.tail)

    def relay(self, stream: str, relay: Relayed | None) -> None:
        kept = self._streams.get(stream)
        if kept is not None:
            kept.relay = relay

    def passed_by(self, stream: str, events: int, size: int, places: bytes, records: bytes) -> None:
        kept = self._streams[stream]
        both = array("Q", places)
        kept.places.extend(both[::2])
        kept.firsts.extend(both[1::2])
        kept.size += size
        kept.seq = kept.committed = kept.seq + events

    def _settled(self, stream: str) -> _Stream:
        """A stream with everything that went past the log."""
        kept = self._streams[stream]
        if kept.relay is not None:
            kept.relay.settle()
        return kept

    def read(self, stream: str, after: int, most: int) -> list[AnyEvent]:
        kept = self._settled(stream)
        at = after + len(kept.tail) - kept.committed
        if at >= 0:
            return list(kept.tail[at : at + most])
        events: list[AnyEvent] = []
        for record in self._between(kept, after, most):
            found = read_events(record.content)
            skip = after + 1 - record.seq
            events += found[skip:] if skip > 0 else found
        if kept.unkept is not None and after + len(events) == kept.committed - 1:
            events.append(kept.unkept)
        return events[: min(most, kept.committed - after)]

    def records(self, stream: str, after: int, most: int) -> list[Record]:
        kept = self._settled(stream)
        found = [each for record in self._between(kept, after, most) for each in placed(record)]
        if kept.unkept is not None:
            found.append(Record(kept.epoch, kept.committed, self._now_ms(), kept.unkept))
        return [each for each in found if after < each.seq <= kept.committed][:most]

    def last_seq(self, stream: str) -> int:
        return self._settled(stream).committed

    def size(self, stream: str) -> int:
        return self._settled(stream).size

    def take_over(self, stream: str) -> int:
        kept = self._streams[stream]
        if kept.relay is not None:
            kept.relay.end()
        kept.epoch += 1
        return kept.epoch

    def passed(self, stream: str, upto: int) -> tuple[list[Skipped], int]:
        items: list[Skipped] = []
        reached = 0
        for seq, summary in self._streams[stream].summaries:
            if seq > upto:
                break
            items += decode(summary)
            reached = seq
        return items, reached

    def delete(self, stream: str) -> None:
        kept = self._streams.get(stream)
        if kept is not None:
            if kept.relay is not None:
                kept.relay.end()
            del self._streams[stream]
            kept.deleted = True
            self._segments.release(kept.head)
            self._cleaning.look()

    def whole(self, stream: str) -> Whole:
        """A stream that has ended, to be kept elsewhere; may be called from any thread, but from one alone.

        Raises LogError (410) where its files went meanwhile.
        """
        kept = self._streams[stream]
        records, damaged = self.gathering.records(kept.places)
        firsts = kept.firsts[: len(records)]
        last_seq = kept.firsts[len(records)] - 1 if damaged else kept.committed
        if kept.unkept is not None and not damaged:
            at_ms = self._now_ms()
            records.append(events_record(kept.key, kept.epoch, kept.committed, at_ms, (kept.unkept,)))
            firsts.append(kept.committed)
        return Whole(records, firsts, last_seq, kept.summaries, damaged)

    def close(self) -> None:
        """Stop writing. What is there stays, for whoever comes next."""
        self._cleaning.close()
        if self._sync is not None:
            self._sync.close()
        self._segments.close()

    def statistics(self) -> dict[str, int]:
        for stream in self._streams:
            self._settled(stream)
        return {
            "streams": len(self._streams),
            "events": sum(kept.seq for kept in self._streams.values()),
            "bytes": sum(kept.size for kept in self._streams.values()),
        }

    def _commit(self, stream: str, kept: _Stream, events: Sequence[AnyEvent]) -> None:
        kept.committed += len(events)
        kept.tail = tuple(events)
        if kept.follower is not None:
            kept.follower(events)
        else:
            self._committed(stream, kept.committed)

    def _refuse(self, stream: str, kept: _Stream, events: Sequence[AnyEvent]) -> None:
        """Nothing more is taken but an end. Raises Full."""
        last = events[-1]
        if type(last) is not End:
            reason = kept.broken or f"the answer outgrew the {self._most} bytes that are kept of one"
            raise Full(reason)
        if kept.broken is None:  # too long, yet the disk has room
            record = events_record(kept.key, kept.epoch, kept.seq + 1, self._now_ms(), events)
            try:
                place = self._segments.append(record)
            except Full as error:
                kept.broken = error.message
            else:
                kept.places.append(place)
                kept.firsts.append(kept.seq + 1)
                kept.seq += len(events)
                if self._sync is not None:
                    self._sync.add(stream, events)
                else:
                    self._commit(stream, kept, events)
                return
        logger.error("the end of stream %s could not be kept: %s", stream, kept.broken)
        while kept.firsts and kept.firsts[-1] > kept.committed:  # written, and not safe
            kept.firsts.pop()
            kept.places.pop()
        if last.error is None:  # what came before it may be lost, and what is told must be true
            lost = Failure(kept.broken, status=507)
            last = End(outcome="failed", usage=last.usage, error=lost, extra=last.extra)
        kept.unkept = last
        kept.seq = kept.committed + 1
        self.refused(stream, last)
        self._commit(stream, kept, (last,))

    def _sum_up(self, kept: _Stream, upto: int) -> None:
        """Sum up what has come since the last time; in a thread, for that takes milliseconds."""
        reached = kept.summaries[-1][0] if kept.summaries else 0
        begin, end = bisect_left(kept.firsts, reached + 1), bisect_left(kept.firsts, upto + 1)
        try:
            records = map(self._segments.read, kept.places[begin:end])
            events = [event for record in records for event in read_events(record.content)]
        except (LogError, OSError):  # the stream has gone meanwhile, or whoever reads it is told
            return
        if reached == (kept.summaries[-1][0] if kept.summaries else 0):  # no other thread was quicker
            kept.summaries = (*kept.summaries, (reached + len(events), encode(coalesce(events))))

    def _when_safe(self, call: Callable[[], None]) -> None:
        """Call back when what is written by now is as safe as it gets."""
        if self._sync is None:
            call()
        else:
            self._when_synced.append(call)
            self._sync.add("", ())

    def _synced(self, batch: Sequence[tuple[str, Sequence[AnyEvent]]], error: OSError | None) -> None:
        """A group is safe, or the disk has refused: then nothing more is shown of these streams."""
        for stream, events in batch:
            if not events:
                call = self._when_synced.popleft()
                if error is None:
                    call()
                continue
            kept = self._streams.get(stream)
            if kept is None:
                continue
            if error is None and kept.broken is None:
                self._commit(stream, kept, events)
                continue
            kept.broken = kept.broken or f"the answer could not be made durable: {error}"
            if type(events[-1]) is End:
                failure = Failure(kept.broken, status=507)
                self._refuse(stream, kept, (End(outcome="failed", error=failure),))

    def _between(self, kept: _Stream, after: int, most: int) -> Iterator[Kept]:
        """The records that hold the events after a seq, as many as are needed for ``most``."""
        last = min(kept.committed, after + most)
        for at in range(max(bisect_right(kept.firsts, after + 1) - 1, 0), len(kept.places)):
            if kept.firsts[at] > last:
                return
            record = self._segments.read(kept.places[at])
            if record.seq != kept.firsts[at] or record.stream != kept.key.hex():
                raise LogError("a part of the stream's log is damaged; what comes after it cannot be trusted")
            yield record
