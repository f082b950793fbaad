"""Cursors: where a client is in the frames of a stream, and a rendering that goes on from there.

The ``id:`` of a frame is ``17`` on the last frame of event 17, and ``17-1``, ``17-2`` … on its earlier ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from tidegate.core.event import AnyEvent
from tidegate.core.run import Run, Skipped
from tidegate.dialects.api import Renderer
from tidegate.dialects.framed import Framed

_FORM: Final = re.compile(r"0*([0-9]+)(?:-0*([1-9][0-9]*))?", re.ASCII)
_MOST_DIGITS: Final = 15


class Cursor(NamedTuple):
    """What a client has: all frames of the events up to ``seq``, and ``frames`` of those of the next one."""

    seq: int
    frames: int = 0


def read_cursor(text: str) -> Cursor | None:
    """The cursor that is written like this; None for what is none. A number may be beyond any stream."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        return None
    seq, frames = _number(found[1]), found[2]
    if frames is None:
        return Cursor(seq)
    return Cursor(seq - 1, _number(frames)) if seq else None


def _number(digits: str) -> int:
    return int(digits[:_MOST_DIGITS]) if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS


class Numbered(Framed):
    """A rendering in which every frame has its cursor; for server-sent events."""

    __slots__ = ("_renderer", "_seq", "content_type", "keep_alive")

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._seq = 0
        self.content_type = renderer.content_type
        self.keep_alive = renderer.keep_alive

    @property
    def response(self) -> Any:
        """What is kept of the answer, in a dialect that keeps it."""
        return getattr(self._renderer, "response", None)

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`, as for all that follow."""
        parts: list[bytes] = []
        for event in events:
            self._seq += 1
            frames = self._renderer.frames(self._renderer.render((event,)))
            for number, frame in enumerate(frames, 1):
                last = number == len(frames)
                parts.append(b"id: %d\n" % self._seq if last else b"id: %d-%d\n" % (self._seq, number))
                parts.append(frame)
        return b"".join(parts)

    def skip(self, item: Skipped) -> int:
        self._seq += item.count if isinstance(item, Run) else 1
        return self._renderer.skip(item)


class Trimmed(Framed):
    """A rendering without the first ``frames`` of what it renders from now on."""

    __slots__ = ("_left", "_renderer", "content_type", "keep_alive")

    def __init__(self, renderer: Renderer, frames: int) -> None:
        self._renderer = renderer
        self._left = frames
        self.content_type = renderer.content_type
        self.keep_alive = renderer.keep_alive

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        body = self._renderer.render(events)
        if not self._left:
            return body
        frames = self._renderer.frames(body)
        rest = frames[self._left :]
        self._left -= len(frames) - len(rest)
        return b"".join(rest)
