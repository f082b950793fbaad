"""Has vectors made for the passages that lack them, a few of one workspace after a few of another.

So nobody's new document waits until a large workspace is embedded anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tidegate.errors import StoreError, TidegateError
from tidegate.store.placements import PlacementStore
from tidegate.store.workspaces import Workspace, WorkspaceStore
from tidegate.workspaces.embedding import embed_whole
from tidegate.workspaces.index import PassageIndex
from tidegate.workspaces.knowledge import Models
from tidegate.workspaces.vectors import packed, vectors_possible

logger = logging.getLogger("tidegate")

_NOTHING: Final = ""
"""No embedder is called so."""
_AT_ONCE: Final = 32
"""Passages that are embedded with one call, which is a workspace's turn."""
_AGAIN_SECONDS: Final = (1.0, 60.0)
"""When a model that failed is asked again for vectors, at first and at last: the pause doubles each time."""

Lacking = Sequence[tuple[int, str]]
"""Ids and texts of passages."""


class _Failure(NamedTuple):
    """When vectors are asked for again, after how many seconds, and what a document without them is told."""

    when: float
    pause: float
    told: str


class EmbeddingTurns:
    """Gets the vectors that passages lack. ``embedder`` tells which model makes them, None being none."""

    def __init__(
        self,
        workspaces: WorkspaceStore,
        placements: PlacementStore,
        index: PassageIndex,
        models: Models,
        embedder: Callable[[], str | None],
    ) -> None:
        self._workspaces = workspaces
        self._placements = placements
        self._index = index
        self._models = models
        self._embedder = embedder
        self._lacking: set[int] = set()
        """Workspaces that may have passages without vectors."""
        self._looked_for: str | None = _NOTHING
        """The embedder whose vectors all workspaces were looked at for."""
        self._failed: dict[int, _Failure] = {}
        """Workspaces whose vectors could not be made the last time."""
        self._after: dict[int, int] = {}
        """Up to which passage a workspace lacks none: what is put in later has a higher number."""

    def lacks(self, workspace: int) -> None:
        """Passages of it may have no vectors."""
        self._lacking.add(workspace)

    async def take(self) -> None:
        """Give turns until no workspace lacks vectors that can be made now. Raises StoreError."""
        while self._lacking or self._embedder() != self._looked_for or self._due():
            await self._round()

    async def _round(self) -> None:
        """A turn for each workspace that may lack vectors; for all of them, for another embedder."""
        embedder = self._embedder()
        if embedder == self._looked_for:
            chosen = self._lacking | self._due()
        else:
            chosen = {each.id for each in await self._workspaces.every()}
            self._failed.clear()
            self._after.clear()
            await self._placements.forget_problems()
        self._lacking, self._looked_for = set(), _NOTHING
        for number in sorted(chosen):
            workspace = await self._workspaces.by_id(number)
            if workspace is None:
                self._failed.pop(number, None)
                self._after.pop(number, None)
            elif embedder is not None and vectors_possible() and not await self._turn(workspace, embedder):
                self._lacking.add(number)
        self._looked_for = embedder  # and after a failure of the store, all are looked at

    async def _turn(self, workspace: Workspace, embedder: str) -> bool:
        """Get some of the vectors that a workspace lacks; whether there is nothing more to be done now."""
        after = self._after.get(workspace.id, 0)
        lacking = await self._index.without_vectors(workspace.id, embedder, _AT_ONCE, after)
        failure = self._failed.get(workspace.id)
        if lacking and failure is not None and failure.when > self._now():
            await self._note(workspace, lacking, failure.told)  # at documents that came since then, too
            return True
        if lacking:
            try:
                numbers = [number for number, _ in lacking]
                texts = [text for _, text in lacking]
                found = await embed_whole(self._models, workspace.owner, embedder, texts)
                vectors = await asyncio.to_thread(_packed, numbers, found)
            except StoreError:
                raise
            except Exception as error:  # the others have their turns; it is not asked each second
                await self._put_off(workspace, lacking, error)
                return True
            await self._index.add_vectors(workspace.id, embedder, vectors)
            self._after[workspace.id] = numbers[-1]
        if len(lacking) == _AT_ONCE:
            return False
        await self._complete(workspace, embedder)
        return True

    async def _complete(self, workspace: Workspace, embedder: str) -> None:
        """All vectors of a workspace are there: they are the ones to search."""
        self._failed.pop(workspace.id, None)
        await self._placements.forget_problems(workspace.id)
        if workspace.embedder != embedder and await self._index.count(workspace.id):
            await self._workspaces.update(workspace.id, embedder=embedder)
            await self._index.forget_vectors(workspace.id, embedder)

    def _due(self) -> set[int]:
        """The workspaces whose vectors are to be asked for again."""
        now = self._now()
        return {number for number, failure in self._failed.items() if failure.when <= now}

    async def _put_off(self, workspace: Workspace, lacking: Lacking, error: Exception) -> None:
        """Ask for a workspace's vectors later, and tell who waits for them, in other processes too."""
        first, last = _AGAIN_SECONDS
        before = self._failed.get(workspace.id)
        pause = first if before is None else min(2 * before.pause, last)
        problem = error.message if isinstance(error, TidegateError) else repr(error)
        failure = _Failure(self._now() + pause, pause, f"it has no vectors yet: {problem}")
        self._failed[workspace.id] = failure
        if before is None:  # and not again each time
            logger.warning("workspace %s has no vectors yet: %s", workspace.slug, problem)
        await self._note(workspace, lacking, failure.told)

    async def _note(self, workspace: Workspace, lacking: Lacking, told: str) -> None:
        placed = await self._index.passages(workspace.id, [number for number, _ in lacking])
        await self._placements.note_problem(workspace.id, told, {each.document for each in placed})

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _packed(numbers: Sequence[int], vectors: Sequence[Sequence[float]]) -> list[tuple[int, bytes]]:
    return [(number, packed(vector)) for number, vector in zip(numbers, vectors, strict=True)]
