"""What is needed to answer for workspaces: their stores, and what is known of the documents in them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tidegate.store.chats import ChatStore
from tidegate.store.embeds import EmbedStore
from tidegate.store.users import UserStore
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

    async def there(self, workspace: int, passages: Sequence[int]) -> Collection[int]:
        """Those of some passages that the workspace still has."""
        ...

    async def may_go_on(self, workspace: int, query: str) -> bool:
        """Whether a question for which nothing was found can be about what was found before.

        One of several words, none of which is in any document, is about something else.
        """
        ...

    async def vectors(self, owner: str, texts: Sequence[str]) -> tuple[str, list[list[float]]]:
        """The model that makes vectors, and those of some texts. Raises TidegateError."""
        ...

    async def drop(self, workspace: int) -> None:
        """Let go of the passages of a workspace that is gone."""
        ...

    async def knows_user(self, owner: str, user: int) -> bool:
        """Whether the owner has users, and this one among them."""
        ...


@dataclass(slots=True)
class Rules:
    """What the operator has decided, and may decide anew. ``protected``: no workspace may be deleted;
    ``multi_user``: users are kept.
    """

    protected: bool = False
    multi_user: bool = False


@dataclass(frozen=True, slots=True)
class Workspaces:
    """What requests about workspaces are answered with."""

    workspaces: WorkspaceStore
    chats: ChatStore
    embeds: EmbedStore
    knowledge: Knowledge
    library: Library
    users: UserStore
    rules: Rules
