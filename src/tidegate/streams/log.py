"""The contract of a stream log: an append-only record of each stream's events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from tidegate.core.event import AnyEvent, Record
from tidegate.core.request import Header

Committed = Callable[[str, int], None]
"""Called with a stream's id and the seq up to which its events may be read from now on."""

Passed = Callable[[str], int]
"""Tells the seq that every attached reader of a stream is past; a bounded log may let go up to there."""


class StreamLog(Protocol):
    """Keeps streams. Readers see committed events only, and those for as long as they are retained."""

    def create(self, header: Header) -> None:
        """Begin the log of a stream."""
        ...

    def append(self, stream: str, epoch: int, events: Sequence[AnyEvent]) -> None:
        """Add events. Raises Fenced for an epoch that is not the newest, Full when over the bounds.

        The log then calls ``committed``; a local log does so before this returns.
        """
        ...

    def read(self, stream: str, after: int, most: int) -> list[AnyEvent]:
        """The committed events after seq ``after``, at most ``most``; seq is dense, so theirs is known.

        Raises LogError for events that were let go of: never a silent gap.
        """
        ...

    def records(self, stream: str, after: int, most: int) -> list[Record]:
        """The same with epoch, seq and time."""
        ...

    def delete(self, stream: str) -> None:
        """Forget a stream."""
        ...
