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
from tidegate.store.workspaces import Workspace, WorkspaceStore
from tidegate.workspaces.cutting import cut
from tidegate.workspaces.document import Entry, Page
from tidegate.workspaces.embedding import embed_whole
from tidegate.workspaces.index import PassageIndex
from tidegate.workspaces.knowledge import Models
from tidegate.workspaces.vectors import packed, vectors_possible

logger = logging.getLogger("tidegate")

_LOOK_SECONDS: Final = 1.0
"""How often the store is asked what other processes have put in."""
_SETTLE_SECONDS: Final = 0.05
_NOTHING: Final = ""
"""No embedder is called so."""
_AT_ONCE: Final = 32
"""Passages that are embedded with one call."""
_AGAIN_SECONDS: Final = (1.0, 60.0)
"""When a model that failed is asked again for vectors, at first and at last: the pause doubles each time."""
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
        self._models = models
        self._embedder = embedder
        self._sizes = sizes
        self._documents_came = asyncio.Event()
        self._passages_came = asyncio.Event()
        self._lacking: set[int] = set()
        """Workspaces that may have passages without vectors."""
        self._looked_for: str | None = _NOTHING
        """The embedder whose vectors all workspaces were looked at for."""
        self._failed: dict[int, tuple[float, float]] = {}
        """Workspaces without all their vectors: when they are looked at again, and after how many seconds."""

    def wake(self) -> None:
        """There is something to do."""
        self._documents_came.set()
        self._passages_came.set()

    async def run(self) -> None:
        """Work for as long as the gateway runs. Documents do not wait for the vectors of others."""
        await self._until_done(self._tidy)
        await asyncio.gather(
            self._for_ever(self._ingest_all, self._documents_came),
            self._for_ever(self._embed_what_lacks, self._passages_came),
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
        while (embedder := self._wants_vectors(workspace)) is not None:
            if await self._has_vectors(workspace, embedder):
                return
            has, now = await self._index.vector_count(workspace, embedder), self._now()
            if has != had:
                had, since = has, now
            elif now - since > _STALLED_SECONDS:  # another process does the work, and cannot
                return
            await asyncio.sleep(_SETTLE_SECONDS)

    async def _has_vectors(self, workspace: int, embedder: str) -> bool:
        """Whether nobody need wait for a workspace's vectors."""
        known = await self._workspaces.by_id(workspace)
        if known is None or known.embedder not in (None, embedder):
            return True  # all are embedded anew, which may take hours
        if await self._index.without_vectors(workspace, embedder, 1):
            return False
        return known.embedder == embedder or not await self._index.count(workspace)

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

    async def _embed_what_lacks(self) -> None:
        while self._lacking or self._embedder() != self._looked_for or self._is_due():
            await self._embed_all()

    async def _embed_all(self) -> None:
        """Look at the workspaces that may lack vectors: at all of them, for another embedder."""
        embedder = self._embedder()
        every = {each.id: each for each in await self._workspaces.every()}
        if embedder is None or embedder != self._looked_for:
            self._failed.clear()
            chosen = set(every)
        else:
            chosen = self._lacking | self._failed.keys()
        for gone in self._failed.keys() - every.keys():
            del self._failed[gone]
        self._lacking, self._looked_for = set(), _NOTHING
        for number in sorted(chosen & every.keys()):
            await self._embed(every[number])
        self._looked_for = embedder  # and after a failure of the store, all are looked at

    def _is_due(self) -> bool:
        now = self._now()
        return any(when <= now for when, _ in self._failed.values())

    async def _ingest_all(self) -> None:
        """Put in all documents that wait."""
        while (waiting := await self._placements.next_waiting()) is not None:
            await self._ingest(*waiting)
            self._lacking.add(waiting[0].workspace)
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

    async def _embed(self, workspace: Workspace) -> None:
        """Get the vectors that a workspace lacks; when all are there, they are the ones to search."""
        embedder = self._embedder()
        if embedder is None or not vectors_possible() or not self._may_try(workspace.id):
            return
        after = 0
        while lacking := await self._index.without_vectors(workspace.id, embedder, _AT_ONCE, after):
            numbers = [number for number, _ in lacking]
            try:
                texts = [text for _, text in lacking]
                found = await embed_whole(self._models, workspace.owner, embedder, texts)
                vectors = await asyncio.to_thread(_packed, numbers, found)
            except StoreError:
                raise
            except Exception as error:  # the other workspaces have their turn; it is not asked each second
                self._put_off(workspace, error)
                return
            await self._index.add_vectors(workspace.id, embedder, vectors)
            after = numbers[-1]
        self._failed.pop(workspace.id, None)
        if workspace.embedder != embedder and await self._index.count(workspace.id):
            await self._workspaces.update(workspace.id, embedder=embedder)
            await self._index.forget_vectors(workspace.id, embedder)

    def _may_try(self, workspace: int) -> bool:
        return workspace not in self._failed or self._failed[workspace][0] <= self._now()

    def _put_off(self, workspace: Workspace, error: Exception) -> None:
        """Ask for a workspace's vectors later."""
        first, last = _AGAIN_SECONDS
        pause = min(2 * self._failed[workspace.id][1], last) if workspace.id in self._failed else first
        self._failed[workspace.id] = self._now() + pause, pause
        if pause == first:  # and not again each time
            problem = error.message if isinstance(error, TidegateError) else repr(error)
            logger.warning("workspace %s has no vectors yet: %s", workspace.slug, problem)

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
