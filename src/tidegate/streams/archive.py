"""Where streams go when they have ended: they can be read from there until they expire."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from tidegate.core.attempt import Attempt, Seam
from tidegate.core.clock import Clock
from tidegate.core.event import AnyEvent, End
from tidegate.core.request import Header
from tidegate.core.run import Skipped
from tidegate.errors import Gone
from tidegate.streams.memory import MemoryLog


class Summary(Struct, frozen=True, kw_only=True):
    """A stream that has ended. Times are Unix time in ms, ``size`` is in bytes."""

    header: Header
    end: End
    last_seq: int
    size: int
    created_ms: int
    ended_ms: int
    expires_ms: int
    attempts: tuple[Attempt, ...] = ()
    seams: tuple[Seam, ...] = ()


class Claim(NamedTuple):
    """The stream that an idempotency key stands for, and the hash of the request that was sent with it."""

    stream: str
    body_hash: str
    created_ms: int


class Archive(Protocol):
    """Keeps what has ended, and which stream each idempotency key of a caller's stands for."""

    async def keep(self, ended: Sequence[Summary]) -> None:
        """Take streams, with their events, out of the log. Raises StoreError when that failed.

        Taking one again changes nothing.
        """
        ...

    async def find(self, stream: str) -> Summary | None:
        """The stream of this id; None where there was none. Raises Gone when it has expired."""
        ...

    async def events(self, stream: str, after: int, most: int) -> list[AnyEvent]:
        """The events after a seq, at most ``most``. Raises Gone when the stream has expired meanwhile."""
        ...

    async def passed(self, stream: str, upto: int) -> tuple[list[Skipped], int]:
        """See :meth:`tidegate.streams.log.StreamLog.passed`."""
        ...

    async def listed(
        self, caller: str, before: tuple[int, str] | None, most: int, outcome: str | None = None
    ) -> list[Summary]:
        """A caller's streams, the newest first; those of one moment in the order of their ids.

        ``before`` are the time in ms and the id of the one behind which to begin.
        """
        ...

    async def expire(self) -> None:
        """Let go of what is due, and of the oldest when it is too much. Called every few seconds."""
        ...

    async def claim(self, caller: str, key: str, new: Claim) -> Claim:
        """The claim that is there, else ``new``, which then is: of several that ask at once one gets it."""
        ...

    async def claimed(self, caller: str, key: str) -> Claim | None:
        """What the key stands for, if it stands for anything."""
        ...

    async def release(self, caller: str, key: str, stream: str) -> None:
        """Let the key stand for nothing again, if it stands for this stream."""
        ...


class MemoryArchive:
    """An :class:`Archive` that ends with the process; ``most`` is bytes of all that it keeps."""

    def __init__(self, log: MemoryLog, clock: Clock, most: int = 256 * 2**20) -> None:
        self._log = log
        self._clock = clock
        self._most = most
        self._kept: OrderedDict[str, tuple[Summary, list[AnyEvent]]] = OrderedDict()
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._claims: OrderedDict[tuple[str, str], Claim] = OrderedDict()
        self._size = 0

    async def keep(self, ended: Sequence[Summary]) -> None:
        """See :class:`Archive`, as for all that follow."""
        for summary in ended:
            name = summary.header.id
            if name not in self._kept:
                self._kept[name] = summary, self._log.read(name, 0, summary.last_seq)
                self._size += summary.size
        await self.expire()

    async def find(self, stream: str) -> Summary | None:
        kept = self._kept.get(stream)
        if kept is not None and kept[0].expires_ms > self._clock.now_ms():
            return kept[0]
        if kept is not None or stream in self._gone:
            raise expired(stream)
        return None

    async def events(self, stream: str, after: int, most: int) -> list[AnyEvent]:
        kept = self._kept.get(stream)
        if kept is None:
            raise expired(stream)
        return kept[1][after : after + most]

    async def passed(self, stream: str, upto: int) -> tuple[list[Skipped], int]:
        return [], 0

    async def listed(
        self, caller: str, before: tuple[int, str] | None, most: int, outcome: str | None = None
    ) -> list[Summary]:
        now = self._clock.now_ms()
        found = [
            summary
            for summary, _ in self._kept.values()
            if summary.header.caller == caller
            and summary.header.parent is None
            and summary.expires_ms > now
            and outcome in (None, summary.end.outcome)
            and is_behind(summary.created_ms, summary.header.id, before)
        ]
        return sorted(found, key=lambda summary: (-summary.created_ms, summary.header.id))[:most]

    async def expire(self) -> None:
        now = self._clock.now_ms()
        for name, (summary, _) in list(self._kept.items()):
            if summary.expires_ms <= now or self._size > self._most:
                del self._kept[name]
                self._size -= summary.size
                self._gone[name] = None
        while len(self._gone) > _MOST_GONE:
            self._gone.popitem(last=False)
        while len(self._claims) > _MOST_GONE:
            self._claims.popitem(last=False)

    async def claim(self, caller: str, key: str, new: Claim) -> Claim:
        return self._claims.setdefault((caller, key), new)

    async def claimed(self, caller: str, key: str) -> Claim | None:
        return self._claims.get((caller, key))

    async def release(self, caller: str, key: str, stream: str) -> None:
        claim = self._claims.get((caller, key))
        if claim is not None and claim.stream == stream:
            del self._claims[caller, key]


_MOST_GONE = 100_000
"""Ids of expired streams that are remembered, so that they are told from those that never were."""


def is_behind(created_ms: int, stream: str, before: tuple[int, str] | None) -> bool:
    """Whether a stream is listed behind the one of ``before``."""
    return before is None or (-created_ms, stream) > (-before[0], before[1])


def expired(stream: str) -> Gone:
    """What is said of a stream that is not kept any more."""
    return Gone(
        f"stream {stream} has expired and is not kept any more; streams.retain says for how long they are",
        code="stream_expired",
    )
