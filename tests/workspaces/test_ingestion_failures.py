"""Ingestion with the real store and index where documents, models or what they are for fail or go away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import update

from tidegate.errors import Unreachable
from tidegate.store.database import Database
from tidegate.store.documents import Document, DocumentStore, NewDocument
from tidegate.store.placements import PlacementStore
from tidegate.store.schema import documents
from tidegate.store.users import UserStore
from tidegate.store.workspaces import Workspace, WorkspaceStore
from tidegate.workspaces import full_text
from tidegate.workspaces.document import Entry
from tidegate.workspaces.ingestion import Ingestion
from tidegate.workspaces.knowledge import DocumentKnowledge
from tidegate.workspaces.passages import SqlitePassages

OWNER = "caller-a"
DEADLINE = 20.0


class Embedders:
    """Makes vectors of two numbers. `slow` waits for ``gate``, `broken` fails, `short` forgets a text."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun = asyncio.Event()
        self.calls: list[Sequence[str]] = []

    async def embed(
        self, owner: str, model: str, texts: Sequence[str], *, query: bool = False
    ) -> list[list[float]]:
        self.calls.append(texts)
        if model == "slow":
            self.begun.set()
            await self.gate.wait()
        if model == "broken":
            raise Unreachable("nobody is there")
        vectors = [[1.0, float(len(text))] for text in texts]
        return vectors[1:] if model == "short" else vectors

    async def rerank(self, owner: str, model: str, query: str, texts: Sequence[str]) -> list[float]:
        raise AssertionError("ingestion puts nothing in order")


class Desk:
    """The stores of a folder's database, its index, and an ingestion with a certain embedder."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.workspaces = WorkspaceStore(database, lambda: 1)
        self.documents = DocumentStore(database, lambda: 1)
        self.placements = PlacementStore(database, lambda: 1)
        self.index = SqlitePassages(database)
        self.models = Embedders()
        self.embedder: str | None = None
        self.ingestion = self.another()

    def another(self) -> Ingestion:
        return Ingestion(
            self.workspaces,
            self.documents,
            self.placements,
            self.index,
            self.models,
            lambda: self.embedder,
            lambda: (200, 20),
        )

    async def add(self, name: str, text: str = "Ships need a pilot.") -> Document:
        pages: list[tuple[int | None, str]] = [(None, text)]
        new = NewDocument(file_name=name, content_hash=text, pages=pages, facts={}, words=1, tokens=1)
        return await self.documents.add(OWNER, "custom-documents", new)

    async def place(self, workspace: Workspace, *names: str) -> list[Document]:
        added = [await self.add(name, f"{name}. Ships need a pilot.") for name in names]
        for document in added:
            await self.placements.place(workspace.id, document.id)
        return added

    async def states(self, workspace: Workspace) -> list[str]:
        return [placement.state for placement, _ in await self.placements.of(workspace.id)]

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Waits for what nobody announces."""
        while not await condition():  # noqa: ASYNC110 - it is in a database
            await asyncio.sleep(0.001)

    async def found(self, workspace: Workspace, query: str) -> list[str]:
        ids = [number for number, _ in await self.index.lexical(workspace.id, query, 50)]
        return [each.document for each in await self.index.passages(workspace.id, ids)]


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Desk]:
    database = Database(folder / "tidegate.db")
    await database.open()
    desk = Desk(database)
    await desk.index.open()
    try:
        yield desk
    finally:
        await desk.index.close()
        await database.close()


@asynccontextmanager
async def working(ingestion: Ingestion) -> AsyncIterator[None]:
    """Lets an ingestion work within the block, in which nothing may take for ever."""
    task = asyncio.create_task(ingestion.run())
    try:
        async with asyncio.timeout(DEADLINE):
            yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


def check(folder: Path, work: Callable[[Desk, Workspace], Awaitable[None]]) -> None:
    """Runs a work on an empty workspace."""

    async def main() -> None:
        async with opened(folder) as desk:
            await work(desk, await desk.workspaces.create(OWNER, "Docs", {}))

    asyncio.run(main())


async def old_vectors_are_gone(desk: Desk, workspace: Workspace) -> bool:
    return await desk.index.vector_count(workspace.id, "a") == 0


def test_a_replacement_that_fails_leaves_nothing_of_what_it_replaced(tmp_path: Path) -> None:
    async def work(desk: Desk, docs: Workspace) -> None:
        async with working(desk.ingestion):
            (document,) = await desk.place(docs, "guide")
            await desk.ingestion.settle(docs.id)
        await desk.add("guide", "Another text.")
        spoil = update(documents).where(documents.c.id == document.id).values(pages=b"")
        await desk.database.run(lambda connection: connection.execute(spoil))
        async with working(desk.another()):
            await desk.ingestion.settle(docs.id)
        assert await desk.states(docs) == ["failed"]
        assert not await desk.index.count(docs.id)

    check(tmp_path, work)


def test_the_old_vectors_are_searched_until_the_new_ones_are_complete(tmp_path: Path) -> None:
    async def work(desk: Desk, docs: Workspace) -> None:
        desk.embedder = "a"
        async with working(desk.ingestion):
            await desk.place(docs, "one")
            await desk.ingestion.settle(docs.id)
            desk.embedder = "slow"
            desk.ingestion.wake()
            await desk.models.begun.wait()
            known = await desk.workspaces.by_id(docs.id)
            assert known is not None
            assert known.embedder == "a"
            assert await desk.index.nearest(docs.id, "a", [1.0, 1.0], 5)
            desk.models.gate.set()
            await desk.until(lambda: old_vectors_are_gone(desk, docs))
        assert await desk.index.vector_count(docs.id, "slow") == 1

    check(tmp_path, work)


def test_what_was_deleted_a_moment_ago_is_not_placed_and_waited_for(tmp_path: Path) -> None:
    async def work(desk: Desk, docs: Workspace) -> None:
        document = await desk.add("one")
        await desk.documents.remove(OWNER, document.location)
        await desk.placements.place(docs.id, document.id)
        await desk.workspaces.delete(docs.id)
        await desk.placements.place(docs.id, (await desk.add("two")).id)
        async with asyncio.timeout(DEADLINE):
            await desk.ingestion.settle(docs.id)
        assert await desk.placements.of(docs.id) == []

    check(tmp_path, work)


def test_no_words_stay_of_a_workspace_that_is_deleted_while_one_is_put_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(desk: Desk, docs: Workspace) -> None:
        put = desk.index.put

        async def meanwhile(workspace: int, document: str, entries: Sequence[Entry]) -> None:
            await desk.workspaces.delete(workspace)
            await desk.index.drop(workspace)
            await put(workspace, document, entries)

        monkeypatch.setattr(desk.index, "put", meanwhile)
        await desk.place(docs, "one")
        other = await desk.workspaces.create(OWNER, "Other", {})
        async with working(desk.ingestion):
            await desk.ingestion.settle(docs.id)
            monkeypatch.setattr(desk.index, "put", put)
            await desk.place(other, "two")  # what comes after it is settled after it
            await desk.ingestion.settle(other.id)
        assert not await desk.database.read(lambda connection: full_text.exists(connection, docs.id))
        assert await desk.index.count(docs.id) == 0

    check(tmp_path, work)


def test_one_document_is_waited_for_and_not_all_before_the_next_answer(tmp_path: Path) -> None:
    async def work(desk: Desk, docs: Workspace) -> None:
        first, _ = await desk.place(docs, "first", "second")
        waiting = await desk.placements.next_waiting()
        assert waiting is not None
        await desk.placements.settle(*waiting)
        async with asyncio.timeout(DEADLINE):
            await desk.ingestion.settle(docs.id, {first.id})
        assert await desk.states(docs) == ["indexed", "waiting"]

    check(tmp_path, work)


@pytest.mark.parametrize("embedder", ["broken", "short"])
def test_documents_are_found_by_their_words_while_no_vectors_can_be_made(
    tmp_path: Path, embedder: str
) -> None:
    async def work(desk: Desk, docs: Workspace) -> None:
        desk.embedder = embedder
        async with working(desk.ingestion):
            for name in ("one", "two"):  # the second, after the first one's vectors failed
                await desk.place(docs, name)
                await desk.ingestion.settle(docs.id)
        assert len(await desk.found(docs, "pilot")) == 2
        assert not await desk.index.vector_count(docs.id, embedder)

    check(tmp_path, work)


@pytest.mark.parametrize(("question", "may"), [("{filler} pilot", True), ("{filler} pilot {filler}", False)])
def test_of_a_question_as_long_as_a_book_only_the_ends_are_looked_for(
    tmp_path: Path, question: str, may: bool
) -> None:
    """All its words would take a minute, in which nobody else is answered."""

    async def work(desk: Desk, docs: Workspace) -> None:
        async with working(desk.ingestion):
            await desk.place(docs, "one")
            await desk.ingestion.settle(docs.id)
        knowledge = DocumentKnowledge(
            desk.documents,
            desk.placements,
            desk.index,
            UserStore(desk.database, lambda: 1),
            desk.models,
            lambda: None,
        )
        asked = question.format(filler=" ".join(f"w{number}" for number in range(5000)))
        assert await knowledge.may_go_on(docs.id, asked) is may

    check(tmp_path, work)


def test_a_large_workspace_holds_up_no_vectors_of_others(tmp_path: Path) -> None:
    async def work(desk: Desk, large: Workspace) -> None:
        other = await desk.workspaces.create(OWNER, "Other", {})
        desk.embedder = "slow"
        many = await desk.add("many", "\n\n".join(f"Ship {at} needs a pilot." * 8 for at in range(200)))
        await desk.placements.place(large.id, many.id)
        async with working(desk.ingestion):
            await desk.models.begun.wait()
            await desk.place(other, "another")
            await desk.until(lambda: all_are_indexed(desk, other))
            desk.models.gate.set()
            await desk.ingestion.settle(other.id)
            assert any("another" in text for call in desk.models.calls[:3] for text in call)
            await desk.ingestion.settle(large.id)
        assert len(desk.models.calls) > 4
        assert await desk.index.vector_count(large.id, "slow") == await desk.index.count(large.id)

    check(tmp_path, work)


async def all_are_indexed(desk: Desk, workspace: Workspace) -> bool:
    return set(await desk.states(workspace)) == {"indexed"}


def test_another_process_waits_no_longer_than_until_vectors_fail(tmp_path: Path) -> None:
    """What became of them stands in the store, until they can be made."""

    async def problems(desk: Desk, docs: Workspace) -> list[str | None]:
        return [placement.error for placement, _ in await desk.placements.of(docs.id)]

    async def work(desk: Desk, docs: Workspace) -> None:
        elsewhere = desk.another()
        desk.embedder = "broken"
        async with working(desk.ingestion):
            for name in ("one", "two"):  # the second comes while the model is left alone
                await desk.place(docs, name)
                await elsewhere.settle(docs.id)
            assert await desk.states(docs) == ["indexed"] * 2
            assert (await problems(desk, docs))[0] == "it has no vectors yet: nobody is there"
            desk.embedder = "a"
            desk.ingestion.wake()
            await desk.until(lambda: none_are_told(desk, docs))
        assert await desk.index.vector_count(docs.id, "a") == 2

    async def none_are_told(desk: Desk, docs: Workspace) -> bool:
        return await problems(desk, docs) == [None] * 2 and await desk.index.vector_count(docs.id, "a") == 2

    check(tmp_path, work)
