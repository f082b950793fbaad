"""The paths of AnythingLLM's developer API that are no generations, and which of them need no key."""

from __future__ import annotations

import re
from typing import Final

PING: Final = "/api/ping"
DOCS: Final = "/api/docs"
"""Where AnythingLLM shows its own API; here that is the page of ours."""
AUTH: Final = "/api/v1/auth"
ENV_DUMP: Final = "/api/v1/system/env-dump"
EXPORT_CHATS: Final = "/api/v1/system/export-chats"
WORKSPACE_CHATS: Final = "/api/v1/admin/workspace-chats"

WORKSPACES: Final = "/api/v1/workspaces"
WORKSPACE_NEW: Final = "/api/v1/workspace/new"
WORKSPACE: Final = "/api/v1/workspace/{slug}"
WORKSPACE_UPDATE: Final = f"{WORKSPACE}/update"
CHATS: Final = f"{WORKSPACE}/chats"
VECTOR_SEARCH: Final = f"{WORKSPACE}/vector-search"

THREAD_NEW: Final = f"{WORKSPACE}/thread/new"
THREAD: Final = f"{WORKSPACE}/thread/{{thread}}"
THREAD_UPDATE: Final = f"{THREAD}/update"
THREAD_CHATS: Final = f"{THREAD}/chats"

OPENAI_MODELS: Final = "/api/v1/openai/models"
OPENAI_EMBEDDINGS: Final = "/api/v1/openai/embeddings"
VECTOR_STORES: Final = "/api/v1/openai/vector_stores"

EMBEDS: Final = "/api/v1/embed"
EMBED_NEW: Final = f"{EMBEDS}/new"
EMBED: Final = f"{EMBEDS}/{{embed}}"
EMBED_CHATS: Final = f"{EMBED}/chats"
EMBED_SESSION_CHATS: Final = f"{EMBED_CHATS}/{{session}}"

EMBED_SESSION: Final = "/api/embed/{embed}/{session}"
"""Where a visitor of a web page finds what was said before, without a key."""

_PUBLIC: Final = frozenset({PING, DOCS, ENV_DUMP})
_PUBLIC_SESSION: Final = re.compile("/api/embed/[^/]+/[^/]+")


def is_public(path: str) -> bool:
    """Whether a canonical path needs no key."""
    return path in _PUBLIC or _PUBLIC_SESSION.fullmatch(path) is not None
