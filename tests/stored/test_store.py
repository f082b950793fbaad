"""The store of responses keeps its bounds, and what it keeps survives the process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tidegate.store.database import Database
from tidegate.store.responses import StoredResponse, StoredResponses

Work = Callable[[StoredResponses], Awaitable[None]]


def stored(name: str, size: int = 10) -> StoredResponse:
    return StoredResponse(name, b"r" * size, b"")


def with_store(path: Path, work: Work, **bounds: int) -> None:
    async def main() -> None:
        database = Database(path / "tidegate.db")
        await database.open()
        try:
            await work(StoredResponses(database, count(1).__next__, **bounds))
        finally:
            await database.close()

    asyncio.run(main())


async def there(store: StoredResponses, *names: str, caller: str = "caller") -> list[bool]:
    return [await store.get(caller, name) is not None for name in names]


def test_oldest_go_when_there_are_too_many(tmp_path: Path) -> None:
    async def work(store: StoredResponses) -> None:
        for name in ("c", "b", "a"):
            store.put("caller", stored(name))
        assert await there(store, "c", "b", "a") == [False, True, True]

    with_store(tmp_path, work, most=2)


def test_oldest_go_when_they_are_too_large(tmp_path: Path) -> None:
    async def work(store: StoredResponses) -> None:
        for name in ("c", "b", "a"):
            store.put("caller", stored(name, 40))
        assert await there(store, "c", "b", "a") == [False, True, True]
        store.put("caller", stored("huge", 101))
        assert await there(store, "huge", "a") == [False, True]

    with_store(tmp_path, work, most_bytes=100)


def test_one_caller_takes_no_room_from_another(tmp_path: Path) -> None:
    async def work(store: StoredResponses) -> None:
        store.put("one", stored("a"))
        store.put("two", stored("b"))
        assert await there(store, "a", caller="one") == [True]
        assert await there(store, "a", caller="two") == [False]
        assert await store.holding("two", b"r") == stored("b")
        assert not await store.delete("two", "a")
        assert await store.delete("one", "a")

    with_store(tmp_path, work, most=1)


def test_what_is_kept_survives_the_process(tmp_path: Path) -> None:
    async def first(store: StoredResponses) -> None:
        store.put("caller", StoredResponse("a", b"{}", b"[]"))

    async def second(store: StoredResponses) -> None:
        assert await store.get("caller", "a") == StoredResponse("a", b"{}", b"[]")

    with_store(tmp_path, first)
    with_store(tmp_path, second)


def test_what_is_deleted_is_remembered(tmp_path: Path) -> None:
    async def work(store: StoredResponses) -> None:
        store.put("caller", stored("a"))
        assert await store.delete("caller", "a")
        assert not await store.delete("caller", "a")
        assert not await store.delete("caller", "never")
        assert not await store.delete("caller", "streamed", streamed=True)
        known = [await store.is_deleted("caller", name) for name in ("a", "never", "streamed")]
        assert known == [True, False, True]
        assert await there(store, "a", "streamed") == [False, False]

    with_store(tmp_path, work)


@examples(25)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 60), st.booleans()), max_size=15))
def test_bounds_hold_whatever_is_done(steps: list[tuple[str, int, bool]]) -> None:
    async def work(store: StoredResponses) -> None:
        for name, size, delete in steps:
            if delete:
                await store.delete("caller", name)
                assert await store.get("caller", name) is None
            else:
                store.put("caller", stored(name, size))
                assert await store.get("caller", name) == stored(name, size)
            found = [await store.get("caller", one) for one in "abcdef"]
            kept = [each for each in found if each is not None]
            assert len(kept) <= 3
            assert sum(each.size for each in kept) <= 100

    with TemporaryDirectory() as folder:
        with_store(Path(folder), work, most=3, most_bytes=100)
