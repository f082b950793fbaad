"""A stream log in memory: it keeps all of a live stream, and ends with the process."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

from tidegate.core.attempt import Answering, Attempt, Seam
from tidegate.core.clock import Clock
from tidegate.core.event import AnyEvent, End, Item, Record, Text, Thinking, Tool
from tidegate.core.request import Header
from tidegate.core.run import Skipped
from tidegate.errors import Fenced, Full
from tidegate.streams.log import Committed, Follower, Place, Relayed
from tidegate.streams.records import read_events, read_records, stream_key
from tidegate.streams.tail import Tail

_EVENT_BYTES = 200
"""What an event weighs without its text: the object, its string's head, two list slots, its time."""

_NO_LAST = 2**63
"""The seq up to which a relay may append, where nothing is summed up."""


class _Run:
    """Events that follow one another, or the records of some that nobody has asked for yet."""

    __slots__ = ("_events", "_records", "_times", "first")

    def __init__(self, first: int, records: bytes = b"") -> None:
        self.first = first
        self._records = records
        self._events: list[AnyEvent] = []
        self._times: list[tuple[int, int]] = []

    @property
    def events(self) -> list[AnyEvent]:
        if self._records:
            self._open()
        return self._events

    @property
    def times(self) -> list[tuple[int, int]]:
        """For each event its epoch, and when it was appended, Unix time in ms."""
        if self._records:
            self._open()
        return self._times

    @property
    def is_open(self) -> bool:
        return not self._records

    def _open(self) -> None:
        for record in read_records(self._records):
            found = read_events(record.content)
            self._events += found
            self._times += [(record.epoch, record.at_ms)] * len(found)
        self._records = b""


class _Stream:
    __slots__ = ("epoch", "follower", "relay", "runs", "seq", "size")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.runs = [_Run(1)]
        self.seq = 0
        self.follower: Follower | None = None
        self.relay: Relayed | None = None
        self.size = 0

    def between(self, after: int, most: int) -> Iterator[tuple[_Run, int, int]]:
        """The runs that hold the events after a seq, and from where to where in each."""
        last = min(self.seq, after + most)
        at = max(bisect_right(self.runs, after + 1, key=_first) - 1, 0)
        while after < last:
            run = self.runs[at]
            stop = min(last + 1 - run.first, len(run.events))
            yield run, after + 1 - run.first, stop
            after = run.first + stop - 1
            at += 1


def _first(run: _Run) -> int:
    return run.first


class MemoryLog:
    """A :class:`tidegate.streams.log.StreamLog` that dies with the process.

    ``most`` is bytes a stream, beyond which the log is full. Weights are estimates (ASCII text weighs a byte
    a character).
    """

    def __init__(self, clock: Clock, committed: Committed, *, most: int = 64 * 2**20) -> None:
        self._clock = clock
        self._committed = committed
        self.refused: Callable[[str, End], None] = _never
        self._most = most
        self._streams: dict[str, _Stream] = {}

    @property
    def survives(self) -> bool:
        """See :class:`tidegate.streams.log.StreamLog`, as for all that follow."""
        return False

    def create(self, header: Header, epoch: int = 1) -> None:
        self._streams[header.id] = _Stream(epoch)

    def append(self, stream: str, epoch: int, events: Sequence[AnyEvent]) -> None:
        kept = self._streams[stream]
        if kept.relay is not None:
            kept.relay.end()
        if epoch != kept.epoch:
            raise Fenced(f"stream {stream} is written by another producer")
        if kept.size > self._most and type(events[-1]) is not End:  # the end always has room
            raise Full(f"the answer outgrew the {self._most} bytes that are kept of one")
        run = kept.runs[-1]
        if not run.is_open:
            run = _Run(kept.seq + 1)
            kept.runs.append(run)
        run.events.extend(events)
        run.times.extend([(epoch, self._clock.now_ms())] * len(events))
        kept.seq += len(events)
        for event in events:
            kept.size += _EVENT_BYTES + weight(event)
        follower = kept.follower  # in a variable: see sources/upstream.py
        if follower is not None:
            follower(events)
        else:
            self._committed(stream, kept.seq)

    def note(self, stream: str, note: Attempt | Seam | Answering) -> None:
        pass

    def waits(self, stream: str) -> bool:
        return False

    def follow(self, stream: str, follower: Follower | None) -> None:
        kept = self._streams.get(stream)
        if kept is not None:
            if kept.relay is not None:
                kept.relay.end()
            kept.follower = follower

    def place(self, stream: str, epoch: int) -> Place | None:
        kept = self._streams[stream]
        if epoch != kept.epoch or kept.size > self._most:
            return None
        nowhere = Tail()
        nowhere.file, nowhere.limit, nowhere.weight = -1, 1, _EVENT_BYTES
        return Place(stream_key(stream), epoch, kept.seq, _NO_LAST, self._most + 1 - kept.size, nowhere)

    def relay(self, stream: str, relay: Relayed | None) -> None:
        kept = self._streams.get(stream)
        if kept is not None:
            kept.relay = relay

    def passed_by(self, stream: str, events: int, size: int, places: bytes, records: bytes) -> None:
        kept = self._streams[stream]
        kept.runs.append(_Run(kept.seq + 1, records))
        kept.seq += events
        kept.size += size

    def read(self, stream: str, after: int, most: int) -> list[AnyEvent]:
        kept = self._settled(stream)
        return [each for run, start, stop in kept.between(after, most) for each in run.events[start:stop]]

    def records(self, stream: str, after: int, most: int) -> list[Record]:
        found: list[Record] = []
        for run, start, stop in self._settled(stream).between(after, most):
            both = zip(run.times[start:stop], run.events[start:stop], strict=True)
            numbered = enumerate(both, run.first + start)
            found += [Record(epoch, seq, at_ms, event) for seq, ((epoch, at_ms), event) in numbered]
        return found

    def last_seq(self, stream: str) -> int:
        return self._settled(stream).seq

    def size(self, stream: str) -> int:
        return self._settled(stream).size

    def take_over(self, stream: str) -> int:
        kept = self._streams[stream]
        if kept.relay is not None:
            kept.relay.end()
        kept.epoch += 1
        return kept.epoch

    def passed(self, stream: str, upto: int) -> tuple[list[Skipped], int]:
        return [], 0

    def delete(self, stream: str) -> None:
        kept = self._streams.get(stream)
        if kept is not None:
            if kept.relay is not None:
                kept.relay.end()
            del self._streams[stream]

    def close(self) -> None:
        for stream in [*self._streams]:
            self.delete(stream)

    def statistics(self) -> dict[str, int]:
        for stream in self._streams:
            self._settled(stream)
        return {
            "streams": len(self._streams),
            "events": sum(kept.seq for kept in self._streams.values()),
            "bytes": sum(kept.size for kept in self._streams.values()),
        }

    def _settled(self, stream: str) -> _Stream:
        """A stream with everything that went past the log."""
        kept = self._streams[stream]
        if kept.relay is not None:
            kept.relay.settle()
        return kept


def _never(*_: object) -> None:
    """Memory refuses no end."""


def weight(event: AnyEvent) -> int:
    """About how many bytes an event holds beyond what every event costs."""
    if type(event) is Text or type(event) is Thinking:
        return len(event.text)
    if type(event) is Tool:
        return len(event.arguments)
    if type(event) is Item:
        return len(repr(event.value))
    return 0
