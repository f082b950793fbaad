"""Keys of the store: who they stand for, when they end, and how soon that is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidegate.access import Caller, KeyRing, StoredKeys, resolve
from tidegate.access.keys import digest_of
from tidegate.config import Auth, Secret
from tidegate.errors import ConfigError, Unauthenticated
from tidegate.store.database import Database
from tidegate.store.keys import KeyRow, expire_key, insert_key, revoke_key

NOW = 1_800_000_000_000
KEY = "tg-0123456789abcdef"


def row(key: str = KEY, **changes: Any) -> KeyRow:
    return KeyRow("k1", "caller-1", "laptop", digest_of(key), key[:9] + "…", NOW)._replace(**changes)


def with_keys(tmp_path: Path, check: Callable[[Database, StoredKeys, KeyRing], Any]) -> None:
    """Runs a check on an open store, the copy of its keys, and a ring that asks the copy; it is NOW."""

    async def main() -> None:
        database = Database(tmp_path / "tidegate.db")
        await database.open()
        stored = StoredKeys(database)
        ring = KeyRing(Auth(keys="required", list=(Secret("sk-old"),)), stored, lambda: NOW)
        try:
            await check(database, stored, ring)
        finally:
            await database.close()

    asyncio.run(main())


def test_a_key_of_the_store_stands_for_its_caller(tmp_path: Path) -> None:
    async def check(database: Database, stored: StoredKeys, ring: KeyRing) -> None:
        await database.run(
            lambda c: insert_key(c, row(models=["fast"], workspaces=["w"], on_disconnect="drain"))
        )
        assert ring.identify(KEY) is None
        assert ring.may_be_new(KEY)
        assert ring.may_be_new(KEY.encode())
        await ring.refresh()
        assert ring.identify(KEY) == Caller("caller-1", "laptop", "k1", ("fast",), ("w",), "drain")
        assert ring.identify(KEY.encode()) == ring.identify(KEY)
        assert ring.identify(KEY + "0") is None

    with_keys(tmp_path, check)


def test_keys_of_the_settings_go_on_as_they_were(tmp_path: Path) -> None:
    async def check(database: Database, stored: StoredKeys, ring: KeyRing) -> None:
        await database.run(lambda c: insert_key(c, row()))
        await ring.refresh()
        assert ring.identify("sk-old") == KeyRing(Auth(keys="required", list=(Secret("sk-old"),))).identify(
            "sk-old"
        )
        assert not ring.may_be_new("sk-unknown")

    with_keys(tmp_path, check)


def test_a_revoked_key_says_when(tmp_path: Path) -> None:
    async def check(database: Database, stored: StoredKeys, ring: KeyRing) -> None:
        await database.run(lambda c: insert_key(c, row()))
        await database.run(lambda c: revoke_key(c, "k1", NOW))
        await database.run(lambda c: revoke_key(c, "k1", NOW + 60_000))
        await ring.refresh()
        with pytest.raises(Unauthenticated) as raised:
            ring.identify(KEY)
        assert raised.value.message == (
            "the API key tg-012345… was revoked at 2027-01-15 08:00:00 UTC; ask for another one"
        )
        assert raised.value.code == "key_revoked"

    with_keys(tmp_path, check)


@pytest.mark.parametrize("ends", [NOW, NOW - 1])
def test_an_expired_key_says_when(tmp_path: Path, ends: int) -> None:
    async def check(database: Database, stored: StoredKeys, ring: KeyRing) -> None:
        await database.run(lambda c: insert_key(c, row(expires_ms=ends)))
        await ring.refresh()
        with pytest.raises(Unauthenticated, match=r"tg-012345… expired at 2027-01-15 0") as raised:
            ring.identify(KEY)
        assert raised.value.code == "key_expired"

    with_keys(tmp_path, check)


def test_a_key_is_good_until_it_expires(tmp_path: Path) -> None:
    async def check(database: Database, stored: StoredKeys, ring: KeyRing) -> None:
        await database.run(lambda c: insert_key(c, row(expires_ms=NOW + 60_000)))
        await database.run(lambda c: expire_key(c, "k1", NOW + 1))
        await database.run(lambda c: expire_key(c, "k1", NOW + 3_600_000))
        await ring.refresh()
        assert ring.identify(KEY) is not None
        found = stored.find(digest_of(KEY))
        assert found is not None
        assert found.expires_ms == NOW + 1

    with_keys(tmp_path, check)


def test_keys_are_read_again_only_when_they_have_changed(tmp_path: Path) -> None:
    async def check(database: Database, stored: StoredKeys, ring: KeyRing) -> None:
        assert await stored.refresh()
        assert not await stored.refresh()
        await database.run(lambda c: insert_key(c, row()))
        assert await stored.refresh()
        assert not await stored.refresh()
        await database.run(lambda c: revoke_key(c, "k1", NOW))
        assert await stored.refresh()
        assert len(stored) == 1

    with_keys(tmp_path, check)


def test_another_process_is_noticed(tmp_path: Path) -> None:
    async def check(database: Database, stored: StoredKeys, ring: KeyRing) -> None:
        await stored.refresh()
        other = Database(tmp_path / "tidegate.db")
        await other.open()
        await other.run(lambda c: insert_key(c, row()))
        await other.close()
        assert await stored.refresh()
        assert ring.identify(KEY) is not None

    with_keys(tmp_path, check)


def test_a_key_is_kept_nowhere(tmp_path: Path) -> None:
    async def check(database: Database, stored: StoredKeys, ring: KeyRing) -> None:
        await database.run(lambda c: insert_key(c, row()))

    with_keys(tmp_path, check)
    assert KEY.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_keys_in_the_store_end_open_access() -> None:
    assert resolve(Auth(), 0).keys == "open"
    assert resolve(Auth(), 1).keys == "required"


def test_what_depends_on_the_store_is_said_once_it_is_known() -> None:
    auth = Auth(with_keys="too many", without_keys="too few")
    with pytest.raises(ConfigError, match="too few"):
        resolve(auth, 0)
    with pytest.raises(ConfigError, match="too many"):
        resolve(auth, 1)
