"""The documents of an owner: reading what is sent or linked, putting it into workspaces and out again."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from tidegate.core.clock import Clock
from tidegate.errors import Unreadable
from tidegate.store.documents import DEFAULT_FOLDER, Document, DocumentStore, NewDocument, Within
from tidegate.store.placements import PlacementStore
from tidegate.workspaces.budget import tokens
from tidegate.workspaces.document import Page, Parse, Parsed
from tidegate.workspaces.index import PassageIndex
from tidegate.workspaces.ingestion import Ingestion
from tidegate.workspaces.links import fetch_page

FACTS: Final = ("url", "title", "docAuthor", "description", "docSource", "chunkSource", "published")
"""What is known of a document, in AnythingLLM's words."""

_UNKNOWN: Final = "Unknown"
_LONGEST_FACT: Final = 2000
_WORD: Final = re.compile(r"\S+")


class Library:
    """The documents of every owner. All methods raise StoreError."""

    def __init__(
        self,
        documents: DocumentStore,
        placements: PlacementStore,
        index: PassageIndex,
        ingestion: Ingestion,
        parse: Parse,
        clock: Clock,
    ) -> None:
        self.documents = documents
        self.placements = placements
        self.private_links = False
        """Whether links into private networks may be fetched."""
        self._index = index
        self._ingestion = ingestion
        self._parse = parse
        self._clock = clock

    async def add_file(
        self,
        owner: str,
        name: str,
        data: bytes,
        *,
        folder: str = DEFAULT_FOLDER,
        media_type: str | None = None,
        facts: Mapping[str, Any] = {},
        within: Within = None,
    ) -> Document:
        """Keep what a file says; ``facts`` win over what it says of itself. Raises Unreadable.

        Here and below ``within`` are the workspaces whose documents may be replaced, None being all; what
        would replace another one raises Forbidden.
        """
        digest = sha256(data).hexdigest() if len(data) < 2**20 else await asyncio.to_thread(_digest, data)
        same = await self.documents.of_content(owner, folder, digest)
        if same is not None:
            return same
        name = PurePosixPath(name.replace("\\", "/").replace("\0", "")).name or "document"
        parsed = await self._parse(data, name, media_type)
        told = {"url": f"file:///{quote(name)}", "docSource": "a file uploaded by the user."}
        return await self._keep(owner, folder, name, digest, parsed, {**told, **facts}, within)

    async def add_link(
        self,
        owner: str,
        link: str,
        *,
        headers: Mapping[str, str],
        facts: Mapping[str, Any] = {},
        within: Within = None,
    ) -> Document:
        """Keep what a page of the web says. Raises InvalidRequest for a link that may not be followed, and
        Unreadable."""
        fetched = await fetch_page(link, headers, allow_private=self.private_links)
        parsed = await self._parse(fetched.data, fetched.file_name, fetched.media_type)
        told = {
            "url": fetched.final_url,
            "docSource": "URL link uploaded by the user.",
            "chunkSource": f"link://{link}",
        }
        digest = sha256(fetched.data).hexdigest()
        name = _name_of(link)
        return await self._keep(owner, DEFAULT_FOLDER, name, digest, parsed, {**told, **facts}, within)

    async def add_text(
        self,
        owner: str,
        text: str,
        facts: Mapping[str, Any],
        *,
        within: Within = None,
    ) -> Document:
        """Keep a text whose title is among its facts."""
        title = str(facts.get("title") or "")
        parsed = Parsed(pages=(Page(text),), title=title)
        told = {"url": f"file:///{quote(title)}.txt", "docSource": "raw text added by the user."}
        digest = await asyncio.to_thread(_digest, f"{title}\0{text}".encode("utf-8", "replace"))
        # A title is not the name of a file: two texts that share one are two documents.
        name = f"raw-{title[:80] or 'text'}-{digest[:8]}"
        return await self._keep(owner, DEFAULT_FOLDER, name, digest, parsed, {**told, **facts}, within)

    async def put_into(self, workspaces: Iterable[int], documents: Sequence[Document]) -> None:
        """Have workspaces answer from documents, from when this returns on."""
        chosen, names = list(workspaces), {document.id for document in documents}
        for workspace in chosen:
            for document in documents:
                await self.placements.place(workspace, document.id)
        for workspace in chosen:
            await self._ingestion.settle(workspace, names)

    async def take_out(self, workspace: int, document: Document) -> None:
        """Have a workspace answer from a document no more."""
        await self._ingestion.take_out(workspace, document.id)

    async def remove(self, owner: str, location: str) -> bool:
        """Delete a document everywhere; whether there was one."""
        found = await self.documents.get(owner, location)
        if found is None:
            return False
        placed = await self.placements.workspaces_of(found.id)
        await self.documents.remove(owner, found.location)
        for workspace in placed:
            await self._index.remove(workspace, found.id)
        return True

    async def remove_folder(self, owner: str, name: str) -> None:
        """Delete a folder and all that is in it."""
        for document in await self.documents.list(owner, name):
            await self.remove(owner, document.location)
        await self.documents.remove_folder(owner, name)

    async def text_of(self, document: Document) -> str:
        """All that a document says."""
        return "\n\n".join(text for _, text in await self.documents.pages(document.id))

    async def _keep(
        self,
        owner: str,
        folder: str,
        name: str,
        digest: str,
        parsed: Parsed,
        facts: Mapping[str, Any],
        within: Within,
    ) -> Document:
        text = parsed.text
        if not text.strip():
            raise Unreadable(f"{name} has no text", code="no_text")
        now = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
        own = {
            "title": parsed.title or name,
            "docAuthor": parsed.author or _UNKNOWN,
            "description": parsed.description or _UNKNOWN,
            "chunkSource": "",
            "published": parsed.published or now.isoformat(timespec="seconds"),
            **facts,
        }
        words, counted = await asyncio.to_thread(_counts, text)
        new = NewDocument(
            file_name=name,
            content_hash=digest,
            pages=[(page.number, page.text) for page in parsed.pages],
            facts={each: _fact(own.get(each)) for each in FACTS},
            words=words,
            tokens=counted,
        )
        document = await self.documents.add(owner, folder, new, within)
        if document.content_hash == digest:
            self._ingestion.wake()
        return document


def document_object(document: Document) -> dict[str, Any]:
    """A document as AnythingLLM tells of one that was just read."""
    return {
        "id": document.id,
        "location": document.location,
        "name": document.name,
        **document.facts,
        "wordCount": document.words,
        "token_count_estimate": document.tokens,
    }


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def _counts(text: str) -> tuple[int, int]:
    """How many words a text has, and about how many tokens."""
    return sum(1 for _ in _WORD.finditer(text)), tokens(text)


def _fact(value: Any) -> str:
    text = value if isinstance(value, str) else "" if value is None else str(value)
    return text[:_LONGEST_FACT].encode("utf-8", "replace").decode().replace("\0", "")


def _name_of(link: str) -> str:
    return link.partition("://")[2][:200] or link[:200]
