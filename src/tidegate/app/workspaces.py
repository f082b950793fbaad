"""Makes what workspaces are answered with: their stores, their index, and whoever reads documents."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Final

from tidegate.app.clock import random_id
from tidegate.config import Config
from tidegate.core.clock import Clock
from tidegate.core.inner import Inner
from tidegate.core.source import Source
from tidegate.generation import Gateway
from tidegate.inner_calls import InnerCalls
from tidegate.sources.agent import Surroundings
from tidegate.sources.workspace import Shared, WorkspaceSource
from tidegate.sources.workspace_place import Named, Place, Visited
from tidegate.sources.workspace_tools import WorkspaceTools
from tidegate.store.chats import ChatStore
from tidegate.store.database import Database
from tidegate.store.documents import DocumentStore
from tidegate.store.embeds import EmbedStore
from tidegate.store.placements import PlacementStore
from tidegate.store.users import UserStore
from tidegate.store.workspaces import WorkspaceStore
from tidegate.workspaces.answer import Answers
from tidegate.workspaces.ingestion import Ingestion
from tidegate.workspaces.knowledge import DocumentKnowledge
from tidegate.workspaces.library import Library
from tidegate.workspaces.parsing.parser import Parser
from tidegate.workspaces.passages import SqlitePassages
from tidegate.workspaces.service import Rules, Workspaces

_PROTECTION: Final = "WORKSPACE_DELETION_PROTECTION"
"""AnythingLLM's variable: where it is set, no workspace can be deleted through the API."""


class WorkspaceParts:
    """All that one gateway's workspaces need, from its start to its end. ``applied`` tells the settings."""

    def __init__(
        self,
        database: Database,
        gateway: Gateway,
        inner: Inner,
        clock: Clock,
        environ: Mapping[str, str],
    ) -> None:
        self._settings = Config().workspaces
        self._clock = clock
        self._inner = inner
        self._models = InnerCalls(gateway, random_id)
        now_ms = clock.now_ms
        store, chats = WorkspaceStore(database, now_ms), ChatStore(database, now_ms)
        documents, placements = DocumentStore(database, now_ms), PlacementStore(database, now_ms)
        self._embeds = EmbedStore(database, now_ms)
        self._users = UserStore(database, now_ms)
        self._index = SqlitePassages(database)
        self._parser = Parser()
        self._knowledge = DocumentKnowledge(
            documents, placements, self._index, self._users, self._models, self._embedder
        )
        self._answers = Answers(chats, documents, placements, self._knowledge, self._parser.parse, now_ms)
        self._ingestion = Ingestion(
            store, documents, placements, self._index, self._models, self._embedder, self._sizes
        )
        self._library = Library(
            documents, placements, self._index, self._ingestion, self._parser.parse, clock
        )
        self.tools = WorkspaceTools(store, self._answers)
        self.service = Workspaces(
            store,
            chats,
            self._embeds,
            self._knowledge,
            self._library,
            self._users,
            Rules(protected=_PROTECTION in environ),
        )

    async def open(self, *, ingests: bool) -> Coroutine[None, None, None] | None:
        """Open the index; what is to run beside then, where ``ingests``. Raises StoreError."""
        await self._index.open()
        return self._ingestion.run() if ingests else None

    async def close(self) -> None:
        """Let go of processes and connections."""
        await self._parser.close()
        await self._index.close()

    def apply(self, config: Config) -> None:
        """Take settings, at start and at a reload."""
        self._settings = config.workspaces
        self._knowledge.reranker = config.workspaces.reranker
        self._library.private_links = config.workspaces.private_links
        self.service.rules.multi_user = config.workspaces.multi_user
        self._ingestion.wake()

    def source(self, surroundings: Surroundings, slug: str, thread: str | None) -> Source:
        """What answers from a workspace."""
        return self._source(Named(self.service.workspaces, slug, thread), surroundings)

    def visited(self, surroundings: Surroundings, uuid: str) -> Source:
        """What answers the visitors of an embed."""
        return self._source(Visited(self.service.workspaces, self._embeds, uuid), surroundings)

    def _source(self, place: Place, surroundings: Surroundings) -> Source:
        shared = Shared(self.service.chats, self._answers, self._inner, self._clock, self._settings.model)
        return WorkspaceSource(place, surroundings, shared)

    def _embedder(self) -> str | None:
        return self._models.embedder(self._settings.embedder)

    def _sizes(self) -> tuple[int, int]:
        return self._settings.passage, self._settings.overlap
