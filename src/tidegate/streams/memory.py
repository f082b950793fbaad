"""A stream log in memory, bounded: it keeps what somebody has still to read, and a window behind that."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tidegate.core.clock import Clock
from tidegate.core.event import AnyEvent, End, Item, Record, Text, Thinking, Tool
from tidegate.core.request import Header
from tidegate.errors import Fenced, Full, LogError
from tidegate.streams.log import Committed, Passed

Follower = Callable[[Sequence[AnyEvent]], None]

_EVENT_BYTES = 200
"""What an event weighs without its text: the object, its string's head, two list slots, its time."""


class _Stream:
    __slots__ = ("epoch", "events", "first", "follower", "header", "size", "times")

    def __init__(self, header: Header) -> None:
        self.header = header
        self.epoch = 1
        self.events: list[AnyEvent] = []
        self.times: list[int] = []
        """When each event was appended, Unix time in ms."""
        self.follower: Follower | None = None
        self.first = 1
        """The seq of ``events[0]``."""
        self.size = 0


class MemoryLog:
    """A :class:`tidegate.streams.log.StreamLog` that dies with the process.

    ``window`` and ``most`` are bytes a stream: beyond the window what every reader has passed is let go
    of, which is at once without a window, since nobody can come back to what is in memory alone; beyond
    ``most`` the log is full. Weights are estimates (ASCII text weighs a byte a character).
    """

    def __init__(
        self,
        clock: Clock,
        committed: Committed,
        passed: Passed,
        *,
        window: int = 0,
        most: int = 64 * 1024 * 1024,
    ) -> None:
        self._clock = clock
        self._committed = committed
        self._passed = passed
        self._window = window
        self._most = most
        self._streams: dict[str, _Stream] = {}

    def create(self, header: Header) -> None:
        """See :class:`tidegate.streams.log.StreamLog`, as for all that follow."""
        self._streams[header.id] = _Stream(header)

    def append(self, stream: str, epoch: int, events: Sequence[AnyEvent]) -> None:
        kept = self._streams[stream]
        if epoch != kept.epoch:
            raise Fenced(f"stream {stream} is written by another producer")
        if kept.follower is not None and not kept.events:
            kept.first += len(events)
            kept.follower(events)
            return
        if kept.size > self._most and type(events[-1]) is not End:  # the end always has room
            raise Full(f"the answer outgrew the {self._most} bytes that are kept for its readers")
        kept.events += events
        last = kept.first + len(kept.events) - 1
        self._committed(stream, last)
        passed = self._passed(stream)
        if passed >= last and not self._window:
            # Memory that is used again at once stays in the processor's cache.
            kept.events.clear()
            kept.times.clear()
            kept.first = last + 1
            kept.size = 0
        else:
            self._keep(kept, events, passed)

    def follow(self, stream: str, follower: Follower | None) -> None:
        """Name the one reader that has everything so far, if that is all there are.

        What is appended is handed to it and need not be kept, as long as it keeps up; a log with a window
        keeps it all the same.
        """
        kept = self._streams.get(stream)
        if kept is not None and not self._window:
            kept.follower = follower

    def read(self, stream: str, after: int, most: int) -> list[AnyEvent]:
        kept = self._streams[stream]
        begin = after + 1 - kept.first
        if begin < 0:
            raise _gone(stream, kept.first)
        return kept.events[begin : begin + most]

    def records(self, stream: str, after: int, most: int) -> list[Record]:
        kept = self._streams[stream]
        begin = after + 1 - kept.first
        if begin < 0:
            raise _gone(stream, kept.first)
        found = zip(kept.times[begin : begin + most], kept.events[begin : begin + most], strict=True)
        return [Record(kept.epoch, after + 1 + at, at_ms, event) for at, (at_ms, event) in enumerate(found)]

    def delete(self, stream: str) -> None:
        self._streams.pop(stream, None)

    def statistics(self) -> dict[str, int]:
        """How many streams, events and bytes are kept."""
        return {
            "streams": len(self._streams),
            "events": sum(len(kept.events) for kept in self._streams.values()),
            "bytes": sum(kept.size for kept in self._streams.values()),
        }

    def _keep(self, kept: _Stream, events: Sequence[AnyEvent], passed: int) -> None:
        """Book what somebody has still to read, or may come back to."""
        at_ms = self._clock.now_ms()
        kept.times += [at_ms] * len(events)
        kept.size += sum(_EVENT_BYTES + weight(event) for event in events)
        if kept.size > self._window:
            self._let_go(kept, passed)

    def _let_go(self, kept: _Stream, passed: int) -> None:
        """Drop what everybody has passed, down to half the window, so that this happens seldom."""
        drop, freed = 0, 0
        over = kept.size - self._window // 2
        for seq, event in enumerate(kept.events, kept.first):
            if freed >= over or seq > passed:
                break
            freed += _EVENT_BYTES + weight(event)
            drop += 1
        if drop:
            del kept.events[:drop]
            del kept.times[:drop]
            kept.first += drop
            kept.size -= freed


def _gone(stream: str, first: int) -> LogError:
    return LogError(f"the events of stream {stream} before {first} are not kept any more", status=410)


def weight(event: AnyEvent) -> int:
    """About how many bytes an event holds beyond what every event costs."""
    if isinstance(event, (Text, Thinking)):
        return len(event.text)
    if isinstance(event, Tool):
        return len(event.arguments)
    if isinstance(event, Item):
        return len(repr(event.value))
    return 0
