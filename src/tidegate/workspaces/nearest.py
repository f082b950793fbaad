"""Finds the passages nearest to a vector, and keeps of vectors what searches need.

All of it happens in one thread that has a connection of its own: reading the vectors of a large workspace
holds up no search for words, and two searches do not fight over a core.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from sqlalchemy import Connection

from tidegate.store.database import Database
from tidegate.workspaces import passage_rows
from tidegate.workspaces.passage_rows import Changes
from tidegate.workspaces.vectors import BLOCK, Matrices, Matrix, Sought, vectors_possible

_STALE: Final = 2_000
"""Vectors that may be gone and still be in memory, or a fifth of all, before all are read again."""

Ranked = list[tuple[int, float]]
Key = tuple[int, str]
"""A workspace and an embedder."""


class Nearest:
    """Searches the vectors in the file of ``database``, which nobody else uses. :meth:`open` comes first.

    ``most_bytes`` bounds what is held of those that were searched: the vectors with their codes, of a
    workspace that has too many for that only the codes, and of one that has too many for these nothing. All
    comes from the database, and is read anew after a restart.
    """

    def __init__(self, database: Database, most_bytes: int) -> None:
        self._database = database
        self._matrices = Matrices(most_bytes)

    async def open(self) -> None:
        """Open the file. Raises StoreError."""
        await self._database.open()

    async def close(self) -> None:
        """Close the file. Nothing happens when it is not open."""
        await self._database.close()

    async def forget(self, workspace: int, except_embedder: str | None = None) -> None:
        """Let go of what is held of a workspace's vectors, but for those of one embedder."""
        await self._database.read(lambda _: self._matrices.forget(workspace, except_embedder))

    async def search(
        self,
        workspace: int,
        embedder: str,
        vector: Sequence[float],
        most: int,
        documents: frozenset[str] | None,
    ) -> Ranked:
        """See :meth:`tidegate.workspaces.index.PassageIndex.nearest`."""
        if not vectors_possible():
            return []
        among = None
        if documents is not None:
            wanted = documents
            among = await self._database.read(lambda each: passage_rows.of_documents(each, workspace, wanted))
        wide = most + passage_rows.SPARE
        while True:
            sought = Sought(vector, wide, among)
            work = partial(self._found, (workspace, embedder), sought)
            while (found := await self._database.read(work)) is None:
                pass  # other searches have their turns meanwhile
            there, all_of_them = found
            if len(there) >= most or all_of_them:
                return there[:most]
            wide *= 4

    def _found(self, key: Key, sought: Sought, connection: Connection) -> tuple[Ranked, bool] | None:
        """What is nearest and still there, and whether it is all there is; None when more is to be read."""
        changes = passage_rows.changes(connection, *key)
        matrix = self._matrix(key, changes, connection)
        if matrix.form == "unread":
            rows = passage_rows.vectors_behind(connection, *key, sought.last, BLOCK)
            sought.look_at(rows)
        elif matrix.last < changes.added:
            rows = passage_rows.vectors_behind(connection, *key, matrix.last, BLOCK)
            matrix.add(rows, changes.removed)
            if len(rows) < BLOCK:
                matrix.last = changes.added
            self._matrices.keep(key, matrix)
        else:
            rows = []
        if len(rows) == BLOCK:
            return None
        matrix.search(sought, partial(passage_rows.vectors_of, connection, key[1]))
        found = sought.result()
        return passage_rows.still_there(connection, key[0], found), len(found) < sought.most

    def _matrix(self, key: Key, changes: Changes, connection: Connection) -> Matrix:
        """What is held, or a new one where nothing is, or where too much of it is gone."""
        matrix = self._matrices.get(key)
        if matrix is not None and changes.removed - matrix.removed <= max(_STALE, len(matrix) // 5):
            return matrix
        dimensions = passage_rows.dimensions(connection, *key)
        count = passage_rows.vector_count(connection, *key) if dimensions else 0
        matrix = Matrix(changes.removed, self._matrices.form(count, dimensions))
        self._matrices.keep(key, matrix)
        return matrix
