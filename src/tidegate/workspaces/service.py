"""What is needed to answer for workspaces: their stores, and what is known of the documents in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tidegate.store.chats import ChatStore
from tidegate.store.embeds import EmbedStore
from tidegate.store.workspaces import Workspace, WorkspaceStore
from tidegate.workspaces.document import Hit
from tidegate.workspaces.library import Library


class KnownDocument(Protocol):
    """A document as far as a passage's reader wants to know it.

    ``facts`` are url, title, docAuthor, description, docSource, chunkSource and published.
    """

    @property
    def id(self) -> str: ...

    @property
    def facts(self) -> Mapping[str, str]: ...

    @property
    def words(self) -> int: ...

    @property
    def tokens(self) -> int: ...


class Knowledge(Protocol):
    """The documents of workspaces and the passages that they were cut into. All raise StoreError."""

    async def documents_of(self, workspace: Workspace) -> Sequence[dict[str, Any]]:
        """The documents that a workspace answers from, each as AnythingLLM's object."""
        ...

    async def document(self, name: str) -> KnownDocument | None:
        """The document of this id."""
        ...

    async def passages(self, workspace: int) -> int:
        """How many passages can be found in a workspace."""
        ...

    async def search(
        self,
        workspace: Workspace,
        query: str,
        top: int,
        threshold: float,
        without: frozenset[str] = frozenset(),
    ) -> Sequence[Hit]:
        """The ``top`` best passages with a score of at least ``threshold``, the best first.

        Documents in ``without`` are not looked into.
        """
        ...

    async def drop(self, workspace: int) -> None:
        """Let go of the passages of a workspace that is gone."""
        ...

    async def knows_user(self, owner: str, user: int) -> bool:
        """Whether the owner has users, and this one among them."""
        ...


class NoKnowledge:
    """A :class:`Knowledge` of nothing: workspaces without documents or users."""

    async def documents_of(self, workspace: Workspace) -> Sequence[dict[str, Any]]:
        """See :class:`Knowledge`, as for all that follow."""
        return ()

    async def document(self, name: str) -> KnownDocument | None:
        return None

    async def passages(self, workspace: int) -> int:
        return 0

    async def search(
        self,
        workspace: Workspace,
        query: str,
        top: int,
        threshold: float,
        without: frozenset[str] = frozenset(),
    ) -> Sequence[Hit]:
        return ()

    async def drop(self, workspace: int) -> None:
        """There is nothing to let go of."""

    async def knows_user(self, owner: str, user: int) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Workspaces:
    """What requests about workspaces are answered with. ``protected``: none of them may be deleted."""

    workspaces: WorkspaceStore
    chats: ChatStore
    embeds: EmbedStore
    knowledge: Knowledge
    library: Library
    protected: bool = False
