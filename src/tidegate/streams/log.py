"""The contract of a stream log: an append-only record of each stream's events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from tidegate.core.attempt import Answering, Attempt, Seam
from tidegate.core.event import AnyEvent, End, Record
from tidegate.core.request import Header
from tidegate.core.run import Skipped
from tidegate.streams.tail import Tail

Committed = Callable[[str, int], None]
"""Called with a stream's id and the seq up to which its events may be read from now on."""

Follower = Callable[[Sequence[AnyEvent]], None]
"""Takes the events of an append as they are committed: the one reader there is, which has all before them."""


class Relayed(Protocol):
    """What goes past the log's readers and writers, see :mod:`tidegate.streams.relay`."""

    @property
    def events(self) -> int:
        """How many have passed that nobody was told of."""
        ...

    def settle(self) -> None:
        """Tell all that count what has passed."""
        ...

    def end(self) -> None:
        """The same, and everything goes its usual way again."""
        ...


class Place(NamedTuple):
    """Where records of a stream may be appended to by somebody else."""

    key: bytes
    epoch: int
    seq: int
    """Of the last event."""
    last: int
    """The seq that an event may have there at most."""
    room: int
    """Bytes."""
    tail: Tail
    """Without a file where records are kept in memory."""


class StreamLog(Protocol):
    """Keeps streams. Readers see committed events only, and those until the stream is deleted."""

    refused: Callable[[str, End], None]
    """Is told the end that readers of a stream get, where theirs could not be kept; just before they do."""

    @property
    def survives(self) -> bool:
        """Whether what is in it outlives the process."""
        ...

    def create(self, header: Header, epoch: int = 1) -> None:
        """Begin the log of a stream. Raises Full where there is no room for it."""
        ...

    def append(self, stream: str, epoch: int, events: Sequence[AnyEvent]) -> None:
        """Add events. Raises Fenced for an epoch that is not the newest, Full when over the bounds.

        The log then calls ``committed``, or the stream's follower; a local log does so before this returns.
        An End is always taken: where it cannot be kept, readers are told all the same.
        """
        ...

    def note(self, stream: str, note: Attempt | Seam | Answering) -> None:
        """Keep beside the events what whoever takes the stream over should know, if there is room."""
        ...

    def waits(self, stream: str) -> bool:
        """Whether something that was appended is not committed yet."""
        ...

    def follow(self, stream: str, follower: Follower | None) -> None:
        """Name the one reader that has everything so far, if that is all there are; it is then told first."""
        ...

    def place(self, stream: str, epoch: int) -> Place | None:
        """Where a relay may append; None where only the log itself can."""
        ...

    def relay(self, stream: str, relay: Relayed | None) -> None:
        """Name what appends to a stream past the log, which settles or ends it before it does anything."""
        ...

    def passed_by(self, stream: str, events: int, size: int, places: bytes, records: bytes) -> None:
        """So many events were appended by a relay: ``size`` bytes of records, in its order.

        ``places`` has the place of each record and the seq that it begins with, 8 bytes each; ``records`` are
        the records themselves, where they are kept in memory.
        """
        ...

    def read(self, stream: str, after: int, most: int) -> list[AnyEvent]:
        """The committed events after seq ``after``, at most ``most``; seq is dense, so theirs is known.

        Raises LogError for events that are damaged or gone: never a silent gap.
        """
        ...

    def records(self, stream: str, after: int, most: int) -> list[Record]:
        """The same with epoch, seq and time."""
        ...

    def last_seq(self, stream: str) -> int:
        """The seq up to which events may be read."""
        ...

    def size(self, stream: str) -> int:
        """Bytes of its events."""
        ...

    def take_over(self, stream: str) -> int:
        """A new epoch for a new producer: from now on the one before is fenced off."""
        ...

    def passed(self, stream: str, upto: int) -> tuple[list[Skipped], int]:
        """What is summed up of the events from the first on, and the seq that this reaches, at most ``upto``.

        Whoever begins behind them need not read them one by one.
        """
        ...

    def delete(self, stream: str) -> None:
        """Forget a stream."""
        ...

    def close(self) -> None:
        """Write no more. What survives the process stays for whoever comes next."""
        ...

    def statistics(self) -> dict[str, int]:
        """How many streams, events and bytes are kept."""
        ...
