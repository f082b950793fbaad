"""What a stream is to those who read it, wherever it is."""

from __future__ import annotations

from typing import Protocol

from tidegate.core.attempt import Attempt, Seam
from tidegate.core.event import AnyEvent, End
from tidegate.core.request import Header
from tidegate.core.run import Skipped
from tidegate.streams.reader import Reader


class Readable(Protocol):
    """A stream that readers can attach to: one under way, or one that has ended."""

    @property
    def live(self) -> bool:
        """Whether it is produced in this process, or its end is still on the way to the archive."""
        ...

    @property
    def header(self) -> Header: ...

    @property
    def dropped(self) -> tuple[str, ...]: ...

    @property
    def visible(self) -> bool: ...

    @property
    def attempts(self) -> tuple[Attempt, ...]: ...

    @property
    def seams(self) -> tuple[Seam, ...]: ...

    @property
    def last_seq(self) -> int:
        """The seq of the last event that can be read."""
        ...

    @property
    def end(self) -> End | None:
        """The last event, once it is there."""
        ...

    def settle(self) -> None:
        """Have counted what has gone past those who count it."""
        ...

    def attach(self, reader: Reader) -> None:
        """Begin to read: what is there at once or in a moment, then as it comes."""
        ...

    def detach(self, reader: Reader) -> None:
        """A reader has gone or has finished; the last one to go decides by the stream's policy."""
        ...

    def block(self, reader: Reader) -> None:
        """A reader has no room for more."""
        ...

    def unblock(self, reader: Reader) -> None:
        """A reader has room again."""
        ...

    def commit_start(self) -> None:
        """Headers must be sent: have the stream begin, if it has not."""
        ...

    def cancel(self) -> None:
        """Stop the generation; the only thing that does."""
        ...

    async def events(self, after: int, most: int) -> list[AnyEvent]:
        """The events after a seq, at most ``most``; none when there are none yet. Raises LogError or Gone."""
        ...

    async def passed(self, upto: int) -> tuple[list[Skipped], int]:
        """See :meth:`tidegate.streams.log.StreamLog.passed`."""
        ...


class Elsewhere(Exception):
    """Another process of this gateway has the stream: whoever asks for it has to ask ``holder``."""

    def __init__(self, holder: object) -> None:
        super().__init__(repr(holder))
        self.holder = holder
