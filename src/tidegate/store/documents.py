"""Owns the documents of every owner: what was read from each, and the folders that they are in."""

from __future__ import annotations

import asyncio
import re
import uuid
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, insert, select, true, update

from tidegate.errors import Forbidden
from tidegate.store.database import Database
from tidegate.store.schema import documents, folders, placements

DEFAULT_FOLDER: Final = "custom-documents"

Within = Collection[int] | None
"""The ids of workspaces; None is all, and none as well."""

_UNSAFE: Final = re.compile(r"[^\w.-]+")
_LONGEST_NAME: Final = 100
_TOGETHER: Final = 500
_COLUMNS: Final = [column for column in documents.c if column.name != "pages"]


class Document(Struct, frozen=True, kw_only=True):
    """A document. ``facts`` are url, title, docAuthor, description, docSource, chunkSource and published;
    ``content_hash`` is the SHA-256 of what was sent; ``tokens`` is about how many it has.
    """

    id: str
    owner: str
    folder: str
    name: str
    file_name: str
    content_hash: str
    facts: Mapping[str, str]
    words: int
    tokens: int
    created_ms: int

    @property
    def location(self) -> str:
        """Where it is, as AnythingLLM names it."""
        return f"{self.folder}/{self.name}"


class NewDocument(Struct, frozen=True, kw_only=True):
    """What was read from a file. ``pages`` are their numbers, where it has any, and their texts."""

    file_name: str
    content_hash: str
    pages: Sequence[tuple[int | None, str]]
    facts: Mapping[str, str]
    words: int
    tokens: int


class DocumentStore:
    """Documents and folders in the database; ``now_ms`` is Unix time in ms. All raise StoreError."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    async def add(self, owner: str, folder: str, new: NewDocument, within: Within = None) -> Document:
        """Keep a document, and have it indexed wherever it is placed already.

        What is in the folder with the same content is that document; what has the same file name is replaced
        by it, and keeps its id and its name. Raises Forbidden where that one is not in workspaces of
        ``within`` alone; None is all.
        """
        now = self._now_ms()
        row = {
            "file_name": new.file_name,
            "content_hash": new.content_hash,
            "facts": dict(new.facts),
            "words": new.words,
            "tokens": new.tokens,
            "pages": await asyncio.to_thread(_packed, new.pages),
        }

        def work(connection: Connection) -> Document:
            _make_folder(connection, owner, folder, now)
            here = (documents.c.owner == owner) & (documents.c.folder == folder)
            same = _first(connection, here & (documents.c.content_hash == new.content_hash))
            if same is not None:
                return same
            known = _first(connection, here & (documents.c.file_name == new.file_name))
            if known is not None:
                _check_within(connection, known, within)
                connection.execute(update(documents).where(documents.c.id == known.id).values(row))
                again = update(placements).where(placements.c.document == known.id)
                connection.execute(again.values(state="waiting", error=None))
                made = known.id
            else:
                made = str(uuid.uuid4())
                place = {"id": made, "owner": owner, "folder": folder, "created_ms": now}
                name = f"{_safe(new.file_name)}-{made}.json"
                connection.execute(insert(documents).values(row | place | {"name": name}))
            found = _first(connection, documents.c.id == made)
            assert found is not None
            return found

        return await self._database.run(work)

    async def by_id(self, document: str) -> Document | None:
        """The document of this id, whoever owns it."""
        return await self._database.read(lambda each: _first(each, documents.c.id == document))

    async def of_content(self, owner: str, folder: str, content_hash: str) -> Document | None:
        """The document in a folder that was read from the same content."""
        asked = (
            (documents.c.owner == owner)
            & (documents.c.folder == folder)
            & (documents.c.content_hash == content_hash)
        )
        return await self._database.read(lambda each: _first(each, asked))

    async def get(self, owner: str, location: str, within: Within = None) -> Document | None:
        """The owner's document at ``folder/name``; without a folder, of this name in any.

        Here and below ``within`` are the workspaces that it must be in one of; None is no matter where.
        """
        folder, slash, name = location.rpartition("/")
        asked = (documents.c.owner == owner) & (documents.c.name == name)
        if slash:
            asked &= documents.c.folder == folder
        asked &= _placed(within)
        return await self._database.read(lambda each: _first(each, asked))

    async def among(self, owner: str, locations: Iterable[str], within: Within = None) -> dict[str, Document]:
        """The owner's documents at some locations, each as :meth:`get` finds it, in their order.

        A few hundred are asked for at a time, so that others are answered in between.
        """
        wanted, found = list(dict.fromkeys(locations)), {}
        for at in range(0, len(wanted), _TOGETHER):
            places = [(each, *each.rpartition("/")) for each in wanted[at : at + _TOGETHER]]
            asked = select(*_COLUMNS).where(
                documents.c.owner == owner,
                documents.c.name.in_({name for *_, name in places}),
                _placed(within),
            )
            if all(slash for _, _, slash, _ in places):  # else there is no index for it
                asked = asked.where(documents.c.folder.in_({folder for _, folder, _, _ in places}))
            rows = await self._database.read(partial(_documents, asked=asked))
            there = {(each.folder, each.name): each for each in rows} | {each.name: each for each in rows}
            for location, folder, slash, name in places:
                document = there.get((folder, name) if slash else name)
                if document is not None:
                    found[location] = document
        return found

    async def pages(self, document: str) -> list[tuple[int | None, str]]:
        """The text of a document, by its pages; none of one that is gone."""
        asked = select(documents.c.pages).where(documents.c.id == document)
        kept: bytes | None = await self._database.read(lambda each: each.scalar(asked))
        if kept is None:
            return []
        return await asyncio.to_thread(_unpacked, kept)

    async def list(
        self,
        owner: str,
        folder: str | None = None,
        *,
        offset: int = 0,
        limit: int | None = None,
        within: Within = None,
    ) -> Sequence[Document]:
        """An owner's documents, by their folders and names."""
        asked = select(*_COLUMNS).where(documents.c.owner == owner, _placed(within))
        if folder is not None:
            asked = asked.where(documents.c.folder == folder)
        asked = asked.order_by(documents.c.folder, documents.c.name).offset(offset).limit(limit)
        return await self._database.read(partial(_documents, asked=asked))

    async def count(self, owner: str, folder: str, within: Within = None) -> int:
        """How many documents are in a folder."""
        here = (documents.c.owner == owner) & (documents.c.folder == folder) & _placed(within)
        asked = select(func.count()).select_from(documents).where(here)
        return await self._database.read(lambda each: each.scalar(asked) or 0)

    async def remove(self, owner: str, location: str) -> Document | None:
        """Delete a document wherever it is placed, and return what it was; its passages are the index's."""
        found = await self.get(owner, location)
        if found is None:
            return None
        gone = found.id

        def work(connection: Connection) -> None:
            connection.execute(delete(placements).where(placements.c.document == gone))
            connection.execute(delete(documents).where(documents.c.id == gone))

        await self._database.run(work)
        return found

    async def folders(self, owner: str) -> Sequence[str]:
        """The names of an owner's folders; the default one is always there."""
        asked = select(folders.c.name).where(folders.c.owner == owner)
        found = await self._database.read(lambda each: list(each.scalars(asked)))
        return sorted({DEFAULT_FOLDER, *found})

    async def create_folder(self, owner: str, name: str) -> bool:
        """Make a folder; whether there was none of that name."""
        now = self._now_ms()

        def work(connection: Connection) -> bool:
            return name != DEFAULT_FOLDER and _make_folder(connection, owner, name, now)

        return await self._database.run(work)

    async def remove_folder(self, owner: str, name: str) -> None:
        """Delete an empty folder."""
        gone = delete(folders).where(folders.c.owner == owner, folders.c.name == name)
        await self._database.run(lambda each: each.execute(gone))

    async def move(self, owner: str, location: str, to: str) -> bool:
        """Move a document to ``folder/name``; whether it was there and nothing else is."""
        folder, _, name = to.rpartition("/")
        now = self._now_ms()
        found = await self.get(owner, location)
        if found is None or not folder or not name:
            return False
        moved = found.id

        def work(connection: Connection) -> bool:
            target = (
                (documents.c.owner == owner) & (documents.c.folder == folder) & (documents.c.name == name)
            )
            if _first(connection, target) is not None:
                return False
            _make_folder(connection, owner, folder, now)
            place = {"folder": folder, "name": name}
            connection.execute(update(documents).where(documents.c.id == moved).values(place))
            return True

        return await self._database.run(work)


def _placed(within: Within) -> ColumnElement[bool]:
    """That a document is in one of these workspaces."""
    if within is None:
        return true()
    placed = select(placements.c.document).where(placements.c.workspace.in_(within))
    return documents.c.id.in_(placed)


def _check_within(connection: Connection, document: Document, within: Within) -> None:
    if within is None:
        return
    placed = select(placements.c.workspace).where(placements.c.document == document.id)
    found = set(connection.scalars(placed))
    if not found or not found <= set(within):
        raise Forbidden(
            f"a document called {document.file_name[:100]!r} is there already, and it is not in workspaces "
            "of this key alone; send this one by another name",
            code="document_not_yours",
        )


def _packed(pages: Sequence[tuple[int | None, str]]) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(pages))


def _unpacked(kept: bytes) -> list[tuple[int | None, str]]:
    return msgspec.msgpack.decode(zlib.decompress(kept), type=list[tuple[int | None, str]])


def _make_folder(connection: Connection, owner: str, name: str, now: int) -> bool:
    this = (folders.c.owner == owner) & (folders.c.name == name)
    if connection.execute(select(folders.c.name).where(this)).first() is not None:
        return False
    connection.execute(insert(folders).values(owner=owner, name=name, created_ms=now))
    return True


def _first(connection: Connection, which: Any) -> Document | None:
    row = connection.execute(select(*_COLUMNS).where(which).limit(1)).first()
    return None if row is None else _document(row)


def _documents(connection: Connection, *, asked: Select[Any]) -> list[Document]:
    return [_document(row) for row in connection.execute(asked)]


def _document(row: Row[Any]) -> Document:
    return Document(**row._mapping)


def _safe(name: str) -> str:
    """A file name as a part of another one."""
    return _UNSAFE.sub("-", name).strip("-.")[:_LONGEST_NAME] or "document"
