"""Makes what requests about workspaces are answered with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tidegate.store.chats import ChatStore
from tidegate.store.database import Database
from tidegate.store.embeds import EmbedStore
from tidegate.store.workspaces import WorkspaceStore
from tidegate.workspaces.service import NoKnowledge, Workspaces

_PROTECTION: Final = "WORKSPACE_DELETION_PROTECTION"
"""AnythingLLM's variable: where it is set, no workspace can be deleted through the API."""


def workspaces_of(database: Database, now_ms: Callable[[], int], environ: Mapping[str, str]) -> Workspaces:
    """The stores of a database; ``now_ms`` is Unix time in ms."""
    return Workspaces(
        WorkspaceStore(database, now_ms),
        ChatStore(database, now_ms),
        EmbedStore(database, now_ms),
        NoKnowledge(),  # the one place where documents, passages and users are plugged in
        protected=_PROTECTION in environ,
    )
