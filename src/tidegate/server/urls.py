"""The URL table. Every path is written once, without its ``/v1``; auth is on unless listed as public.

The same endpoints answer with and without ``/v1`` and with doubled or trailing slashes, since clients
join base URLs and paths in every possible way.
"""

from __future__ import annotations

import re
from typing import Final

GENERATIONS: Final = {
    "/chat/completions": "openai-chat",
    "/responses": "openai-responses",
}
"""Path to the dialect that is served there. POST only; handled by the callback path of generate.py."""

EMBEDDINGS: Final = "/embeddings"
RERANK: Final = "/rerank"
ENGINE_EMBEDDINGS: Final = "/engines/{model:path}/embeddings"

CALLS: Final = {
    EMBEDDINGS: EMBEDDINGS,
    ENGINE_EMBEDDINGS: EMBEDDINGS,
    RERANK: RERANK,
    "/moderations": "/moderations",
    "/images/generations": "/images/generations",
    "/images/edits": "/images/edits",
    "/images/variations": "/images/variations",
    "/audio/speech": "/audio/speech",
    "/audio/transcriptions": "/audio/transcriptions",
    "/audio/translations": "/audio/translations",
}
"""Path to the one of an upstream that is asked there, below its base URL. POST only; see calls/."""

RESPONSE: Final = "/responses/{response_id}"
RESPONSE_CANCEL: Final = "/responses/{response_id}/cancel"
RESPONSE_INPUT: Final = "/responses/{response_id}/input_items"

FILES: Final = "/files"
FILES_SPLIT: Final = "/files/split"
FILE: Final = "/files/{file_id}"
FILE_CONTENT: Final = "/files/{file_id}/content"

MODELS: Final = "/models"
MODEL: Final = "/models/{model:path}"
HEALTH: Final = "/healthz"
READY: Final = "/readyz"
METRICS: Final = "/metrics"
DOCS: Final = "/docs"
OPENAPI: Final = "/openapi.json"
LANDING: Final = "/"

PUBLIC: Final = frozenset({HEALTH, READY, DOCS, OPENAPI, LANDING})
"""Paths that need no key: they tell nothing that is worth one."""

_SLASHES = re.compile("/{2,}")


def canonical(path: str) -> str:
    """The path as it stands in the table: single slashes, none at the end, no ``/v1``."""
    path = _SLASHES.sub("/", path)
    if path == "/v1" or path.startswith("/v1/"):
        path = path[3:]
    return path.rstrip("/") or "/"
