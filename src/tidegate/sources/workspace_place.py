"""Where a question is asked: a workspace or a thread of the caller's, or an embed that somebody visits."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from tidegate.core.request import Header, Request
from tidegate.errors import NotFound
from tidegate.store.embeds import Embed, EmbedStore
from tidegate.store.workspaces import Thread, Workspace, WorkspaceStore

ANYTHINGLLM = "anythingllm"


class Found(Struct, frozen=True):
    """What a question is asked of."""

    workspace: Workspace
    thread: Thread | None = None
    embed: Embed | None = None


class Place(Protocol):
    """Finds the workspace of a request."""

    async def find(self, request: Request, header: Header) -> Found:
        """What the stream's caller asks. Raises NotFound for what is not theirs."""
        ...


class Named:
    """A workspace by its slug, and a thread in it."""

    def __init__(self, store: WorkspaceStore, slug: str, thread: str | None) -> None:
        self._store = store
        self._slug = slug
        self._thread = thread

    async def find(self, request: Request, header: Header) -> Found:
        """See :class:`Place`."""
        allowed = header.workspaces is None or self._slug in header.workspaces
        workspace = await self._store.get(header.caller, self._slug) if allowed else None
        if workspace is not None and self._thread is None:
            return Found(workspace)
        thread = None
        if workspace is not None and self._thread is not None:
            thread = await self._store.thread(workspace.id, self._thread)
        if workspace is None or thread is None:
            raise self._unknown(request, known=workspace is not None)
        return Found(workspace, thread)

    def _unknown(self, request: Request, *, known: bool) -> NotFound:
        """What its clients are told, in AnythingLLM's words and with its statuses."""
        told, status = f"Workspace {self._slug} is not a valid workspace.", 400
        if self._thread is not None and not request.stream:
            told = f"Thread {self._thread} not found." if known else f"Workspace {self._slug} not found."
            status = 404
        elif self._thread is not None:
            told = f"Workspace {self._slug} or thread {self._thread} is not valid."
        if request.dialect != ANYTHINGLLM:
            status = 404
        return NotFound(told, status=status, param="model", code="workspace_not_found")


def _is_for(header: Header, workspace: Workspace) -> bool:
    allowed = header.workspaces is None or workspace.slug in header.workspaces
    return allowed and workspace.owner == header.caller


class Visited:
    """A workspace through one of its embeds. Whether visitors may come in is asked before, at the door."""

    def __init__(self, store: WorkspaceStore, embeds: EmbedStore, uuid: str) -> None:
        self._store = store
        self._embeds = embeds
        self._uuid = uuid

    async def find(self, request: Request, header: Header) -> Found:
        """See :class:`Place`."""
        embed = await self._embeds.get(self._uuid)
        workspace = await self._store.by_id(embed.workspace) if embed is not None else None
        if embed is None or workspace is None or not _is_for(header, workspace):
            raise NotFound(f"there is no embed {self._uuid}", param="model", code="embed_not_found")
        return Found(workspace, embed=embed)
