"""Keeps the passages of workspaces in SQLite, and finds them by their words and by their vectors.

A document is put in unseen, some hundred passages at a time, and then shown at once; so other writers never
wait for long, and what a killed process left is known for what it is.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final

from sqlalchemy import Connection

from tidegate.errors import StoreError
from tidegate.store.database import Database
from tidegate.workspaces import full_text, passage_rows
from tidegate.workspaces.document import Entry
from tidegate.workspaces.index import Placed
from tidegate.workspaces.nearest import Nearest
from tidegate.workspaces.words import query_words

_TRIES: Final = 3

Ranked = list[tuple[int, float]]


class SqlitePassages:
    """A :class:`tidegate.workspaces.index.PassageIndex` in the file of ``database``.

    It has connections and threads of its own, one to write, one to search for words and one for vectors, so
    that none waits for another or for the rest of the store. :meth:`open` comes first. ``most_bytes`` bounds
    what is held of vectors, as :class:`tidegate.workspaces.nearest.Nearest` says.
    """

    def __init__(self, database: Database, most_bytes: int = 512 * 2**20) -> None:
        path, busy = database.path, database.busy_seconds
        self._reads = Database(path, busy, thread="passages-search")
        self._writes = Database(path, busy, thread="passages-write")
        self._nearest = Nearest(Database(path, busy, thread="passages-vectors"), most_bytes)
        self._frequencies = full_text.Frequencies()

    async def open(self) -> None:
        """Open the file. Raises StoreError."""
        try:
            await self._writes.open()
            await self._reads.open()
            await self._nearest.open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the file. Nothing happens when it is not open."""
        await self._nearest.close()
        await self._reads.close()
        await self._writes.close()

    async def put(self, workspace: int, document: str, entries: Sequence[Entry]) -> None:
        """See :class:`tidegate.workspaces.index.PassageIndex`, as for all that follow."""
        for _ in range(_TRIES):
            name = f"unseen {secrets.token_hex(8)}"
            if await self._put(workspace, document, name, entries):
                await self._clear(workspace, document)
                return
            await self._clear(workspace, name)
        raise StoreError("the passages were taken out while they were being put in; try again", retry_after=1)

    async def remove(self, workspace: int, document: str) -> None:
        await self._writes.run(lambda each: passage_rows.hide(each, workspace, document))
        await self._clear(workspace, document)

    async def drop(self, workspace: int) -> None:
        await self._nearest.forget(workspace)
        while await self._writes.run(lambda each: passage_rows.drop_some(each, workspace)):
            pass

    async def tidy(self) -> None:
        # What another is about to put in is taken out too, and it puts that in again.
        for workspace, name in await self._writes.read(passage_rows.unseen):
            await self._clear(workspace, name)

    async def placed(self) -> list[tuple[int, str]]:
        return await self._reads.read(passage_rows.placed)

    async def count(self, workspace: int) -> int:
        return await self.total((workspace,))

    async def total(self, workspaces: Collection[int] | None = None) -> int:
        return await self._reads.read(lambda each: passage_rows.count(each, workspaces))

    async def without_vectors(
        self, workspace: int, embedder: str, most: int, after: int = 0
    ) -> list[tuple[int, str]]:
        # The writer's turn: who embeds must not make those wait who search.
        return await self._writes.read(
            lambda each: passage_rows.without_vectors(each, workspace, embedder, most, after)
        )

    async def add_vectors(self, workspace: int, embedder: str, vectors: Sequence[tuple[int, bytes]]) -> None:
        for at in range(0, len(vectors), passage_rows.TOGETHER):
            batch = dict(vectors[at : at + passage_rows.TOGETHER])
            await self._writes.run(partial(_add_vectors, workspace, embedder, batch))

    async def forget_vectors(self, workspace: int, except_embedder: str | None) -> None:
        await self._nearest.forget(workspace, except_embedder)
        while await self._writes.run(lambda each: passage_rows.forget_some(each, workspace, except_embedder)):
            pass

    async def vector_count(self, workspace: int, embedder: str) -> int:
        return await self._reads.read(lambda each: passage_rows.vector_count(each, workspace, embedder))

    async def weights(self, workspace: int, words: Collection[str]) -> Mapping[str, float]:
        def work(connection: Connection) -> dict[str, float]:
            total, found = self._frequencies.of(connection, workspace, words)
            return {word: full_text.weight(count, total) for word, count in found.items()}

        return await self._reads.read(work)

    async def lexical(
        self, workspace: int, query: str, most: int, documents: frozenset[str] | None = None
    ) -> Ranked:
        asked = query_words(query)

        def work(connection: Connection) -> Ranked:
            _, found = self._frequencies.of(connection, workspace, asked)
            telling = full_text.telling(found)
            if not telling:
                return []
            look = partial(full_text.search, connection, workspace, telling, documents)
            return _still_there(connection, workspace, most, look)

        return await self._reads.read(work)

    async def nearest(
        self,
        workspace: int,
        embedder: str,
        vector: Sequence[float],
        most: int,
        documents: frozenset[str] | None = None,
    ) -> Ranked:
        return await self._nearest.search(workspace, embedder, vector, most, documents)

    async def passages(self, workspace: int, ids: Sequence[int]) -> list[Placed]:
        return await self._reads.read(lambda each: passage_rows.fetch(each, workspace, ids))

    async def _put(self, workspace: int, document: str, name: str, entries: Sequence[Entry]) -> bool:
        try:
            for at in range(0, len(entries), passage_rows.TOGETHER):
                batch = entries[at : at + passage_rows.TOGETHER]
                prepared = await asyncio.to_thread(passage_rows.prepared, batch)
                await self._writes.run(partial(_insert, workspace, name, prepared))
            return await self._writes.run(
                lambda each: passage_rows.show(each, workspace, document, name, len(entries))
            )
        except BaseException:
            await self._clear(workspace, name)
            raise

    async def _clear(self, workspace: int, name: str) -> None:
        while await self._writes.run(lambda each: passage_rows.clear_some(each, workspace, name)):
            pass


def _insert(
    workspace: int, name: str, batch: Sequence[passage_rows.Prepared], connection: Connection
) -> None:
    passage_rows.insert_unseen(connection, workspace, name, batch)


def _add_vectors(workspace: int, embedder: str, batch: Mapping[int, bytes], connection: Connection) -> None:
    passage_rows.add_vectors(connection, workspace, embedder, batch)


def _still_there(connection: Connection, workspace: int, most: int, look: Callable[[int], Ranked]) -> Ranked:
    """The first of what is found that the workspace has."""
    wide = most + passage_rows.SPARE
    while True:
        found = look(wide)
        kept = passage_rows.still_there(connection, workspace, found)
        if len(kept) >= most or len(found) < wide:
            return kept[:most]
        wide *= 4
