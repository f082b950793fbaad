"""Owns the rows of streams that have ended: what they were, their events in chunks, and when they go.

Everything here runs in the store's thread, in a transaction of its caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from tidegate.store.rows import add, add_new
from tidegate.store.schema import claims, stream_chunks, streams

_AT_ONCE: Final = 500
"""Rows that one statement names."""

_MOST_GONE: Final = 100_000
"""Expired streams that are remembered, so that they are told from those that never were."""


class StreamRow(NamedTuple):
    """A row of :data:`tidegate.store.schema.streams`, in the order of its columns.

    ``header``, ``attempts`` and ``seams`` are encoded by whoever keeps it.
    """

    id: str
    caller: str
    model: str
    dialect: str
    created_ms: int
    ended_ms: int
    expires_ms: int
    outcome: str
    last_seq: int
    size: int
    header: bytes
    attempts: bytes
    seams: bytes
    idempotency_key: str | None
    body_hash: str
    parent: str | None = None


class ChunkRow(NamedTuple):
    """A row of :data:`tidegate.store.schema.stream_chunks`: consecutive events of a stream.

    ``summary`` is what they come to for whoever begins behind them.
    """

    stream: str
    first_seq: int
    last_seq: int
    events: bytes
    summary: bytes | None = None


class Claim(NamedTuple):
    """The stream that an idempotency key stands for, and the hash of the request that was sent with it."""

    stream: str
    body_hash: str
    created_ms: int


def insert_streams(connection: Connection, rows: Sequence[StreamRow], chunks: Sequence[ChunkRow]) -> None:
    """Add streams; one that is there already stays as it is."""
    if add_new(connection, (streams, rows), (stream_chunks, chunks)):
        return
    names = [row.id for row in rows]
    known = set(connection.scalars(select(streams.c.id).where(streams.c.id.in_(names))))
    new = [row for row in rows if row.id not in known]
    parts = [chunk for chunk in chunks if chunk.stream not in known]
    add(connection, (streams, new), (stream_chunks, parts))


def find_stream(connection: Connection, stream: str) -> StreamRow | None:
    """The stream of this id; ``size`` is 0 when its events are gone."""
    row = connection.execute(select(streams).where(streams.c.id == stream)).first()
    return StreamRow._make(row) if row is not None else None


def list_streams(
    connection: Connection,
    caller: str,
    before: tuple[int, str] | None,
    now_ms: int,
    most: int,
    outcome: str | None = None,
) -> list[StreamRow]:
    """A caller's streams that have not expired, the newest first, from behind the time and id of one.

    What was asked for within another stream is a part of that.
    """
    table = streams.c
    asked = (
        select(streams)
        .where(table.caller == caller, table.expires_ms > now_ms, table.bytes > 0, table.parent.is_(None))
        .order_by(table.created_ms.desc(), table.id)
        .limit(most)
    )
    if before is not None:
        moment, name = before
        asked = asked.where((table.created_ms < moment) | ((table.created_ms == moment) & (table.id > name)))
    if outcome is not None:
        asked = asked.where(table.outcome == outcome)
    return [StreamRow._make(row) for row in connection.execute(asked)]


def chunk_after(connection: Connection, stream: str, after: int) -> ChunkRow | None:
    """The chunk that holds the first event after a seq."""
    asked = (
        select(stream_chunks)
        .where(stream_chunks.c.stream == stream, stream_chunks.c.last_seq > after)
        .order_by(stream_chunks.c.first_seq)
        .limit(1)
    )
    row = connection.execute(asked).first()
    return ChunkRow._make(row) if row is not None else None


def summaries_before(connection: Connection, stream: str, after: int) -> list[ChunkRow]:
    """The chunks that end at or before a seq, without their events where they have a summary."""
    table = stream_chunks.c
    asked = (
        select(table.stream, table.first_seq, table.last_seq, table.summary)
        .where(table.stream == stream, table.last_seq <= after)
        .order_by(table.first_seq)
    )
    return [
        ChunkRow(name, first, last, b"", summary) for name, first, last, summary in connection.execute(asked)
    ]


def expire_streams(connection: Connection, now_ms: int, most_bytes: int) -> int:
    """Delete the events of what is due, and of the oldest beyond ``most_bytes``; returns how many streams."""
    due = select(streams.c.id).where(streams.c.expires_ms <= now_ms, streams.c.bytes > 0).limit(_AT_ONCE)
    gone = 0
    while names := list(connection.scalars(due)):
        _empty(connection, names, now_ms)
        gone += len(names)
    total = connection.scalar(select(func.coalesce(func.sum(streams.c.bytes), 0))) or 0
    oldest = (
        select(streams.c.id, streams.c.bytes)
        .where(streams.c.bytes > 0)
        .order_by(streams.c.ended_ms)
        .limit(_AT_ONCE)
    )
    while total > most_bytes and (rows := connection.execute(oldest).all()):
        names = []
        for name, size in rows:
            if total <= most_bytes:
                break
            names.append(name)
            total -= size
        _empty(connection, names, now_ms)
        gone += len(names)
    if gone:
        _forget(connection)
    return gone


def take_claim(connection: Connection, caller: str, key: str, new: Claim) -> Claim:
    """The claim that this key stands for: the one that is there, else ``new``, which then is."""
    found = find_claim(connection, caller, key)
    if found is not None:
        return found
    connection.execute(insert(claims).values(caller=caller, key=key, **new._asdict()))
    return new


def find_claim(connection: Connection, caller: str, key: str) -> Claim | None:
    """The claim that this key stands for."""
    asked = select(claims.c.stream, claims.c.body_hash, claims.c.created_ms)
    row = connection.execute(asked.where(claims.c.caller == caller, claims.c.key == key)).first()
    return Claim._make(row) if row is not None else None


def drop_claim(connection: Connection, caller: str, key: str, stream: str) -> None:
    """Let the key stand for nothing again, if it stands for this stream."""
    connection.execute(
        delete(claims).where(claims.c.caller == caller, claims.c.key == key, claims.c.stream == stream)
    )


def expire_claims(connection: Connection, before_ms: int) -> None:
    """Delete the claims that were made before a time."""
    connection.execute(delete(claims).where(claims.c.created_ms < before_ms))


def _empty(connection: Connection, names: Sequence[str], now_ms: int) -> None:
    """Delete the events of streams; that they were there is remembered."""
    connection.execute(delete(stream_chunks).where(stream_chunks.c.stream.in_(names)))
    gone = {"bytes": 0, "header": b"", "attempts": b"", "seams": b""}
    connection.execute(update(streams).where(streams.c.id.in_(names)).values(**gone))
    early = streams.c.id.in_(names) & (streams.c.expires_ms > now_ms)
    connection.execute(update(streams).where(early).values(expires_ms=now_ms))


def _forget(connection: Connection) -> None:
    """Forget the oldest of the streams that are gone."""
    table = streams.c
    newest = select(table.expires_ms).where(table.bytes == 0).order_by(table.expires_ms.desc())
    limit = connection.scalar(newest.offset(_MOST_GONE).limit(1))
    if limit is not None:
        connection.execute(delete(streams).where(table.bytes == 0, table.expires_ms <= limit))
