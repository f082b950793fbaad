"""The contract of an index of passages: every kind of index runs through it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tidegate.errors import Broken
from tidegate.store.database import Database
from tidegate.workspaces.document import Entry
from tidegate.workspaces.index import PassageIndex
from tidegate.workspaces.passages import SqlitePassages
from tidegate.workspaces.vectors import packed
from tidegate.workspaces.words import query_words

OpenIndex = Callable[[], AbstractAsyncContextManager[PassageIndex]]


@pytest.fixture(params=["sqlite", "sqlite, vectors read for each search"])
def open_index(request: pytest.FixtureRequest, tmp_path: Path) -> OpenIndex:
    """Opens the test's index, also several times at once, and closes it at the end of the block."""
    most_bytes = 2**20 if request.param == "sqlite" else 0

    @asynccontextmanager
    async def opened() -> AsyncIterator[PassageIndex]:
        index = SqlitePassages(Database(tmp_path / "tidegate.db", busy_seconds=5), most_bytes)
        await index.open()
        try:
            yield index
        finally:
            await index.close()

    return opened


MODEL = "small"


def entries(*texts: str) -> list[Entry]:
    return [Entry(at, text) for at, text in enumerate(texts)]


def angle(degrees: float) -> list[float]:
    """A vector of length 1."""
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), 0.0]


async def found(index: PassageIndex, workspace: int, query: str) -> list[str]:
    """Texts that a lexical search finds."""
    ids = [row[0] for row in await index.lexical(workspace, query, 10)]
    return [each.entry.text for each in await index.passages(workspace, ids)]


async def near(index: PassageIndex, workspace: int, vector: Sequence[float], most: int = 10) -> list[str]:
    ids = [row[0] for row in await index.nearest(workspace, MODEL, vector, most)]
    return [each.entry.text for each in await index.passages(workspace, ids)]


async def embed(index: PassageIndex, workspace: int, degrees: dict[str, float]) -> None:
    """Give a vector to each passage by its text."""
    rows = await index.without_vectors(workspace, MODEL, 1000)
    vectors = [(passage, packed(angle(degrees[text]))) for passage, text in rows]
    await index.add_vectors(workspace, MODEL, vectors)


def run(open_index: OpenIndex, test: Callable[[PassageIndex], Awaitable[None]]) -> None:
    async def main() -> None:
        async with open_index() as index:
            await test(index)

    asyncio.run(main())


def test_passages_are_found_by_their_words(open_index: OpenIndex) -> None:
    async def test(index: PassageIndex) -> None:
        await index.put(1, "a", entries("Bees make honey.", "Chains need oil."))
        assert await index.count(1) == 2
        assert await found(index, 1, "which oil for a chain?") == ["Chains need oil."]
        assert await found(index, 1, "volcano") == []
        assert await found(index, 1, "what is it?") == []

    run(open_index, test)


def test_a_passage_comes_back_as_it_was_put_in(open_index: OpenIndex) -> None:
    entry = Entry(3, "Zu\u00adrück «é» 中文 \U0001f41d\x00 end", "Top > Süd", 7)

    async def test(index: PassageIndex) -> None:
        await index.put(1, "a", [entry, Entry(4, "broken \ud83d half")])
        [(first, _)] = await index.lexical(1, "süd", 10)
        [placed] = await index.passages(1, [first])
        assert placed == (first, "a", entry)
        assert await found(index, 1, "broken") == ["broken \ufffd half"]

    run(open_index, test)


def test_the_rarer_word_tells_more(open_index: OpenIndex) -> None:
    async def test(index: PassageIndex) -> None:
        await index.put(1, "a", entries(*(f"common filler {at}" for at in range(20)), "rare filler"))
        common, rare, absent = query_words("common rare absent")
        weights = await index.weights(1, [common, rare, absent])
        assert weights[absent] > weights[rare] > weights[common] > 0
        assert (await found(index, 1, "common rare"))[0] == "rare filler"

    run(open_index, test)


def test_a_document_is_replaced_at_once(open_index: OpenIndex) -> None:
    async def test(index: PassageIndex) -> None:
        await index.put(1, "a", entries("old honey"))
        await embed(index, 1, {"old honey": 0})
        await index.put(1, "a", entries("new honey", "more honey"))
        assert await found(index, 1, "old") == []
        assert sorted(await found(index, 1, "honey")) == ["more honey", "new honey"]
        assert await near(index, 1, angle(0)) == []
        assert (await index.count(1), await index.vector_count(1, MODEL)) == (2, 0)

    run(open_index, test)


def test_many_passages_are_put_in_and_taken_out(open_index: OpenIndex) -> None:
    async def test(index: PassageIndex) -> None:
        await index.put(1, "a", entries(*(f"part number{at}" for at in range(700))))
        await index.put(1, "b", entries("another part"))
        assert await index.count(1) == 701
        assert await found(index, 1, "number699") == ["part number699"]
        await index.put(1, "a", [])
        assert await found(index, 1, "part") == ["another part"]

    run(open_index, test)


def test_what_is_removed_is_found_nowhere(open_index: OpenIndex) -> None:
    async def test(index: PassageIndex) -> None:
        await index.put(1, "a", entries("red bee"))
        await index.put(1, "b", entries("blue bee"))
        await embed(index, 1, {"red bee": 0, "blue bee": 90})
        [(red, _)] = await index.lexical(1, "red", 10)
        assert await near(index, 1, angle(0)) == ["red bee", "blue bee"]
        await index.remove(1, "a")
        assert await found(index, 1, "red bee") == ["blue bee"]
        assert await near(index, 1, angle(0)) == ["blue bee"]
        assert await index.passages(1, [red]) == []
        assert (await index.count(1), await index.vector_count(1, MODEL)) == (1, 1)
        await index.remove(1, "a")

    run(open_index, test)


def test_workspaces_see_nothing_of_one_another(open_index: OpenIndex) -> None:
    async def test(index: PassageIndex) -> None:
        await index.put(1, "a", entries("secret honey"))
        await embed(index, 1, {"secret honey": 0})
        await index.put(2, "a", entries("public honey"))
        await embed(index, 2, {"public honey": 180})
        [(secret, _)] = await index.lexical(1, "secret", 10)
        assert await found(index, 2, "secret honey") == ["public honey"]
        assert await near(index, 2, angle(0)) == ["public honey"]
        assert await index.passages(2, [secret]) == []
        # Words are counted for each workspace alone.
        assert (await index.weights(2, ["secret"]))["secret"] > (await index.weights(1, ["secret"]))["secret"]
        await index.add_vectors(2, MODEL, [(secret, packed(angle(0)))])
        assert await index.vector_count(2, MODEL) == 1
        await index.remove(2, "a")
        assert await found(index, 1, "honey") == ["secret honey"]
        await index.drop(1)
        assert await found(index, 1, "honey") == []
        assert await near(index, 1, angle(0)) == []
        assert (await index.count(1), await index.total()) == (0, 0)

    run(open_index, test)


def test_passages_are_counted_together(open_index: OpenIndex) -> None:
    async def test(index: PassageIndex) -> None:
        await index.put(1, "a", entries("x", "y"))
        await index.put(2, "a", entries("z"))
        await index.put(3, "a", entries("w"))
        assert await index.total() == 4
        assert await index.total([1, 3]) == 3
        assert await index.total([]) == 0

    run(open_index, test)


def test_the_nearest_come_first_and_opposites_last(open_index: OpenIndex) -> None:
    degrees = {"east": 0.0, "north": 90.0, "west": 180.0, "northeast": 45.0}

    async def test(index: PassageIndex) -> None:
        await index.put(1, "a", entries(*degrees))
        await embed(index, 1, degrees)
        assert await near(index, 1, [7.0, 0.0, 0.0]) == ["east", "northeast", "north", "west"]
        cosines = [row[1] for row in await index.nearest(1, MODEL, angle(0), 10)]
        assert cosines == pytest.approx([1, math.sqrt(0.5), 0, -1], abs=2e-3)
        assert await near(index, 1, angle(80), 2) == ["north", "northeast"]

    run(open_index, test)


def test_vectors_are_added_replaced_and_forgotten(open_index: OpenIndex) -> None:
    async def test(index: PassageIndex) -> None:
        await index.put(1, "a", entries("one", "two", "three"))
        rows = await index.without_vectors(1, MODEL, 2)
        assert [text for _, text in rows] == ["one", "two"]
        assert [text for _, text in await index.without_vectors(1, MODEL, 9, rows[-1][0])] == ["three"]
        await index.add_vectors(1, MODEL, [(rows[0][0], packed(angle(0)))])
        assert await near(index, 1, angle(0)) == ["one"]
        assert [text for _, text in await index.without_vectors(1, MODEL, 9)] == ["two", "three"]
        await index.add_vectors(1, MODEL, [(rows[1][0], packed(angle(30)))])
        assert await near(index, 1, angle(0)) == ["one", "two"]
        await index.add_vectors(1, MODEL, [(rows[0][0], packed(angle(90)))])
        assert await near(index, 1, angle(0)) == ["two", "one"]
        await index.add_vectors(1, "other", [(rows[0][0], packed(angle(0)))])
        assert await index.vector_count(1, MODEL) == 2
        await index.forget_vectors(1, "other")
        assert (await index.vector_count(1, MODEL), await index.vector_count(1, "other")) == (0, 1)
        assert await near(index, 1, angle(0)) == []
        await index.add_vectors(1, MODEL, [(rows[1][0], packed(angle(0)))])
        assert await near(index, 1, angle(0)) == ["two"]
        await index.forget_vectors(1, None)
        assert await index.vector_count(1, "other") == 0

    run(open_index, test)


def test_a_vector_of_another_size_is_a_failure_that_says_so(open_index: OpenIndex) -> None:
    async def test(index: PassageIndex) -> None:
        await index.put(1, "a", entries("one"))
        await embed(index, 1, {"one": 0})
        with pytest.raises(Broken, match="2 numbers"):
            await index.nearest(1, MODEL, [1.0, 0.0], 4)
        assert await index.nearest(1, MODEL, [0.0, 0.0, 0.0], 4) != []

    run(open_index, test)


def test_a_search_can_be_limited_to_documents(open_index: OpenIndex) -> None:
    async def test(index: PassageIndex) -> None:
        for name in ("a", "b", "c"):
            await index.put(1, name, entries(f"honey {name}"))
        await embed(index, 1, {"honey a": 0, "honey b": 10, "honey c": 20})
        only = frozenset({"b", "c", "elsewhere"})
        documents = {
            each.document
            for each in await index.passages(1, [row[0] for row in await index.lexical(1, "honey", 9, only)])
        }
        assert documents == {"b", "c"}
        nearest = await index.nearest(1, MODEL, angle(0), 1, only)
        [placed] = await index.passages(1, [nearest[0][0]])
        assert placed.document == "b"
        assert await index.nearest(1, MODEL, angle(0), 9, frozenset()) == []

    run(open_index, test)


def test_headings_are_searched_and_shown_to_the_embedder(open_index: OpenIndex) -> None:
    async def test(index: PassageIndex) -> None:
        first = Entry(0, "## Cables\nUse two.", "Manual > Cables")
        await index.put(1, "a", [first, Entry(1, "Three.", "Manual > Cables")])
        assert len(await found(index, 1, "cable")) == 2
        texts = [text for _, text in await index.without_vectors(1, MODEL, 9)]
        assert texts == ["## Cables\nUse two.", "Manual > Cables\n\nThree."]

    run(open_index, test)


def test_chinese_japanese_and_korean_are_found(open_index: OpenIndex) -> None:
    async def test(index: PassageIndex) -> None:
        await index.put(1, "a", entries("我家养了一只猫。", "長城は長い。", "서울은 대한민국의 수도이다."))
        assert await found(index, 1, "猫的寿命") == ["我家养了一只猫。"]
        assert await found(index, 1, "長城の長さ") == ["長城は長い。"]
        assert await found(index, 1, "서울의 인구") == ["서울은 대한민국의 수도이다."]

    run(open_index, test)


def test_two_on_one_file_see_what_the_other_does(open_index: OpenIndex) -> None:
    async def main() -> None:
        async with open_index() as first, open_index() as second:
            await first.put(1, "a", entries("one", "two"))
            await embed(first, 1, {"one": 0, "two": 90})
            assert await near(second, 1, angle(0)) == ["one", "two"]
            await first.put(1, "b", entries("three"))
            await embed(first, 1, {"three": 10})
            assert await near(second, 1, angle(0)) == ["one", "three", "two"]
            await second.remove(1, "a")
            assert await near(first, 1, angle(0)) == ["three"]
            assert await found(first, 1, "one two three") == ["three"]
            # The place of what was removed last is not given again, or nobody would see this one.
            await first.remove(1, "b")
            await second.put(1, "c", entries("four"))
            await embed(second, 1, {"four": 0})
            assert await near(first, 1, angle(0)) == ["four"]
            assert await near(second, 1, angle(0)) == ["four"]

    asyncio.run(main())


def test_both_put_one_document_in_and_one_of_them_stays(open_index: OpenIndex) -> None:
    async def main() -> None:
        async with open_index() as first, open_index() as second:
            await asyncio.gather(
                first.put(1, "a", entries(*["red"] * 300)), second.put(1, "a", entries(*["blue"] * 300))
            )
            assert await first.count(1) == 300
            assert len(set(await found(first, 1, "red blue"))) == 1

    asyncio.run(main())
