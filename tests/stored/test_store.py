"""The store of responses keeps its bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidegate.store.responses import MemoryResponses, StoredResponse


def stored(name: str, size: int = 10) -> StoredResponse:
    return StoredResponse(name, b"r" * size, b"")


def test_oldest_go_when_there_are_too_many() -> None:
    store = MemoryResponses(most=2)
    for name in ("a", "b", "c"):
        store.put("caller", stored(name))
    assert [store.get("caller", name) is not None for name in ("a", "b", "c")] == [False, True, True]


def test_oldest_go_when_they_are_too_large() -> None:
    store = MemoryResponses(most_bytes=100)
    for name in ("a", "b", "c"):
        store.put("caller", stored(name, 40))
    assert [store.get("caller", name) is not None for name in ("a", "b", "c")] == [False, True, True]
    store.put("caller", stored("huge", 101))
    assert store.get("caller", "huge") is None
    assert store.get("caller", "c") is not None


def test_one_caller_takes_no_room_from_another() -> None:
    store = MemoryResponses(most=1)
    store.put("one", stored("a"))
    store.put("two", stored("b"))
    assert store.get("one", "a") is not None
    assert store.get("two", "a") is None
    assert not store.delete("two", "a")
    assert store.delete("one", "a")


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 60), st.booleans())))
def test_bounds_hold_whatever_is_done(steps: list[tuple[str, int, bool]]) -> None:
    store = MemoryResponses(most=3, most_bytes=100)
    for name, size, delete in steps:
        if delete:
            store.delete("caller", name)
            assert store.get("caller", name) is None
        else:
            store.put("caller", stored(name, size))
            assert store.get("caller", name) == stored(name, size)
        kept = [each for one in "abcdef" if (each := store.get("caller", one)) is not None]
        assert len(kept) <= 3
        assert sum(each.size for each in kept) <= 100
