"""Owns the copy of the store's keys that requests are checked against, so that none waits for a database."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection

from tidegate.store.database import Database
from tidegate.store.keys import KeyRow, changes, list_keys

PREFIX: Final = "tg-"
"""What every key of the store begins with."""

_Copy = tuple[int, Mapping[bytes, KeyRow]]


class StoredKeys:
    """The keys of the store by their digests, as of the last :meth:`refresh`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changes = -1
        self._keys: Mapping[bytes, KeyRow] = MappingProxyType({})

    def __len__(self) -> int:
        """How many there are, those included that have expired or were revoked."""
        return len(self._keys)

    def find(self, digest: bytes) -> KeyRow | None:
        """The key with this digest."""
        return self._keys.get(digest)

    async def refresh(self) -> bool:
        """Look whether keys have changed, and take them over; whether they had. Raises StoreError."""
        known = self._changes
        copy = await self._database.read(lambda connection: _changed(connection, known))
        if copy is None or copy[0] <= self._changes:  # another refresh has been faster
            return False
        self._changes, self._keys = copy
        return True


def _changed(connection: Connection, known: int) -> _Copy | None:
    """All keys, and how often they have changed; None when that is no more than is known."""
    count = changes(connection)
    return None if count == known else (count, {row.digest: row for row in list_keys(connection)})
