"""Owns what was asked of workspaces and what they answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct, structs
from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, insert, select, update

from tidegate.store.database import Database
from tidegate.store.schema import chats, threads, users, workspaces
from tidegate.wire.ascii_json import ascii_json

_COLUMNS: Final = [column for column in chats.c if column.name != "stream"]
MOST_READ: Final = 8 << 20
"""Characters of prompts and responses that are read to go on from."""

_DAY_MS: Final = 24 * 3600 * 1000
_UNANSWERED: Final = b"{}"
"""The response of a chat that has none yet."""


class Chat(Struct, frozen=True, kw_only=True):
    """A question and its answer. ``response`` holds type, text, sources, metrics and attachments.

    ``include`` says whether it is part of the history that models see; ``created_ms`` is Unix time.
    """

    id: int
    workspace: int
    thread: int | None
    session: str | None
    embed: int | None
    user_id: int | None
    prompt: str
    response: Mapping[str, Any]
    include: bool
    created_ms: int
    feedback: bool | None


class NewChat(Struct, frozen=True, kw_only=True):
    """A chat that is to be kept, once for each ``stream``, which is what answered."""

    workspace: int
    prompt: str
    response: Mapping[str, Any]
    thread: int | None = None
    session: str | None = None
    embed: int | None = None
    user_id: int | None = None
    include: bool = True
    stream: str | None = None


class OwnedChat(Struct, frozen=True, kw_only=True):
    """A chat with the names of what it belongs to; ``username`` is None where no user asked."""

    chat: Chat
    name: str
    slug: str
    username: str | None


class ChatStore:
    """The chats in the database; ``now_ms`` is Unix time in ms. All raise StoreError."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    async def add(self, chat: NewChat) -> int | None:
        """Keep a chat and return its id. What its stream answered before is replaced.

        Where its workspace or thread was deleted meanwhile, nothing is kept.
        """
        return await self._database.run(self._adding(chat))

    def post(self, chat: NewChat) -> None:
        """The same for whoever cannot wait; a failure is logged."""
        self._database.post(self._adding(chat))

    async def reserve(self, chat: NewChat, day: int | None, session: int | None) -> bool:
        """Keep a place for the chat of an embed that is about to be answered; False where there is none.

        There is none when the embed has had ``day`` chats within the last 24 hours, or the chat's session has
        had ``session`` of them, answered or not. :meth:`add` fills the place; until then nobody is shown it.
        """
        row = self._row(structs.replace(chat, response={}, include=False))
        recent = (chats.c.embed == chat.embed) & (chats.c.created_ms >= self._now_ms() - _DAY_MS)
        counted = select(func.count()).where(recent)

        def work(connection: Connection) -> bool:
            if _is_gone(connection, chat):  # then its answer will not be kept either
                return True
            for most, asked in ((day, counted), (session, counted.where(chats.c.session == chat.session))):
                if most is not None and (connection.scalar(asked) or 0) >= most:
                    return False
            connection.execute(insert(chats).values(row))
            return True

        return await self._database.run(work)

    def release(self, stream: str) -> None:
        """Give a place back that was kept for what this stream would answer, where it did not."""
        this = (chats.c.stream == stream) & (chats.c.response == _UNANSWERED)
        self._database.post(lambda connection: connection.execute(delete(chats).where(this)))

    def _row(self, chat: NewChat) -> dict[str, Any]:
        return {
            **structs.asdict(chat),
            "prompt": chat.prompt.encode("utf-8", "replace").decode(),  # a lone surrogate cannot be stored
            "response": ascii_json(chat.response).encode("ascii"),
            "created_ms": self._now_ms(),
            "feedback": None,
        }

    def _adding(self, chat: NewChat) -> Callable[[Connection], int | None]:
        row = self._row(chat)

        def work(connection: Connection) -> int | None:
            if _is_gone(connection, chat):
                return None
            if chat.stream is not None:
                this = (chats.c.stream == chat.stream) & (chats.c.workspace == chat.workspace)
                known = connection.scalar(select(chats.c.id).where(this))
                if known is not None:
                    new = {"response": row["response"], "include": chat.include}
                    connection.execute(update(chats).where(this).values(new))
                    return int(known)
            made = connection.execute(insert(chats).values(row)).inserted_primary_key
            assert made is not None
            return int(made[0])

        return work

    async def history(
        self,
        workspace: int,
        *,
        thread: int | None = None,
        session: str | None = None,
        embed: int | None = None,
        user_id: int | None = None,
        limit: int,
        include_only: bool = True,
    ) -> Sequence[Chat]:
        """The newest ``limit`` chats of one conversation, the oldest of them first.

        A conversation is told by all of thread, session, embed and user: None is one without. Of one that is
        too long for any model as many are read as :data:`MOST_READ` has room for, and the newest in any case.
        """
        asked = select(*_COLUMNS).where(*_conversation(workspace, thread, session, embed))
        asked = asked.where(_is(chats.c.user_id, user_id))
        if include_only:
            asked = asked.where(chats.c.include)
        newest = asked.order_by(chats.c.id.desc()).limit(limit)

        def work(connection: Connection) -> list[Chat]:
            found: list[Chat] = []
            size = 0
            with connection.execute(newest) as rows:
                for row in rows:
                    size += len(row.prompt) + len(row.response)
                    if found and size > MOST_READ:
                        break
                    found.append(_chat(row))
            return found[::-1]

        return await self._database.read(work)

    async def listed(
        self,
        workspace: int,
        *,
        thread: int | None = None,
        session: str | None = None,
        embed: int | None = None,
        limit: int,
        newest_first: bool = False,
    ) -> Sequence[Chat]:
        """The first ``limit`` chats of a conversation that models still see, whoever asked."""
        order = chats.c.id.desc() if newest_first else chats.c.id
        asked = select(*_COLUMNS).where(*_conversation(workspace, thread, session, embed), chats.c.include)
        return await self._list(asked.order_by(order).limit(limit))

    async def of_embed(
        self, embed: int, *, session: str | None = None, after: int = 0, limit: int
    ) -> Sequence[Chat]:
        """The chats of an embed, or of one of its visitors, from the one behind the id ``after`` on."""
        asked = select(*_COLUMNS).where(chats.c.embed == embed, chats.c.id > after)
        asked = asked.where(chats.c.response != _UNANSWERED)
        if session is not None:
            asked = asked.where(chats.c.session == session)
        return await self._list(asked.order_by(chats.c.id).limit(limit))

    async def forget(
        self,
        workspace: int,
        thread: int | None,
        session: str | None,
        user_id: int | None = None,
        *,
        embed: int | None = None,
    ) -> None:
        """Let models see no more of a conversation so far, of one user's where ``user_id`` is told."""
        these = _conversation(workspace, thread, session, embed)
        asked = update(chats).where(*these, chats.c.include).values(include=False)
        if user_id is not None:
            asked = asked.where(chats.c.user_id == user_id)
        await self._database.run(lambda connection: connection.execute(asked))

    async def page(
        self, owner: str, offset: int, size: int, slugs: Sequence[str] | None = None
    ) -> Sequence[OwnedChat]:
        """An owner's chats but for those of embeds, the newest first; of some workspaces where told."""
        asked = _owned(owner, slugs).order_by(chats.c.id.desc()).offset(offset).limit(size)
        return await self._owned(asked)

    async def after(
        self, owner: str, number: int, size: int, slugs: Sequence[str] | None = None
    ) -> Sequence[OwnedChat]:
        """As :meth:`page`, the oldest first, from the one behind the id ``number`` on."""
        asked = _owned(owner, slugs).where(chats.c.id > number).order_by(chats.c.id).limit(size)
        return await self._owned(asked)

    async def numbers(self, workspace: int) -> Sequence[int]:
        """The ids of all chats of a workspace, the oldest first."""
        asked = select(chats.c.id).where(chats.c.workspace == workspace).order_by(chats.c.id)
        return await self._database.read(lambda connection: connection.scalars(asked).all())

    async def of_numbers(self, owner: str, numbers: Sequence[int]) -> Sequence[OwnedChat]:
        """The chats of these ids, as far as :meth:`page` would list them, the oldest first."""
        return await self._owned(_owned(owner, None).where(chats.c.id.in_(numbers)).order_by(chats.c.id))

    async def _list(self, asked: Select[Any]) -> list[Chat]:
        return await self._database.read(lambda each: [_chat(row) for row in each.execute(asked)])

    async def _owned(self, asked: Select[Any]) -> list[OwnedChat]:
        def work(connection: Connection) -> list[OwnedChat]:
            return [
                OwnedChat(chat=_chat(row), name=row.name, slug=row.slug, username=row.username)
                for row in connection.execute(asked)
            ]

        return await self._database.read(work)


def _is(column: ColumnElement[Any], value: int | str | None) -> ColumnElement[bool]:
    return column.is_(None) if value is None else column == value


def _is_gone(connection: Connection, chat: NewChat) -> bool:
    """Whether the workspace or the thread of a chat was deleted."""
    places = [select(workspaces.c.id).where(workspaces.c.id == chat.workspace)]
    if chat.thread is not None:
        places.append(select(threads.c.id).where(threads.c.id == chat.thread))
    return any(connection.scalar(each) is None for each in places)


def _conversation(
    workspace: int, thread: int | None, session: str | None, embed: int | None
) -> tuple[ColumnElement[bool], ...]:
    return (
        chats.c.workspace == workspace,
        _is(chats.c.thread, thread),
        _is(chats.c.session, session),
        _is(chats.c.embed, embed),
    )


def _owned(owner: str, slugs: Sequence[str] | None) -> Select[Any]:
    """The chats of an owner's workspaces, with the names that belong to them."""
    of_user = (users.c.id == chats.c.user_id) & (users.c.owner == owner)
    joined = chats.join(workspaces, workspaces.c.id == chats.c.workspace).outerjoin(users, of_user)
    asked = select(*_COLUMNS, workspaces.c.name, workspaces.c.slug, users.c.username).select_from(joined)
    asked = asked.where(workspaces.c.owner == owner, chats.c.embed.is_(None))
    return asked if slugs is None else asked.where(workspaces.c.slug.in_(slugs))


def _chat(row: Row[Any]) -> Chat:
    named = row._mapping
    known = {column.name: named[column.name] for column in _COLUMNS if column.name != "response"}
    return Chat(**known, response=json.loads(row.response))
