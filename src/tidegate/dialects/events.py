"""The canonical events themselves, one a frame with its place in the stream, for clients of our own.

Only shown: requests and upstreams speak other dialects. The first frame's ``seq`` is 1 and each is one more;
an event is told as :mod:`tidegate.core.event` has it, without the fields that have their default.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tidegate.core.event import AnyEvent, End, Failure
from tidegate.core.request import Header
from tidegate.core.run import Run, Skipped
from tidegate.dialects.api import Renderer, Shown
from tidegate.dialects.framed import Framed
from tidegate.dialects.openai_chat.errors import render_error
from tidegate.wire.ascii_json import ascii_json

_KEEP_ALIVE = b'data: {"event":"keep_alive"}\n\n'


class EventsRenderer(Framed):
    """Renders one stream as its events."""

    content_type = b"text/event-stream; charset=utf-8"

    __slots__ = ("_seq",)

    def __init__(self) -> None:
        self._seq = 0

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`, as for all that follow."""
        first = self._seq + 1
        self._seq += len(events)
        frames = (f"data: {told(seq, event)}\n\n" for seq, event in enumerate(events, first))
        return "".join(frames).encode("ascii")

    def keep_alive(self) -> bytes:
        return _KEEP_ALIVE

    def skip(self, item: Skipped) -> int:
        count = item.count if isinstance(item, Run) else 1
        self._seq += count
        return count


class EventsWholeRenderer(Framed):
    """Renders nothing until the stream has completed, then the list of its events."""

    content_type = b"application/json"

    __slots__ = ("_events",)

    def __init__(self) -> None:
        self._events: list[str] = []

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`, as for all that follow."""
        self._events += [told(seq, event) for seq, event in enumerate(events, len(self._events) + 1)]
        last = events[-1]
        if not isinstance(last, End) or last.outcome != "completed":
            return b""
        return f'{{"object":"list","data":[{",".join(self._events)}]}}'.encode("ascii")

    def keep_alive(self) -> bytes:
        return b""


def told(seq: int, event: AnyEvent) -> str:
    """An event at its place, as one JSON object."""
    return f'{{"seq":{seq},{ascii_json(msgspec.to_builtins(event))[1:]}'


class Events:
    """The dialect ``events``."""

    name = "events"

    def renderer(self, header: Header) -> Renderer:
        """See :class:`tidegate.dialects.api.Shown`, as for all that follow."""
        return EventsRenderer() if header.stream else EventsWholeRenderer()

    def render_error(self, failure: Failure, request_id: str | None = None) -> bytes:
        return render_error(failure)


DIALECT: Shown = Events()
