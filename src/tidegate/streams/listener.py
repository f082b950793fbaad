"""A reader that is code: the events of one stream for whoever iterates over them in this process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence

from tidegate.core.event import AnyEvent, End, Failure
from tidegate.streams.log import StreamLog
from tidegate.streams.readable import Readable
from tidegate.streams.reader import Reader

_MOST_WAITING = 512
"""Events that wait for whoever iterates, before the stream's source is paused."""


class Listener(Reader):
    """Holds events until they are taken; a stream that is too fast for that is paused."""

    __slots__ = ("_events", "_readable", "_wake")

    def __init__(self, stream: Readable, log: StreamLog) -> None:
        super().__init__(stream.header.id, log, _NOTHING, _NOWHERE)
        self._readable = stream
        self._events: deque[AnyEvent] = deque()
        self._wake = asyncio.Event()

    def take(self, events: Sequence[AnyEvent]) -> None:
        """See :class:`tidegate.streams.reader.Reader`, as for all that follow."""
        self.seq += len(events)
        self.finished = type(events[-1]) is End
        self._events += events
        self._wake.set()
        if len(self._events) > _MOST_WAITING and not self.blocked:
            self._readable.block(self)

    def give_up(self, reason: str) -> None:
        if not self.finished:
            self.finished = True
            self._events.append(End(outcome="failed", error=Failure(reason)))
            self._wake.set()

    async def events(self) -> AsyncGenerator[AnyEvent, None]:
        """Attach, and yield the stream's events to its End; detach when that is closed."""
        self._readable.attach(self)
        try:
            while True:
                while self._events:
                    event = self._events.popleft()
                    yield event
                    if type(event) is End:
                        return
                if self.blocked:
                    self._readable.unblock(self)
                    continue
                self._wake.clear()
                await self._wake.wait()
        finally:
            self._readable.detach(self)


class _Nothing:
    """Renders nothing, and takes nothing that was rendered."""

    content_type = b""

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        return b""

    def keep_alive(self) -> bytes:
        return b""

    def frames(self, data: bytes) -> list[bytes]:
        return []

    def skip(self, item: object) -> int:
        return 0

    def write(self, data: bytes) -> None:
        """See :class:`tidegate.streams.reader.Sink`."""

    def end(self, data: bytes, last: End) -> None:
        """See :class:`tidegate.streams.reader.Sink`."""


_NOTHING = _NOWHERE = _Nothing()
