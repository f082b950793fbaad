"""Owns embeds: the doors into a workspace that web pages use without a key."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from tidegate.store.database import Database
from tidegate.store.schema import chats, embeds, workspaces


class Embed(Struct, frozen=True, kw_only=True):
    """An embed. ``settings`` holds what was set, see workspaces/embeds.py; ``created_ms`` is Unix time."""

    id: int
    uuid: str
    workspace: int
    enabled: bool
    settings: Mapping[str, Any]
    created_ms: int


class OwnedEmbed(Struct, frozen=True, kw_only=True):
    """An embed with its workspace's name and slug, and how many chats it has had."""

    embed: Embed
    name: str
    slug: str
    chats: int


class EmbedStore:
    """The embeds in the database; ``now_ms`` is Unix time in ms. All raise StoreError."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    async def create(self, workspace: int, settings: Mapping[str, Any]) -> Embed | None:
        """A new embed, which is enabled; None when its workspace is gone."""
        row: dict[str, Any] = {
            "uuid": str(uuid.uuid4()),
            "workspace": workspace,
            "enabled": True,
            "settings": dict(settings),
            "created_ms": self._now_ms(),
        }

        def work(connection: Connection) -> Embed | None:
            if connection.scalar(select(workspaces.c.id).where(workspaces.c.id == workspace)) is None:
                return None
            made = connection.execute(insert(embeds).values(row)).inserted_primary_key
            assert made is not None
            return Embed(id=made[0], **row)

        return await self._database.run(work)

    async def get(self, name: str) -> Embed | None:
        """The embed of this UUID, whoever owns it: for those who come without a key."""
        asked = select(embeds).where(embeds.c.uuid == name)

        def work(connection: Connection) -> Embed | None:
            row = connection.execute(asked).first()
            return _embed(row) if row is not None else None

        return await self._database.read(work)

    async def owned(self, owner: str, name: str) -> OwnedEmbed | None:
        """The embed of this UUID, where it leads into a workspace of the owner's."""
        found = await self._owned(_of(owner).where(embeds.c.uuid == name))
        return found[0] if found else None

    async def list(self, owner: str) -> Sequence[OwnedEmbed]:
        """All embeds of an owner's workspaces, the oldest first."""
        return await self._owned(_of(owner).order_by(embeds.c.id))

    async def update(
        self, number: int, *, enabled: bool | None = None, settings: Mapping[str, Any] | None = None
    ) -> Embed | None:
        """The embed with what was told changed; ``settings`` are those that change, the others stay."""

        def work(connection: Connection) -> Embed | None:
            this = embeds.c.id == number
            row = connection.execute(select(embeds).where(this)).first()
            if row is None:
                return None
            new = {
                "enabled": row.enabled if enabled is None else enabled,
                "settings": {**row.settings, **(settings or {})},
            }
            connection.execute(update(embeds).where(this).values(new))
            return Embed(**{**row._mapping, **new})

        return await self._database.run(work)

    async def delete(self, number: int) -> None:
        """Delete an embed with its chats."""

        def work(connection: Connection) -> None:
            connection.execute(delete(chats).where(chats.c.embed == number))
            connection.execute(delete(embeds).where(embeds.c.id == number))

        await self._database.run(work)

    async def _owned(self, asked: Select[Any]) -> Sequence[OwnedEmbed]:
        def work(connection: Connection) -> Sequence[OwnedEmbed]:
            return [
                OwnedEmbed(embed=_embed(row), name=row.name, slug=row.slug, chats=row.chats)
                for row in connection.execute(asked)
            ]

        return await self._database.read(work)


def _of(owner: str) -> Select[Any]:
    counted = select(func.count()).where(chats.c.embed == embeds.c.id).scalar_subquery().label("chats")
    joined = embeds.join(workspaces, workspaces.c.id == embeds.c.workspace)
    asked = select(embeds, workspaces.c.name, workspaces.c.slug, counted).select_from(joined)
    return asked.where(workspaces.c.owner == owner)


def _embed(row: Row[Any]) -> Embed:
    return Embed(**{column.name: row._mapping[column.name] for column in embeds.c})
