"""A stream log in memory: it keeps all of a live stream, and ends with the process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tidegate.core.attempt import Answering, Attempt, Seam
from tidegate.core.clock import Clock
from tidegate.core.event import AnyEvent, End, Item, Record, Text, Thinking, Tool
from tidegate.core.request import Header
from tidegate.core.run import Skipped
from tidegate.errors import Fenced, Full
from tidegate.streams.log import Committed, Follower

_EVENT_BYTES = 200
"""What an event weighs without its text: the object, its string's head, two list slots, its time."""


class _Stream:
    __slots__ = ("epoch", "events", "follower", "size", "times")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.events: list[AnyEvent] = []
        self.times: list[tuple[int, int]] = []
        """For each event its epoch, and when it was appended, Unix time in ms."""
        self.follower: Follower | None = None
        self.size = 0


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
        if epoch != kept.epoch:
            raise Fenced(f"stream {stream} is written by another producer")
        if kept.size > self._most and type(events[-1]) is not End:  # the end always has room
            raise Full(f"the answer outgrew the {self._most} bytes that are kept of one")
        kept.events += events
        kept.times += [(epoch, self._clock.now_ms())] * len(events)
        for event in events:
            kept.size += _EVENT_BYTES + weight(event)
        follower = kept.follower  # in a variable: see sources/upstream.py
        if follower is not None:
            follower(events)
        else:
            self._committed(stream, len(kept.events))

    def note(self, stream: str, note: Attempt | Seam | Answering) -> None:
        pass

    def waits(self, stream: str) -> bool:
        return False

    def follow(self, stream: str, follower: Follower | None) -> None:
        kept = self._streams.get(stream)
        if kept is not None:
            kept.follower = follower

    def read(self, stream: str, after: int, most: int) -> list[AnyEvent]:
        return self._streams[stream].events[after : after + most]

    def records(self, stream: str, after: int, most: int) -> list[Record]:
        kept = self._streams[stream]
        times, events = kept.times[after : after + most], kept.events[after : after + most]
        found = enumerate(zip(times, events, strict=True), after + 1)
        return [Record(epoch, seq, at_ms, event) for seq, ((epoch, at_ms), event) in found]

    def last_seq(self, stream: str) -> int:
        return len(self._streams[stream].events)

    def size(self, stream: str) -> int:
        return self._streams[stream].size

    def take_over(self, stream: str) -> int:
        kept = self._streams[stream]
        kept.epoch += 1
        return kept.epoch

    def passed(self, stream: str, upto: int) -> tuple[list[Skipped], int]:
        return [], 0

    def delete(self, stream: str) -> None:
        self._streams.pop(stream, None)

    def close(self) -> None:
        self._streams.clear()

    def statistics(self) -> dict[str, int]:
        return {
            "streams": len(self._streams),
            "events": sum(len(kept.events) for kept in self._streams.values()),
            "bytes": sum(kept.size for kept in self._streams.values()),
        }


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
