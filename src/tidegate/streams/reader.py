"""A reader: follows one stream through its log, at its own speed, in one rendering."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, NamedTuple, Protocol, cast, runtime_checkable

from tidegate.core.event import AnyEvent, End, Failure
from tidegate.dialects import Renderer
from tidegate.errors import LogError
from tidegate.streams.log import StreamLog

logger = logging.getLogger("tidegate")

_DEFECT: Final = End(outcome="failed", error=Failure("the gateway failed; its log says why"))
"""How a stream ends for a reader whose renderer fails: what the log holds is not at fault."""

_BATCH = 256
"""Events rendered into one write when a reader catches up; a few writes later it can be stopped."""


class Sink(Protocol):
    """Where the rendering goes. Calls never block; a sink without room says so to its reader."""

    def write(self, data: bytes) -> None:
        """More of the body, whole frames only."""
        ...

    def end(self, data: bytes, last: End) -> None:
        """The rest of the body, and how the stream ended."""
        ...


class Way(NamedTuple):
    """Where the frames of a reader can go past it."""

    write: Callable[[bytes], object]
    """Takes whole HTTP chunks."""
    wrote: Callable[[int], None]
    """Is told how many writes there were."""


@runtime_checkable
class Opening(Protocol):
    """A sink into which others may write."""

    def way(self) -> Way | None:
        """None where only :meth:`Sink.write` will do for now."""
        ...


@cache
def _is_opening(kind: type) -> bool:
    """isinstance() of a protocol would look at every member each time."""
    return issubclass(kind, Opening)


class Reader:
    """Renders what is committed into a sink as it comes.

    :meth:`block` and :meth:`unblock` follow the room in the sink: a blocked reader stays where it is.
    """

    __slots__ = (
        "_log",
        "_render",
        "_sink",
        "_stream",
        "behind",
        "blocked",
        "finished",
        "renderer",
        "seq",
        "write",
    )

    def __init__(self, stream: str, log: StreamLog, renderer: Renderer, sink: Sink, seq: int = 0) -> None:
        self._stream = stream
        self._log = log
        self.renderer = renderer
        self._render = renderer.render
        self._sink = sink
        self.seq = seq
        self.write = sink.write
        """Where more of the body goes; a sink may replace it by what its own ``write`` would call."""
        self.blocked = False
        self.behind = False
        """It catches up, a step at each turn of the event loop."""
        self.finished = False

    def way(self) -> Way | None:
        """Where its frames can go past it, while it has everything and takes more."""
        sink = self._sink
        if self.blocked or self.behind or self.finished or not _is_opening(type(sink)):
            return None
        return cast(Opening, sink).way()

    def redirect(self, sink: Sink) -> None:
        """Go on into another sink, from here."""
        self._sink = sink
        self.write = sink.write

    def take(self, events: Sequence[AnyEvent]) -> None:
        """Take what was just appended, having everything before it: :meth:`advance` without the log."""
        self.seq += len(events)
        last = events[-1]
        render, write = self._render, self.write  # in variables: see sources/upstream.py
        try:
            data = render(events)
        except Exception:  # a reader without an end would wait for ever
            logger.exception("stream %s: a defect ended a rendering", self._stream)
            data, last = self._rendered_end(), _DEFECT
        if type(last) is End:
            self.finished = True
            self._sink.end(data, last)
        elif data:
            write(data)

    def give_up(self, reason: str) -> None:
        """End here, because what comes next cannot be had."""
        if not self.finished:
            self.finished = True
            last = End(outcome="failed", error=Failure(reason))
            self._sink.end(self._rendered_end(last), last)

    def _rendered_end(self, last: End = _DEFECT) -> bytes:
        """The end after a defect, where the renderer can still tell it."""
        try:
            return self._render((last,))
        except Exception:  # as before; it is logged by now
            return b""

    def advance(self) -> None:
        """Take everything that is committed, unless blocked; called at every commit."""
        while self.step():
            pass

    def step(self) -> bool:
        """Take what is committed, so much of it that others get their turn; whether there is more to take."""
        if self.blocked or self.finished:
            return False
        try:
            events = self._log.read(self._stream, self.seq, _BATCH)
        except LogError as error:  # neither the producer nor another reader is to blame for it
            logger.error("stream %s cannot be read on: %s", self._stream, error.message)
            self.give_up(error.message)
            return False
        if events:
            self.take(events)
        return len(events) == _BATCH and not (self.blocked or self.finished)
