"""Reads the records of streams that have ended, as the bytes that they are: many at once, and none looked at.

A call for each record would cost several times what is done with it, and hand the interpreter's lock to and
fro with the event loop that waits for it. So the files are mapped, once for all streams that are read
within a few seconds. That a record is damaged is noticed by whoever reads it later: each has its checksum,
and there is no other copy to take its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from mmap import mmap
from typing import NamedTuple

from tidegate.streams.records import FRAME
from tidegate.streams.segments import OFFSET_BITS, Segments

_frame_at = FRAME.unpack_from
_FRAME_SIZE = FRAME.size


class Whole(NamedTuple):
    """A stream that has ended."""

    records: Sequence[bytes]
    """As far as they are there."""
    firsts: Sequence[int]
    """The seq that each begins with."""
    last_seq: int
    summaries: Sequence[tuple[int, bytes]]
    """What its first events come to, a part at a time, each with the seq that it reaches."""
    damaged: bool = False


class Gathering:
    """Maps the files of a log, and takes records out of them; for one thread.

    Maps stay until :meth:`close`, so that those who come next find what is in memory already.
    """

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._maps: dict[int, mmap | bytes] = {}

    def close(self) -> None:
        """Let go of the files for now."""
        while self._maps:
            _close(self._maps.popitem()[1])

    def records(self, places: Iterable[int]) -> tuple[list[bytes], bool]:
        """The records at places in their order, up to one that cannot be; and whether there was one.

        Raises LogError (410) where a file has gone.
        """
        found: list[bytes] = []
        add = found.append
        frame_at = _frame_at
        base = end = size = 0
        data: mmap | bytes | None = None
        for place in places:
            at = place - base
            if data is None or not 0 <= at < size:
                number = place >> OFFSET_BITS
                base = number << OFFSET_BITS
                at, end = place - base, 0
                data = self._map(number, at)
                size = len(data)
            if at < end or at + _FRAME_SIZE > size:
                return found[:-1] if at < end else found, True
            end = at + _FRAME_SIZE + frame_at(data, at)[0]
            if end > size:
                return found, True
            add(data[at:end])
        return found, False

    def _map(self, number: int, at: int) -> mmap | bytes:
        """A file as far as it is written; what was mapped before it grew is mapped anew."""
        known = self._maps.get(number)
        if known is not None and at < len(known):
            return known
        made = self._segments.mapped(number, 0 if known is None else len(known))
        if known is not None:
            _close(known)
        for gone in [each for each in self._maps if each < self._segments.oldest]:
            _close(self._maps.pop(gone))
        self._maps[number] = made
        return made


def _close(data: mmap | bytes) -> None:
    if isinstance(data, mmap):
        data.close()
