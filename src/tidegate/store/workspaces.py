"""Owns the workspaces of every caller and the threads in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import Connection, Row, delete, insert, select, update

from tidegate.store.database import Database
from tidegate.store.schema import chats, embeds, members, placements, threads, workspaces
from tidegate.store.slugs import free_slug, slugify

_BELONGING: Final = (chats, threads, placements, embeds, members)
"""What is gone with its workspace; passages are the index's to drop."""


class Workspace(Struct, frozen=True, kw_only=True):
    """A workspace. ``settings`` holds what was set, see workspaces/settings.py; times are Unix ms.

    ``embedder`` is the model whose vectors are searched, None while there are none.
    """

    id: int
    owner: str
    slug: str
    name: str
    created_ms: int
    updated_ms: int
    settings: Mapping[str, Any]
    embedder: str | None = None


class Thread(Struct, frozen=True, kw_only=True):
    """A conversation of its own within a workspace; times are Unix ms."""

    id: int
    workspace: int
    slug: str
    name: str
    user_id: int | None
    created_ms: int
    updated_ms: int


class WorkspaceStore:
    """Workspaces and threads in the database; ``now_ms`` is Unix time in ms. All raise StoreError."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    async def create(self, owner: str, name: str, settings: Mapping[str, Any]) -> Workspace:
        """A new workspace, with a slug that is its owner's only one of that name."""
        now, slug = self._now_ms(), slugify(name).lower()

        def work(connection: Connection) -> Workspace:
            def is_taken(slug: str) -> bool:
                return _first(connection, owner, slug) is not None

            row: dict[str, Any] = {
                "owner": owner,
                "slug": free_slug(slug, is_taken),
                "name": name,
                "created_ms": now,
                "updated_ms": now,
                "settings": dict(settings),
                "embedder": None,
            }
            made = connection.execute(insert(workspaces).values(row)).inserted_primary_key
            assert made is not None
            return Workspace(id=made[0], **row)

        return await self._database.run(work)

    async def list(self, owner: str) -> Sequence[Workspace]:
        """All of an owner's, the oldest first."""
        asked = select(workspaces).where(workspaces.c.owner == owner).order_by(workspaces.c.id)
        return await self._database.read(lambda each: [_workspace(row) for row in each.execute(asked)])

    async def every(self) -> Sequence[Workspace]:
        """All there are, whoever owns them."""
        asked = select(workspaces).order_by(workspaces.c.id)
        return await self._database.read(lambda each: [_workspace(row) for row in each.execute(asked)])

    async def get(self, owner: str, slug: str) -> Workspace | None:
        """The owner's workspace of this slug, exactly as it is written."""
        return await self._database.read(lambda connection: _first(connection, owner, slug))

    async def by_id(self, number: int) -> Workspace | None:
        """The workspace of this id, whoever owns it."""
        return await self._database.read(lambda connection: _of_id(connection, number))

    async def update(
        self,
        number: int,
        *,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        embedder: str | UnsetType | None = UNSET,
    ) -> Workspace | None:
        """The workspace with what was told changed; ``settings`` are those that change, the others stay."""
        now = self._now_ms()

        def work(connection: Connection) -> Workspace | None:
            known = _of_id(connection, number)
            if known is None:
                return None
            changed: dict[str, Any] = {"updated_ms": max(now, known.updated_ms)}
            if name is not None:
                changed["name"] = name
            if settings is not None:
                changed["settings"] = {**known.settings, **settings}
            if embedder is not UNSET:
                changed["embedder"] = embedder
            connection.execute(update(workspaces).where(workspaces.c.id == number).values(changed))
            return _of_id(connection, number)

        return await self._database.run(work)

    async def delete(self, number: int) -> None:
        """Delete a workspace with its threads, chats, placements, embeds and members."""

        def work(connection: Connection) -> None:
            for table in _BELONGING:
                connection.execute(delete(table).where(table.c.workspace == number))
            connection.execute(delete(workspaces).where(workspaces.c.id == number))

        await self._database.run(work)

    async def create_thread(
        self, workspace: int, name: str, slug: str | None = None, user_id: int | None = None
    ) -> Thread | None:
        """A new thread; None when its workspace is gone.

        ``slug`` is what it is to be called, else it is a UUID; one that is taken gets digits behind it.
        """
        now, wanted = self._now_ms(), slugify(slug or "")

        def work(connection: Connection) -> Thread | None:
            def is_taken(slug: str) -> bool:
                return _thread_of(connection, workspace, slug) is not None

            if _of_id(connection, workspace) is None:
                return None
            row: dict[str, Any] = {
                "workspace": workspace,
                "slug": free_slug(wanted, is_taken),
                "name": name,
                "user_id": user_id,
                "created_ms": now,
                "updated_ms": now,
            }
            made = connection.execute(insert(threads).values(row)).inserted_primary_key
            assert made is not None
            return Thread(id=made[0], **row)

        return await self._database.run(work)

    async def threads(self, *of: int) -> Sequence[Thread]:
        """All threads of some workspaces, the oldest first."""

        def work(connection: Connection) -> Sequence[Thread]:
            found: list[Thread] = []
            for workspace in of:
                asked = select(threads).where(threads.c.workspace == workspace).order_by(threads.c.id)
                found += (_thread(row) for row in connection.execute(asked))
            return found

        return await self._database.read(work)

    async def thread(self, workspace: int, slug: str) -> Thread | None:
        """The workspace's thread of this slug, exactly as it is written."""
        return await self._database.read(lambda connection: _thread_of(connection, workspace, slug))

    async def rename_thread(self, number: int, name: str) -> Thread | None:
        """The thread with its new name; None when there is none of this id."""
        now = self._now_ms()

        def work(connection: Connection) -> Thread | None:
            this = threads.c.id == number
            connection.execute(update(threads).where(this).values(name=name, updated_ms=now))
            row = connection.execute(select(threads).where(this)).first()
            return _thread(row) if row is not None else None

        return await self._database.run(work)

    async def delete_thread(self, number: int) -> None:
        """Delete a thread with its chats."""

        def work(connection: Connection) -> None:
            workspace = connection.scalar(select(threads.c.workspace).where(threads.c.id == number))
            connection.execute(delete(chats).where(chats.c.workspace == workspace, chats.c.thread == number))
            connection.execute(delete(threads).where(threads.c.id == number))

        await self._database.run(work)


def _first(connection: Connection, owner: str, slug: str) -> Workspace | None:
    asked = select(workspaces).where(workspaces.c.owner == owner, workspaces.c.slug == slug)
    row = connection.execute(asked).first()
    return _workspace(row) if row is not None else None


def _of_id(connection: Connection, number: int) -> Workspace | None:
    row = connection.execute(select(workspaces).where(workspaces.c.id == number)).first()
    return _workspace(row) if row is not None else None


def _thread_of(connection: Connection, workspace: int, slug: str) -> Thread | None:
    asked = select(threads).where(threads.c.workspace == workspace, threads.c.slug == slug)
    row = connection.execute(asked).first()
    return _thread(row) if row is not None else None


def _workspace(row: Row[Any]) -> Workspace:
    return Workspace(**row._mapping)


def _thread(row: Row[Any]) -> Thread:
    return Thread(**row._mapping)
