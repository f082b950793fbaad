"""Owns which documents a workspace answers from, and what has become of each there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import Struct
from sqlalchemy import Connection, delete, exists, func, insert, select, update

from tidegate.store.database import Database
from tidegate.store.documents import Document
from tidegate.store.schema import documents, placements, workspaces

State = Literal["waiting", "indexed", "failed"]

_OF_DOCUMENTS: Final = [column for column in documents.c if column.name != "pages"]


class Placement(Struct, frozen=True, kw_only=True):
    """A document in a workspace. ``passages`` is into how many it was cut, ``error`` why it was not.

    One that is indexed can have an error too: why it has no vectors.
    """

    id: int
    workspace: int
    document: str
    pinned: bool
    watched: bool
    state: State
    error: str | None
    passages: int
    created_ms: int


class Progress(Struct, frozen=True):
    """How far a workspace's documents have come: how many wait, failed, and are there."""

    waiting: int
    failed: int
    total: int


class PlacementStore:
    """Placements in the database; ``now_ms`` is Unix time in ms. All raise StoreError."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    async def place(self, workspace: int, document: str) -> None:
        """Have a workspace answer from a document; one that failed is tried again.

        Nothing happens where one of them is gone by now: nobody would ever settle it.
        """
        this = (placements.c.workspace == workspace) & (placements.c.document == document)
        both = (
            select(documents.c.id).where(documents.c.id == document),
            select(workspaces.c.id).where(workspaces.c.id == workspace),
        )
        row = {
            "workspace": workspace,
            "document": document,
            "pinned": False,
            "watched": False,
            "state": "waiting",
            "error": None,
            "passages": 0,
            "created_ms": self._now_ms(),
        }

        def work(connection: Connection) -> None:
            state = connection.scalar(select(placements.c.state).where(this))
            if state is None and all(connection.scalar(each) is not None for each in both):
                connection.execute(insert(placements).values(row))
            elif state == "failed":
                connection.execute(update(placements).where(this).values(state="waiting", error=None))

        await self._database.run(work)

    async def displace(self, workspace: int, document: str) -> bool:
        """Whether the workspace had the document, which it answers from no more; passages are the index's."""
        this = (placements.c.workspace == workspace) & (placements.c.document == document)
        return await self._database.run(
            lambda each: each.execute(delete(placements).where(this)).rowcount > 0
        )

    async def of(self, workspace: int) -> Sequence[tuple[Placement, Document]]:
        """The documents of a workspace, the one that came first first."""
        asked = (
            select(placements, *(column.label(f"d_{column.name}") for column in _OF_DOCUMENTS))
            .join(documents, documents.c.id == placements.c.document)
            .where(placements.c.workspace == workspace)
            .order_by(placements.c.id)
        )

        def work(connection: Connection) -> list[tuple[Placement, Document]]:
            found = []
            for row in connection.execute(asked):
                values: dict[str, Any] = dict(row._mapping)
                of_document = {name[2:]: values.pop(name) for name in list(values) if name.startswith("d_")}
                found.append((Placement(**values), Document(**of_document)))
            return found

        return await self._database.read(work)

    async def pinned_of(self, owner: str) -> Mapping[str, Sequence[int]]:
        """An owner's documents that are pinned, each with the ids of the workspaces where it is."""
        asked = (
            select(placements.c.document, placements.c.workspace)
            .join(documents, documents.c.id == placements.c.document)
            .where(documents.c.owner == owner, placements.c.pinned)
            .order_by(placements.c.workspace)
        )

        def work(connection: Connection) -> dict[str, list[int]]:
            found: dict[str, list[int]] = {}
            for document, workspace in connection.execute(asked):
                found.setdefault(document, []).append(workspace)
            return found

        return await self._database.read(work)

    async def workspaces_of(self, document: str) -> Sequence[int]:
        """The workspaces that have a document."""
        asked = select(placements.c.workspace).where(placements.c.document == document)
        return await self._database.read(lambda each: list(each.scalars(asked)))

    async def pin(self, workspace: int, document: str, *, pinned: bool) -> bool:
        """Show all of a document with each question, or no more; whether the workspace has it."""
        this = (placements.c.workspace == workspace) & (placements.c.document == document)
        changed = update(placements).where(this).values(pinned=pinned)
        return await self._database.run(lambda each: each.execute(changed).rowcount > 0)

    async def next_waiting(self) -> tuple[Placement, str] | None:
        """The placement that has waited longest, and the hash of its document's content."""
        asked = (
            select(placements, documents.c.content_hash)
            .join(documents, documents.c.id == placements.c.document)
            .where(placements.c.state == "waiting")
            .order_by(placements.c.id)
            .limit(1)
        )

        def work(connection: Connection) -> tuple[Placement, str] | None:
            row = connection.execute(asked).first()
            if row is None:
                return None
            values = dict(row._mapping)
            content_hash = str(values.pop("content_hash"))
            return Placement(**values), content_hash

        return await self._database.read(work)

    async def settle(
        self, placement: Placement, content_hash: str, *, passages: int = 0, error: str | None = None
    ) -> bool:
        """Note what has become of a document in a workspace; whether it is still there, with this content.

        One that was replaced meanwhile waits on.
        """
        current = select(documents.c.id).where(
            documents.c.id == placement.document, documents.c.content_hash == content_hash
        )
        state = "indexed" if error is None else "failed"
        noted = (
            update(placements)
            .where(placements.c.id == placement.id, placements.c.document.in_(current))
            .values(state=state, error=error, passages=passages)
        )
        return await self._database.run(lambda each: each.execute(noted).rowcount > 0)

    async def note_problem(self, workspace: int, problem: str, among: Collection[str]) -> None:
        """Note why those of a workspace's documents have no vectors that are indexed, and among these."""
        mine = (placements.c.workspace == workspace) & placements.c.document.in_(among)
        noted = update(placements).where(mine, placements.c.state == "indexed").values(error=problem)
        await self._database.run(lambda each: each.execute(noted))

    async def forget_problems(self, workspace: int | None = None) -> None:
        """Nothing keeps a workspace's documents, or all, from having vectors."""
        noted = (placements.c.state == "indexed") & placements.c.error.is_not(None)
        if workspace is not None:
            noted &= placements.c.workspace == workspace
        if await self._database.read(lambda each: each.scalar(select(exists().where(noted)))):
            forgotten = update(placements).where(noted).values(error=None)
            await self._database.run(lambda each: each.execute(forgotten))

    async def has_problem(self, workspace: int) -> bool:
        """Whether some of a workspace's documents are indexed and could not be given vectors."""
        asked = select(
            exists().where(
                placements.c.workspace == workspace,
                placements.c.state == "indexed",
                placements.c.error.is_not(None),
            )
        )
        return bool(await self._database.read(lambda each: each.scalar(asked)))

    async def waits(self, workspace: int, among: Collection[str] | None = None) -> bool:
        """Whether documents of a workspace, or some of these, wait to be indexed."""
        asked = select(placements.c.document).where(
            placements.c.workspace == workspace, placements.c.state == "waiting"
        )
        found = await self._database.read(lambda each: set(each.scalars(asked)))
        return bool(found if among is None else found.intersection(among))

    async def progress(self, workspace: int) -> Progress:
        """How far the documents of a workspace have come."""
        asked = (
            select(placements.c.state, func.count())
            .where(placements.c.workspace == workspace)
            .group_by(placements.c.state)
        )

        def work(connection: Connection) -> dict[str, int]:
            return {row[0]: row[1] for row in connection.execute(asked)}

        found = await self._database.read(work)
        return Progress(found.get("waiting", 0), found.get("failed", 0), sum(found.values()))
