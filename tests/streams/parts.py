"""Owns what stands around a stream in these tests: a clock, a sink, a flow, and logs of every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol
from weakref import finalize

from tidegate.core.clock import Clock
from tidegate.core.event import AnyEvent, End, Text
from tidegate.core.request import Header, OnDisconnect
from tidegate.dialects.framed import Framed
from tidegate.streams.disk import DiskLog
from tidegate.streams.log import Committed, StreamLog
from tidegate.streams.memory import MemoryLog
from tidegate.streams.reader import Reader
from tidegate.streams.segments import Segments, Slot

END = End(outcome="completed")


class ManualClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds


S, T = "5" * 32, "7" * 32
"""The ids of two streams."""


class MakeLog(Protocol):
    """Makes a log that is full beyond ``most`` bytes a stream."""

    def __call__(self, clock: Clock, committed: Committed, *, most: int = ...) -> StreamLog: ...


def disk_log(clock: Clock, committed: Committed, *, most: int = 1 << 30) -> StreamLog:
    """A log in a folder that goes with it; its segments are so short that every stream lies in several."""
    folder = TemporaryDirectory(prefix="tidegate-log-")
    slot = Slot(Path(folder.name))
    segments = Segments(slot, 4096)
    log = DiskLog(clock, committed, segments, most=most)
    finalize(log, _let_go, segments, slot, folder)
    return log


def _let_go(segments: Segments, slot: Slot, folder: TemporaryDirectory[str]) -> None:
    segments.close()
    slot.close()
    folder.cleanup()


LOGS: dict[str, MakeLog] = {"memory": MemoryLog, "disk": disk_log}
"""Every log that there is: all of them keep the same contract."""


def header(stream: str = S, on_disconnect: OnDisconnect = "cancel") -> Header:
    return Header(
        id=stream, caller="c", dialect="openai-chat", model="m", created=1, on_disconnect=on_disconnect
    )


def texts(*words: str) -> list[AnyEvent]:
    return [Text(text=word) for word in words]


class Page:
    """A sink that keeps what it is given; after ``room`` writes it has the test's ``full`` called."""

    def __init__(self, room: int | None = None, full: Callable[[], None] = lambda: None) -> None:
        self.writes: list[bytes] = []
        self.last: End | None = None
        self.room = room
        self._full = full

    @property
    def body(self) -> bytes:
        return b"".join(self.writes)

    def write(self, data: bytes) -> None:
        assert data
        assert self.last is None, "written after the end"
        self.writes.append(data)
        if self.room is not None and len(self.writes) >= self.room:
            self._full()

    def end(self, data: bytes, last: End) -> None:
        assert self.last is None, "ended twice"
        self.writes.append(data)
        self.last = last


class Plain(Framed):
    """A renderer that writes each event as its text, or as its kind."""

    content_type = b"text/plain"

    def render(self, events: object) -> bytes:
        assert isinstance(events, list | tuple)
        return b"".join(
            event.text.encode() if isinstance(event, Text) else b"<%b>" % type(event).__name__.encode()
            for event in events
        )

    def keep_alive(self) -> bytes:
        return b""


class Tap:
    """A source's transport that remembers whether it was told to stop."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


class Bench:
    """A log with readers that advance at its commits, and nothing else of a gateway."""

    def __init__(self, make: MakeLog, *, most: int = 1 << 30) -> None:
        self.clock = ManualClock()
        self.readers: list[Reader] = []
        self.commits: list[tuple[str, int]] = []
        self.log = make(self.clock, self._committed, most=most)

    def _committed(self, stream: str, seq: int) -> None:
        self.commits.append((stream, seq))
        for reader in self.readers:
            reader.advance()
