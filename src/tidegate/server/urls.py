"""The URL table. Every path is written once, without its ``/v1``; auth is on unless listed as public.

The same endpoints answer with and without ``/v1`` and with doubled or trailing slashes, since clients
join base URLs and paths in every possible way.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs, unquote

GENERATIONS: Final = {
    "/chat/completions": "openai-chat",
    "/completions": "openai-completions",
    "/responses": "openai-responses",
    "/messages": "anthropic-messages",
}
"""Path to the dialect that is served there. POST only; handled by the callback path of generate.py."""

COUNT_TOKENS: Final = "/messages/count_tokens"
METHODS: Final = re.compile(r"(?:/v1beta|/v1alpha)?/models/[^?]+:(?:streamG|g)enerateContent")
"""Google's paths, which name the model and then what is asked of it, where ``gemini`` is served."""
GOOGLE_POSTS: Final = tuple(
    f"{version}/models/{{model:path}}:{verb}"
    for version in ("", "/v1beta", "/v1alpha")
    for verb in ("generateContent", "streamGenerateContent", "countTokens")
)
"""What is asked there with POST alone, as routes for other methods."""
OPENAI_OF_WORKSPACES: Final = re.compile("/api/v1/openai/chat/completions")
"""Where AnythingLLM's clients ask workspaces in OpenAI's words."""
CHATS: Final = re.compile(
    "/api/v1/workspace/[^/]+(?:/thread/[^/]+)?/(?:stream-)?chat|/api/embed/[^/]+/stream-chat"
)
"""AnythingLLM's paths, which name the workspace that is asked, where ``anythingllm`` is served."""
CHAT_POSTS: Final = (
    "/api/v1/workspace/{slug}/chat",
    "/api/v1/workspace/{slug}/stream-chat",
    "/api/v1/workspace/{slug}/thread/{thread}/chat",
    "/api/v1/workspace/{slug}/thread/{thread}/stream-chat",
    "/api/embed/{uuid}/stream-chat",
    "/api/v1/openai/chat/completions",
)
"""The same as routes for other methods."""
SERVED: Final = frozenset({*GENERATIONS.values(), "gemini", "anythingllm"})
"""The dialects that callers may speak."""

GOOGLE_MODELS: Final = ("/v1beta/models", "/v1alpha/models")
"""Where the models are listed in Google's form, and below it each of them."""
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

CALLS_OF_WORKSPACES: Final = {"/api/v1/openai/images/generations": "/images/generations"}
"""The same for AnythingLLM's clients."""

RESPONSE: Final = "/responses/{response_id}"
RESPONSE_CANCEL: Final = "/responses/{response_id}/cancel"
RESPONSE_INPUT: Final = "/responses/{response_id}/input_items"

STREAMS: Final = "/streams"
STREAM: Final = "/streams/{stream_id}"
STREAM_INPUT: Final = "/streams/{stream_id}/input"
STREAM_PATHS: Final = re.compile("/streams/([^/]+)")
RESPONSE_PATHS: Final = re.compile("/responses/([^/]+)")
"""Paths that a stream may be read at, of a response where the query says ``stream=true``."""

FILES: Final = "/files"
FILES_SPLIT: Final = "/files/split"
FILE: Final = "/files/{file_id}"
FILE_CONTENT: Final = "/files/{file_id}/content"

DOWNLOAD: Final = "/download/{file_id}/{name}"
DOWNLOAD_BY_ID: Final = "/download/{file_id}"

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
_ENCODED_SLASH: Final = re.compile("%2f", re.IGNORECASE)


def dialect_of(path: str) -> str:
    """The dialect in whose words errors of a canonical path are told."""
    if path.startswith("/messages"):
        return "anthropic-messages"
    if path.startswith("/api/"):
        return "anythingllm"
    of_google = path.startswith(("/v1beta", "/v1alpha")) or METHODS.fullmatch(path)
    return "gemini" if of_google else "openai-chat"


def generation_at(target: str) -> tuple[str, str] | None:
    """The dialect that is served at a request target, and the path that it is to see; None where none is.

    Of Google's paths the query says how to answer, so it stays there.
    """
    target = _without_host(target)
    path = target.partition("?")[0]
    plain = canonical(path)
    dialect = GENERATIONS.get(plain)
    if dialect is not None:
        return dialect, path
    if OPENAI_OF_WORKSPACES.fullmatch(plain):
        return "openai-chat", plain
    if plain.startswith("/api/"):
        return ("anythingllm", plain) if CHATS.fullmatch(plain) else None
    return ("gemini", target) if ":" in plain and METHODS.fullmatch(plain) else None


def stream_at(target: str) -> tuple[str, str] | None:
    """The dialect in which errors are told at a target where a stream is read, and the target; else None."""
    if "/streams/" not in target and "/responses/" not in target:
        return None
    target = _without_host(target)
    path, _, query = target.partition("?")
    plain = canonical(path)
    if STREAM_PATHS.fullmatch(plain):
        return dialect_of(plain), target
    streamed = RESPONSE_PATHS.fullmatch(plain) and parse_qs(query).get("stream", [""])[-1] == "true"
    return (dialect_of(plain), target) if streamed else None


def _without_host(target: str) -> str:
    if "://" in target and not target.startswith("/"):  # as one writes to a proxy (RFC 9112 section 3.2.2)
        return "/" + target.partition("://")[2].partition("/")[2]
    return target


def routed(path: str, raw: str) -> str:
    """The canonical path that is looked up in the table; ``raw`` is what ``path`` was decoded from.

    Below ``/api`` clients encode the names that they put into paths, and whoever chose a name is not to
    choose another route by a slash in it. Documents are named by paths there, in either form.
    """
    plain = canonical(path)
    by_location = plain.startswith("/api/v1/document/")
    if by_location or not plain.startswith("/api/") or not _ENCODED_SLASH.search(raw):
        return plain
    return canonical("/".join(unquote(step).replace("/", "%2F") for step in raw.split("/")))


def canonical(path: str) -> str:
    """The path as it stands in the table: single slashes, none at the end, no ``/v1``."""
    path = _SLASHES.sub("/", path)
    if path == "/v1" or path.startswith("/v1/"):
        path = path[3:]
    return path.rstrip("/") or "/"
