"""What decoders of event streams share: frames out of bytes, and what is said of those that make no sense."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from tidegate.core.event import AnyEvent
from tidegate.core.steady import Steady
from tidegate.errors import Broken
from tidegate.wire.sse import SSEDecoder

WRONG_SHAPE: Final = (AttributeError, TypeError, KeyError, ValueError)
"""What reading a value of another kind than the documented one ends in."""

LEARNING_LIMIT: Final = 8
"""So many surroundings are learned in vain before a stream's frames are taken to differ too much."""

LONGEST_LEARNED: Final = 64 * 1024
"""A frame longer than this is no token, and learning would copy it."""


def unreadable(error: Exception, what: str = "event") -> Broken:
    """The error for an event, or another thing, that is not what the dialect says."""
    return Broken(f"the upstream sent an {what} of a shape that cannot be read: {error}")


class FrameReader(ABC):
    """Cuts a streamed answer into frames; a decoder makes events of them."""

    __slots__ = ("_learned_in_vain", "_partial", "_sse")

    def __init__(self, max_frame: int) -> None:
        self._sse = SSEDecoder(max_frame)
        self._partial = False
        """A frame has begun whose end has not come."""
        self._learned_in_vain = 0

    def steady(self) -> Steady | None:
        """See :class:`tidegate.dialects.api.Decoder`."""
        return None

    @abstractmethod
    def _frame(self, name: bytes, payload: bytes, events: list[AnyEvent]) -> None:
        """Append the events of a frame. Raises SourceError, and what is in :data:`WRONG_SHAPE`."""

    def _read(self, data: bytes, events: list[AnyEvent]) -> None:
        """Append the events of the frames that a piece completes."""
        try:
            frames = self._sse.feed(data)
            self._partial = self._sse.pending
            for name, payload in frames:
                self._frame(name, payload, events)
        except WRONG_SHAPE as error:
            raise unreadable(error) from error

    def _read_rest(self, events: list[AnyEvent]) -> None:
        """Append the events of a frame whose end is that of the body."""
        try:
            for name, payload in self._sse.finish():
                self._frame(name, payload, events)
        except WRONG_SHAPE as error:
            raise unreadable(error) from error
