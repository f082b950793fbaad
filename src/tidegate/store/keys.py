"""Owns the rows of virtual keys. A key itself is never kept, only its digest; no row is ever deleted.

Everything here runs in the store's thread, in a transaction of its caller's.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, insert, select, update

from tidegate.store.schema import counters, keys

_COUNTER: Final = "keys"


class KeyRow(NamedTuple):
    """A virtual key. ``digest`` is its SHA-256, ``shown`` its first characters; times are Unix ms.

    ``models`` and ``workspaces`` are what it is for; None is everything. ``on_disconnect`` is what becomes of
    its streams when their readers have left; None is what their route says.
    """

    id: str
    caller: str
    name: str
    digest: bytes
    shown: str
    created_ms: int
    expires_ms: int | None = None
    revoked_ms: int | None = None
    models: list[str] | None = None
    workspaces: list[str] | None = None
    on_disconnect: str | None = None


def changes(connection: Connection) -> int:
    """How often keys were changed: whoever keeps a copy asks whether it is still right."""
    return connection.scalar(select(counters.c.value).where(counters.c.name == _COUNTER)) or 0


def list_keys(connection: Connection) -> list[KeyRow]:
    """All keys, the oldest first."""
    asked = select(keys).order_by(keys.c.created_ms, keys.c.id)
    return [KeyRow._make(row) for row in connection.execute(asked)]


def find_key(connection: Connection, key: str) -> KeyRow | None:
    """The key of this id."""
    row = connection.execute(select(keys).where(keys.c.id == key)).first()
    return KeyRow._make(row) if row is not None else None


def insert_key(connection: Connection, row: KeyRow) -> None:
    """Add a key."""
    connection.execute(insert(keys).values(row._asdict()))
    _changed(connection)


def revoke_key(connection: Connection, key: str, now_ms: int) -> None:
    """Let a key be good for nothing from now on; one that is revoked stays as it is."""
    _set(connection, key, keys.c.revoked_ms.is_(None), revoked_ms=now_ms)


def expire_key(connection: Connection, key: str, at_ms: int) -> None:
    """Let a key end at a time, unless it does so earlier."""
    _set(connection, key, keys.c.expires_ms.is_(None) | (keys.c.expires_ms > at_ms), expires_ms=at_ms)


def _set(connection: Connection, key: str, where: Any, **values: int) -> None:
    if connection.execute(update(keys).where(keys.c.id == key, where).values(**values)).rowcount:
        _changed(connection)


def _changed(connection: Connection) -> None:
    counted = update(counters).where(counters.c.name == _COUNTER).values(value=counters.c.value + 1)
    if not connection.execute(counted).rowcount:
        connection.execute(insert(counters).values(name=_COUNTER, value=1))
