"""What is known of the documents of workspaces: which there are, and the passages that answer a question."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Final, Protocol

from tidegate.errors import InvalidRequest
from tidegate.store.documents import Document, DocumentStore
from tidegate.store.placements import Placement, PlacementStore
from tidegate.store.users import UserStore
from tidegate.store.workspaces import Workspace
from tidegate.workspaces.document import Hit
from tidegate.workspaces.embedding import embed_whole
from tidegate.workspaces.index import PassageIndex
from tidegate.workspaces.retrieval import search, searched
from tidegate.workspaces.settings import moment, read_settings
from tidegate.workspaces.words import query_words

_SEVERAL: Final = 2


class Models(Protocol):
    """Makes vectors of texts, and puts texts in order. Both raise TidegateError."""

    async def embed(
        self, owner: str, model: str, texts: Sequence[str], *, query: bool = False
    ) -> list[list[float]]: ...

    async def rerank(self, owner: str, model: str, query: str, texts: Sequence[str]) -> list[float]: ...


class DocumentKnowledge:
    """A :class:`tidegate.workspaces.service.Knowledge` of documents and their passages."""

    def __init__(
        self,
        documents: DocumentStore,
        placements: PlacementStore,
        index: PassageIndex,
        users: UserStore,
        models: Models,
        embedder: Callable[[], str | None],
    ) -> None:
        """``embedder`` tells which model makes vectors now."""
        self.reranker: str | None = None
        """The model that puts passages in order, for workspaces that want it."""
        self._documents = documents
        self._placements = placements
        self._index = index
        self._users = users
        self._models = models
        self._embedder = embedder

    async def documents_of(self, workspace: Workspace) -> Sequence[dict[str, Any]]:
        """See :class:`tidegate.workspaces.service.Knowledge`, as for all that follow."""
        return [document_object(*each) for each in await self._placements.of(workspace.id)]

    async def document(self, name: str) -> Document | None:
        return await self._documents.by_id(name)

    async def passages(self, workspace: int) -> int:
        return await self._index.count(workspace)

    async def search(
        self,
        workspace: Workspace,
        query: str,
        top: int,
        threshold: float,
        without: frozenset[str] = frozenset(),
    ) -> Sequence[Hit]:
        among = None
        if without:
            placed = await self._placements.of(workspace.id)
            among = frozenset(document.id for _, document in placed) - without
        owner, embedder, reranker = workspace.owner, workspace.embedder, self.reranker
        wants_order = read_settings(workspace.settings).vector_search_mode == "rerank"

        async def embed(texts: Sequence[str], is_query: bool) -> list[list[float]]:
            assert embedder is not None
            return await embed_whole(self._models, owner, embedder, texts, query=is_query)

        return await search(
            self._index,
            workspace.id,
            embedder,
            query,
            top=top,
            threshold=threshold,
            embed=embed,
            rerank=partial(self._models.rerank, owner, reranker) if reranker and wants_order else None,
            documents=among,
        )

    async def there(self, workspace: int, passages: Sequence[int]) -> Collection[int]:
        return {each.id for each in await self._index.passages(workspace, passages)}

    async def may_go_on(self, workspace: int, query: str) -> bool:
        query = searched(query)
        return len(set(query_words(query))) < _SEVERAL or bool(await self._index.lexical(workspace, query, 1))

    async def vectors(self, owner: str, texts: Sequence[str]) -> tuple[str, list[list[float]]]:
        embedder = self._embedder()
        if embedder is None:
            raise InvalidRequest(
                "no model makes vectors here; give one in tidegate.yaml: workspaces: {embedder: MODEL}",
                code="no_embedder",
            )
        return embedder, await self._models.embed(owner, embedder, texts)

    async def drop(self, workspace: int) -> None:
        await self._index.drop(workspace)

    async def knows_user(self, owner: str, user: int) -> bool:
        return await self._users.get(owner, user) is not None


def document_object(placement: Placement, document: Document) -> dict[str, Any]:
    """A document of a workspace as AnythingLLM tells it, and what has become of it here beside."""
    return {
        "id": placement.id,
        "docId": document.id,
        "filename": document.name,
        "docpath": document.location,
        "workspaceId": placement.workspace,
        "metadata": dict(document.facts),
        "pinned": placement.pinned,
        "watched": placement.watched,
        "createdAt": moment(placement.created_ms),
        "lastUpdatedAt": moment(placement.created_ms),
        "state": placement.state,
        "error": placement.error,
        "passages": placement.passages,
        "contentHash": document.content_hash,
    }
