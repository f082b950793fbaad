"""Counting frames and getting past them, as any renderer does it that knows no cheaper way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tidegate.core.event import AnyEvent
from tidegate.core.run import Run, Skipped


class Framed(Protocol):
    """What :class:`tidegate.dialects.api.Renderer` asks for beside ``render``, made from that alone."""

    __slots__ = ()

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`, as for all that follow."""
        ...

    def frames(self, data: bytes) -> list[bytes]:
        *whole, rest = data.split(b"\n\n")
        found = [frame + b"\n\n" for frame in whole]
        if rest and found:
            found[-1] += rest
        elif rest:
            found.append(rest)
        return found

    def skip(self, item: Skipped) -> int:
        if not isinstance(item, Run):
            return self._skip_event(item)
        first, rest = item.parted()
        shown = self._skip_event(first)
        return shown + (self._skip_more(rest) if shown else self._skip_unshown(rest))

    def _skip_event(self, event: AnyEvent) -> int:
        return len(self.frames(self.render((event,))))

    def _skip_more(self, rest: Run) -> int:
        """The rest of a run whose first delta was just shown; worth less than a delta's time each."""
        return self._skip_unshown(rest)

    def _skip_unshown(self, rest: Run) -> int:
        """The rest of a run whose first delta is not to be seen, or not yet."""
        return sum(map(self._skip_event, rest.pieces()))
