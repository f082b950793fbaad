"""The archive in the store's database: streams that have ended, as the records of the log on disk."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final
from zlib import compress, decompress
from zlib import error as ZlibError  # noqa: N812 - an exception of that name says nothing

import msgspec
from sqlalchemy import Connection

from tidegate.core.attempt import Attempt, Seam
from tidegate.core.clock import Clock
from tidegate.core.event import AnyEvent, End
from tidegate.core.kept_json import kept_json
from tidegate.core.run import Skipped, coalesce, decode, encode
from tidegate.errors import LogError
from tidegate.store import streams as rows
from tidegate.store.database import Database
from tidegate.streams.archive import Claim, Summary, expired
from tidegate.streams.disk import DiskLog
from tidegate.streams.gathering import Whole
from tidegate.streams.records import HEAD_SIZE, kept_header, read_events, read_header, read_records

logger = logging.getLogger("tidegate")

_CHUNK_EVENTS: Final = 1024
_CHUNK_BYTES: Final = 256 * 1024
_WORTH_PACKING: Final = 4096
"""Bytes; to set a compressor up takes as long as to compress that many."""
_CLAIM_MS: Final = 7 * 24 * 3600 * 1000
"""For so long a key is remembered; a stream that it stands for may be gone much earlier."""

_PLAIN, _PACKED = b"\x00", b"\x01"

_decode_attempts = msgspec.json.Decoder(tuple[Attempt, ...]).decode
_decode_seams = msgspec.json.Decoder(tuple[Seam, ...]).decode


class StoredStreams:
    """A :class:`tidegate.streams.archive.Archive` that survives the process.

    ``most`` is bytes of all streams in it.
    """

    def __init__(self, database: Database, log: DiskLog, clock: Clock, most: int) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._most = most

    async def keep(self, ended: Sequence[Summary]) -> None:
        """See :class:`tidegate.streams.archive.Archive`, as for all that follow."""

        def work(connection: Connection) -> None:
            chunks = {each.header.id: self._chunks(each.header.id) for each in ended}
            sizes = {name: sum(len(chunk.events) for chunk in found) for name, found in chunks.items()}
            found = [_row(each, max(sizes[each.header.id], 1)) for each in ended]
            rows.insert_streams(connection, found, [chunk for each in chunks.values() for chunk in each])

        await self._database.run(work)

    async def find(self, stream: str) -> Summary | None:
        row, end = await self._database.read(lambda connection: _found(connection, stream))
        if row is None:
            return None
        if not row.size or row.expires_ms <= self._clock.now_ms():
            raise expired(stream)
        if end is None:
            raise LogError(f"the end of stream {stream} is missing from the store")
        return _summary(row, end)

    async def events(self, stream: str, after: int, most: int) -> list[AnyEvent]:
        chunk = await self._database.read(lambda connection: rows.chunk_after(connection, stream, after))
        if chunk is None:
            if await self.find(stream) is None:
                raise expired(stream)
            return []
        if chunk.first_seq > after + 1:
            raise LogError(f"a part of stream {stream} is missing from the store")
        return events_in(chunk.events, after, most)

    async def passed(self, stream: str, upto: int) -> tuple[list[Skipped], int]:
        found = await self._database.read(lambda connection: rows.summaries_before(connection, stream, upto))
        items: list[Skipped] = []
        reached = 0
        for chunk in found:
            if chunk.summary is None:
                break
            try:
                items += decode(_unpacked(chunk.summary))
            except (LogError, ValueError):  # damaged: the events themselves will do
                break
            reached = chunk.last_seq
        return items, reached

    async def listed(
        self, caller: str, before: tuple[int, str] | None, most: int, outcome: str | None = None
    ) -> list[Summary]:
        now = self._clock.now_ms()

        def work(connection: Connection) -> list[Summary]:
            found = rows.list_streams(connection, caller, before, now, most, outcome)
            return [_summary(row, end) for row in found if (end := _end_of(connection, row)) is not None]

        return await self._database.read(work)

    async def expire(self) -> None:
        now = self._clock.now_ms()

        def work(connection: Connection) -> None:
            self._log.gathering.close()
            rows.expire_streams(connection, now, self._most)
            rows.expire_claims(connection, now - _CLAIM_MS)

        await self._database.run(work)

    async def claim(self, caller: str, key: str, new: Claim) -> Claim:
        wanted = rows.Claim(*new)
        return Claim(*await self._database.run(lambda each: rows.take_claim(each, caller, key, wanted)))

    async def claimed(self, caller: str, key: str) -> Claim | None:
        found = await self._database.run(lambda each: rows.find_claim(each, caller, key))
        return None if found is None else Claim(*found)

    async def release(self, caller: str, key: str, stream: str) -> None:
        await self._database.run(lambda each: rows.drop_claim(each, caller, key, stream))

    def _chunks(self, stream: str) -> list[rows.ChunkRow]:
        whole = self._log.whole(stream)
        if whole.damaged:
            logger.error("stream %s is kept up to where its log is damaged", stream)
        return list(chunks_of(stream, whole))


def chunks_of(stream: str, whole: Whole) -> Iterator[rows.ChunkRow]:
    """The events of a stream, in chunks that are read as wholes; all but the last are summed up."""
    records, firsts = whole.records, whole.firsts
    if whole.last_seq <= _CHUNK_EVENTS and sum(map(len, records)) <= _CHUNK_BYTES:  # as nearly all are
        if records:
            yield rows.ChunkRow(stream, firsts[0], whole.last_seq, _packed(b"".join(records)))
        return
    starts = [0, *(seq for seq, _ in whole.summaries)]
    known = {start + 1: each for start, each in zip(starts, whole.summaries, strict=False)}
    """What was summed up while it lived, by the seq that it begins with."""
    begin = 0
    while begin < len(records):
        first = firsts[begin]
        upto, summary = known.get(first, (first + _CHUNK_EVENTS - 1, None))
        end = _end_of_chunk(whole, begin, upto)
        last = firsts[end] - 1 if end < len(records) else whole.last_seq
        parts = records[begin:end]
        if end == len(records):
            summary = None
        elif last != upto or summary is None:
            summary = _summed_up(parts)
        packed = None if summary is None else _packed(summary)
        yield rows.ChunkRow(stream, first, last, _packed(b"".join(parts)), packed)
        begin = end


def _end_of_chunk(whole: Whole, begin: int, upto: int) -> int:
    """Behind the last record of the chunk that begins there: of those that reach no further than ``upto``."""
    end = len(whole.records) if whole.last_seq <= upto else bisect_right(whole.firsts, upto + 1, begin) - 1
    end = max(end, begin + 1)
    while end - begin > 1 and sum(map(len, whole.records[begin:end])) > _CHUNK_BYTES:
        end = begin + (end - begin) // 2
    return end


def events_in(chunk: bytes, after: int, most: int) -> list[AnyEvent]:
    """The events of a chunk after a seq, at most ``most``. Raises LogError for what is damaged."""
    events: list[AnyEvent] = []
    for record in read_records(_unpacked(chunk)):
        if record.seq + record.total - 1 <= after:
            continue
        found = read_events(record.content)
        events += found[max(after + 1 - record.seq, 0) :]
        if len(events) >= most:
            return events[:most]
    if not events:
        raise LogError("a part of the stream is damaged in the store")
    return events


def _summed_up(records: Sequence[bytes]) -> bytes | None:
    """What a chunk that others follow comes to; None where it is damaged, which whoever reads it is told."""
    try:
        events = [event for data in records for event in read_events(data[HEAD_SIZE:])]
    except LogError:
        return None
    return encode(coalesce(events))


def _packed(data: bytes) -> bytes:
    if len(data) < _WORTH_PACKING:
        return _PLAIN + data
    return _PACKED + compress(data, 1)


def _unpacked(chunk: bytes) -> bytes:
    try:
        return decompress(chunk[1:]) if chunk[:1] == _PACKED else chunk[1:]
    except ZlibError:
        raise LogError("a part of the stream is damaged in the store") from None


def _found(connection: Connection, stream: str) -> tuple[rows.StreamRow | None, End | None]:
    row = rows.find_stream(connection, stream)
    return row, _end_of(connection, row) if row is not None and row.size else None


def _end_of(connection: Connection, row: rows.StreamRow) -> End | None:
    chunk = rows.chunk_after(connection, row.id, row.last_seq - 1)
    if chunk is None:
        return None
    last = events_in(chunk.events, row.last_seq - 1, 1)[0]
    return last if isinstance(last, End) else None


def _row(summary: Summary, size: int) -> rows.StreamRow:
    header = summary.header
    return rows.StreamRow(
        id=header.id,
        caller=header.caller,
        model=header.model,
        dialect=header.dialect,
        created_ms=summary.created_ms,
        ended_ms=summary.ended_ms,
        expires_ms=summary.expires_ms,
        outcome=summary.end.outcome,
        last_seq=summary.last_seq,
        size=size,
        header=kept_header(header),
        attempts=kept_json(summary.attempts),
        seams=kept_json(summary.seams),
        idempotency_key=header.idempotency_key,
        body_hash=header.body_hash,
        parent=header.parent,
    )


def _summary(row: rows.StreamRow, end: End) -> Summary:
    return Summary(
        header=read_header(row.header),
        end=end,
        last_seq=row.last_seq,
        size=row.size,
        created_ms=row.created_ms,
        ended_ms=row.ended_ms,
        expires_ms=row.expires_ms,
        attempts=_decode_attempts(row.attempts),
        seams=_decode_seams(row.seams),
    )
