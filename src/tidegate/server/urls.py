"""The URL table. Every path is written once, without its ``/v1``; auth is on unless listed as public.

The same endpoints answer with and without ``/v1`` and with doubled or trailing slashes, since clients
join base URLs and paths in every possible way.
"""

from __future__ import annotations

import re
from typing import Final

GENERATIONS: Final = {"/chat/completions": "openai-chat", "/completions": "openai-completions"}
"""Path to the dialect that is served there. POST only; handled by the callback path of generate.py."""

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
