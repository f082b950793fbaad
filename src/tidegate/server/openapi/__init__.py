"""Owns the OpenAPI document: what this server answers, for people and for programs that read such documents.

Written by hand in small pieces, because most of what matters here (streams, headers, who is let in) is not
in any type; ``tests/docs/test_openapi.py`` holds it against the running server.
"""

from __future__ import annotations

from typing import Any

from tidegate import __version__
from tidegate.server import urls
from tidegate.server.openapi import (
    anythingllm,
    beside,
    chat,
    chunk,
    completion,
    google,
    legacy,
    message,
    messages,
    responses,
    service,
    shared,
    streams,
)

VERSIONED = "/v1"

_DESCRIPTION = """\
A streaming gateway for language models: one address for hosted providers, local servers and local model \
files.

**Paths.** Every path is served with and without `/v1` and with doubled or trailing slashes; none is \
redirected. It stands here once, in the form that clients use.

**Keys.** Open by default on loopback: no key is asked for, and any key that is sent is ignored. Then both \
`Host` and, where a browser sends one, `Origin` must name this machine, on every path. With \
a key in the store (`tidegate keys create`), in `TIDEGATE_API_KEYS` or in `auth.list`, every path asks for \
one but `/`, `/docs`, `/openapi.json`, `/healthz` and `/readyz`, and those below `/api` that say so here. A \
key may be for some models alone.

**Errors** are OpenAI's envelope, `{"error": {"message", "type", "param", "code"}}`, and Anthropic's below \
`/v1/messages` and at `/v1/models` with an `anthropic-version` header, Google's on Google's paths, and \
AnythingLLM's below `/api`. Beside what is listed, every path answers 405 with `Allow` to a method that it \
does not have, 400 to what is not HTTP/1.1, 408 to a request that does not arrive whole in \
`server.body_timeout` (30 s), 413 to a body over `server.max_body` (32 MiB), 431 to a head over 64 KiB and \
503 while the store cannot be read or written.

**CORS.** A preflight is answered with 204 for an origin that may call and 403 for one that may not. While \
access is open, only pages of this machine may; with keys, the origins of `server.cors` (`*` by default)."""


def document() -> dict[str, Any]:
    """The document, as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0)."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tidegate",
            "version": __version__,
            "summary": "A streaming gateway for language models that never loses a token.",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "this server"}],
        "tags": [
            {"name": "generation", "description": "Ask a model."},
            *streams.TAGS,
            *beside.TAGS,
            google.TAG,
            *anythingllm.TAGS,
            {"name": "models", "description": "What can be asked."},
            {"name": "operation", "description": "Watch the gateway."},
            {"name": "pages", "description": "For people."},
        ],
        "security": [{name: []} for name in shared.security_schemes()] + [{}],
        "paths": _paths(),
        "components": {
            "schemas": {
                **message.schemas(),
                **chat.schemas(),
                **completion.schemas(),
                **chunk.schemas(),
                **messages.schemas(),
                **legacy.schemas(),
                **responses.schemas(),
                **beside.schemas(),
                **google.schemas(),
                **anythingllm.schemas(),
                **streams.schemas(),
                **service.schemas(),
                **shared.schemas(),
            },
            "responses": shared.responses(),
            "headers": shared.headers(),
            "securitySchemes": shared.security_schemes(),
        },
    }


_OPERATIONS = {
    "openai-chat": chat.operation,
    "openai-completions": legacy.operation,
    "openai-responses": responses.operation,
    "anthropic-messages": messages.operation,
}


def _paths() -> dict[str, Any]:
    return {
        **{VERSIONED + path: {"post": _OPERATIONS[dialect]()} for path, dialect in urls.GENERATIONS.items()},
        VERSIONED + urls.COUNT_TOKENS: {"post": messages.count()},
        **{VERSIONED + path: each for path, each in streams.paths().items()},
        **{VERSIONED + path.replace(":path", ""): each for path, each in beside.paths().items()},
        VERSIONED + urls.MODELS: {"get": service.list_models()},
        VERSIONED + urls.MODEL.replace(":path", ""): {"get": service.one_model()},
        **google.paths(),
        urls.DOWNLOAD: {"get": beside.download(named=True)},
        urls.DOWNLOAD_BY_ID: {"get": beside.download(named=False)},
        **anythingllm.paths(),
        urls.HEALTH: {"get": service.health()},
        urls.READY: {"get": service.ready()},
        urls.METRICS: {"get": service.metrics()},
        urls.LANDING: {"get": service.page("landing", "The landing page")},
        urls.DOCS: {"get": service.page("docs", "This document as a page")},
        urls.OPENAPI: {"get": service.openapi()},
    }
