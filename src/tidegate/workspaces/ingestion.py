"""Cuts documents into passages and has these embedded, beside everything else the gateway does.

What there is to do stands in the store, so a killed process goes on where it was, and any process may put
documents in; one of them does the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Final

from tidegate.errors import StoreError, TidegateError
from tidegate.store.documents import DocumentStore
from tidegate.store.placements import Placement, PlacementStore
from tidegate.store.workspaces import Workspace, WorkspaceStore
from tidegate.workspaces.cutting import cut
from tidegate.workspaces.document import Entry, Page
from tidegate.workspaces.index import PassageIndex
from tidegate.workspaces.knowledge import Models
from tidegate.workspaces.vectors import packed, vectors_possible

logger = logging.getLogger("tidegate")

_LOOK_SECONDS: Final = 1.0
"""How often the store is asked what other processes have put in."""
_SETTLE_SECONDS: Final = 0.05
_AT_ONCE: Final = 32
"""Passages that are embedded with one call."""
_AGAIN_SECONDS: Final = 30.0
"""When a model that failed is asked again for vectors."""
_STALLED_SECONDS: Final = 30.0
"""So long vectors are waited for of which none comes."""

Sizes = Callable[[], tuple[int, int]]
"""Characters of a passage, and of what it may repeat."""


class Ingestion:
    """Does what is to be done for documents that were placed in workspaces, one after another.

    ``embedder`` tells which model makes vectors, None being none: then words alone are searched.
    """

    def __init__(
        self,
        workspaces: WorkspaceStore,
        documents: DocumentStore,
        placements: PlacementStore,
        index: PassageIndex,
        models: Models,
        embedder: Callable[[], str | None],
        sizes: Sizes,
    ) -> None:
        self._workspaces = workspaces
        self._documents = documents
        self._placements = placements
        self._index = index
        self._models = models
        self._embedder = embedder
        self._sizes = sizes
        self._news = asyncio.Event()
        self._looked_for: str | None = None
        self._looked_at = 0.0
        self._failed: dict[int, float] = {}
        """Workspaces without all their vectors, and when they are looked at again."""

    def wake(self) -> None:
        """There is something to do."""
        self._news.set()

    async def run(self) -> None:
        """Work for as long as the gateway runs."""
        told = ""
        while True:
            try:
                await self._work()
                told = ""
            except TidegateError as error:
                if error.message != told:  # and not again each second
                    logger.error("documents wait: %s", error.message)
                told = error.message
            self._news.clear()
            # No wait_for(): it forgets a cancellation that comes together with what it waits for.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._news.wait()

    async def settle(self, workspace: int) -> None:
        """Wait until every document of a workspace is indexed, or was found not to be indexable."""
        self.wake()
        while (await self._placements.progress(workspace)).waiting:  # noqa: ASYNC110 - maybe another's work
            await asyncio.sleep(_SETTLE_SECONDS)
        had, since = -1, 0.0
        while (embedder := self._wants_vectors(workspace)) is not None:
            if not await self._index.without_vectors(workspace, embedder, 1):
                return
            has, now = await self._index.vector_count(workspace, embedder), self._now()
            if has != had:
                had, since = has, now
            elif now - since > _STALLED_SECONDS:  # another process does the work, and cannot
                return
            await asyncio.sleep(_SETTLE_SECONDS)

    async def take_out(self, workspace: int, document: str) -> None:
        """Have a workspace answer from a document no more. Raises StoreError."""
        await self._placements.displace(workspace, document)
        await self._index.remove(workspace, document)

    async def _work(self) -> None:
        worked = False
        while (waiting := await self._placements.next_waiting()) is not None:
            await self._ingest(*waiting)
            worked = True
        embedder = self._embedder()
        if worked or embedder != self._looked_for or self._now() - self._looked_at > _AGAIN_SECONDS:
            for workspace in await self._workspaces.every():
                await self._embed(workspace)
            self._looked_for, self._looked_at = embedder, self._now()

    async def _ingest(self, placement: Placement, content_hash: str) -> None:
        """Put one document in. A replacement that comes meanwhile makes it wait again."""
        pages = await self._documents.pages(placement.document)
        entries = await asyncio.to_thread(_cut, pages, *self._sizes())
        try:
            await self._index.put(placement.workspace, placement.document, entries)
        except StoreError:
            raise
        except TidegateError as error:
            await self._placements.settle(placement, content_hash, error=error.message)
            return
        kept = await self._placements.settle(placement, content_hash, passages=len(entries))
        if not kept and placement.document not in await self._documents_of(placement.workspace):
            await self._index.remove(placement.workspace, placement.document)

    async def _documents_of(self, workspace: int) -> set[str]:
        return {document.id for _, document in await self._placements.of(workspace)}

    async def _embed(self, workspace: Workspace) -> None:
        """Get the vectors that a workspace lacks; when all are there, they are the ones to search."""
        embedder = self._embedder()
        now = self._now()
        if embedder is None or not vectors_possible() or self._failed.get(workspace.id, 0.0) > now:
            return
        after = 0
        while lacking := await self._index.without_vectors(workspace.id, embedder, _AT_ONCE, after):
            try:
                found = await self._models.embed(workspace.owner, embedder, [text for _, text in lacking])
            except StoreError:
                raise
            except TidegateError as error:
                self._failed[workspace.id] = now + _AGAIN_SECONDS
                logger.warning("workspace %s has no vectors yet: %s", workspace.slug, error.message)
                return
            numbers = [number for number, _ in lacking]
            vectors = await asyncio.to_thread(_packed, numbers, found)
            await self._index.add_vectors(workspace.id, embedder, vectors)
            after = numbers[-1]
        self._failed.pop(workspace.id, None)
        if workspace.embedder != embedder and await self._index.count(workspace.id):
            await self._workspaces.update(workspace.id, embedder=embedder)
            await self._index.forget_vectors(workspace.id, embedder)

    def _wants_vectors(self, workspace: int) -> str | None:
        """The model whose vectors are on their way."""
        embedder = self._embedder()
        return embedder if vectors_possible() and workspace not in self._failed else None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _cut(pages: Sequence[tuple[int | None, str]], size: int, overlap: int) -> list[Entry]:
    return cut([Page(text, number) for number, text in pages], size, overlap)


def _packed(numbers: Sequence[int], vectors: Sequence[Sequence[float]]) -> list[tuple[int, bytes]]:
    return [(number, packed(vector)) for number, vector in zip(numbers, vectors, strict=True)]
