"""Cuts documents into passages and has these embedded, beside everything else the gateway does.

What there is to do stands in the store, so a killed process goes on where it was, and any process may put
documents in; one of them does the work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Final

from tidegate.errors import StoreError, TidegateError
from tidegate.store.documents import DocumentStore
from tidegate.store.placements import Placement, PlacementStore
from tidegate.store.workspaces import WorkspaceStore
from tidegate.workspaces.cutting import cut
from tidegate.workspaces.document import Entry, Page
from tidegate.workspaces.index import PassageIndex
from tidegate.workspaces.knowledge import Models
from tidegate.workspaces.turns import EmbeddingTurns
from tidegate.workspaces.vectors import vectors_possible

logger = logging.getLogger("tidegate")

_LOOK_SECONDS: Final = 1.0
"""How often the store is asked what other processes have put in."""
_SETTLE_SECONDS: Final = 0.05
_STALLED_SECONDS: Final = 30.0
"""So long vectors are waited for of which none comes."""

_UNREADABLE: Final = (
    "the document cannot be cut into passages ({}); send it again, the gateway's log says more"
)

Work = Callable[[], Awaitable[None]]
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
        self._embedder = embedder
        self._sizes = sizes
        self._documents_came = asyncio.Event()
        self._passages_came = asyncio.Event()
        self._turns = EmbeddingTurns(workspaces, placements, index, models, embedder)

    def wake(self) -> None:
        """There is something to do."""
        self._documents_came.set()
        self._passages_came.set()

    async def run(self) -> None:
        """Work for as long as the gateway runs. Documents do not wait for the vectors of others."""
        await self._until_done(self._tidy)
        await asyncio.gather(
            self._for_ever(self._ingest_all, self._documents_came),
            self._for_ever(self._turns.take, self._passages_came),
        )

    async def _for_ever(self, work: Work, news: asyncio.Event) -> None:
        while True:
            news.clear()
            await self._until_done(work)
            # No wait_for(): it forgets a cancellation that comes together with what it waits for.
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await news.wait()

    async def _until_done(self, work: Work) -> None:
        """Do this, again and again while something keeps it from being done."""
        told = ""
        while True:
            try:
                return await work()
            except Exception as error:  # a defect must not end it: everybody would wait for ever
                known = isinstance(error, TidegateError)
                problem = error.message if isinstance(error, TidegateError) else repr(error)
                if problem != told:  # and not again each second
                    logger.error("documents wait: %s", problem, exc_info=not known)
                told = problem
            await asyncio.sleep(_LOOK_SECONDS)

    async def settle(self, workspace: int, documents: Collection[str] | None = None) -> None:
        """Wait until documents of a workspace, or all, are indexed, or were found not to be indexable."""
        self.wake()
        while await self._placements.waits(workspace, documents):  # noqa: ASYNC110 - maybe another's work
            await asyncio.sleep(_SETTLE_SECONDS)
        had, since = -1, 0.0
        while (embedder := self._embedder()) is not None and vectors_possible():
            if await self._placements.has_problem(workspace):
                return
            has, now = await self._index.vector_count(workspace, embedder), asyncio.get_running_loop().time()
            if await self._has_vectors(workspace, embedder, has):
                return
            if has != had:
                had, since = has, now
            elif now - since > _STALLED_SECONDS:  # the process that does the work hangs
                return
            await asyncio.sleep(_SETTLE_SECONDS)

    async def _has_vectors(self, workspace: int, embedder: str, has: int) -> bool:
        """Whether nobody need wait for a workspace's vectors, of which there are so many."""
        known = await self._workspaces.by_id(workspace)
        if known is None or known.embedder not in (None, embedder):
            return True  # all are embedded anew, which may take hours
        count = await self._index.count(workspace)
        # To look for those that lack them takes several times as long as to count.
        if has < count or await self._index.without_vectors(workspace, embedder, 1):
            return False
        return known.embedder == embedder or not count

    async def take_out(self, workspace: int, document: str) -> None:
        """Have a workspace answer from a document no more. Raises StoreError."""
        await self._placements.displace(workspace, document)
        await self._index.remove(workspace, document)

    async def _tidy(self) -> None:
        """Take out what a killed process left: passages whose document or workspace is gone."""
        await self._index.tidy()
        there = {each.id for each in await self._workspaces.every()}
        documents: dict[int, set[str]] = {}
        for workspace, document in await self._index.placed():
            if workspace not in there:
                await self._index.drop(workspace)
                continue
            if workspace not in documents:
                documents[workspace] = await self._documents_of(workspace)
            if document not in documents[workspace]:
                await self._index.remove(workspace, document)

    async def _ingest_all(self) -> None:
        """Put in all documents that wait."""
        while (waiting := await self._placements.next_waiting()) is not None:
            await self._ingest(*waiting)
            self._turns.lacks(waiting[0].workspace)
            self._passages_came.set()

    async def _ingest(self, placement: Placement, content_hash: str) -> None:
        """Put one document in. A replacement that comes meanwhile makes it wait again."""
        try:
            pages = await self._documents.pages(placement.document)
            entries = await asyncio.to_thread(_cut, pages, *self._sizes())
            await self._index.put(placement.workspace, placement.document, entries)
        except StoreError:
            raise
        except Exception as error:  # one document must not keep all others waiting
            if isinstance(error, TidegateError):
                told = error.message
            else:
                logger.exception("the document %s was not put in", placement.document)
                told = _UNREADABLE.format(type(error).__name__)
            # What it was before its replacement is not to be found under its name.
            await self._index.remove(placement.workspace, placement.document)
            await self._placements.settle(placement, content_hash, error=told)
            return
        kept = await self._placements.settle(placement, content_hash, passages=len(entries))
        if kept:
            return
        if await self._workspaces.by_id(placement.workspace) is None:  # its table was made anew
            await self._index.drop(placement.workspace)
        elif placement.document not in await self._documents_of(placement.workspace):
            await self._index.remove(placement.workspace, placement.document)

    async def _documents_of(self, workspace: int) -> set[str]:
        return {document.id for _, document in await self._placements.of(workspace)}


def _cut(pages: Sequence[tuple[int | None, str]], size: int, overlap: int) -> list[Entry]:
    return cut([Page(text, number) for number, text in pages], size, overlap)
