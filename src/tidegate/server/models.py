"""``GET /v1/models`` in a shape that satisfies the clients of every system that Tidegate replaces.

OpenAI's members first, then the ones that api-for-open-llm, new-api and MegaLLM add to them. Anthropic's SDKs
ask the same path and are told apart by a header of theirs. What is not known is null or absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from tidegate.errors import InvalidRequest, NotFound
from tidegate.routing.table import Route, Routes
from tidegate.server.incoming import read_limit

ANTHROPIC_VERSION: Final = b"anthropic-version"
"""The header by which a client asks for Anthropic's shape."""

_MOST_LISTED = 1000
_UNABLE_TO_STREAM = frozenset({"embedding", "rerank"})


def listing(routes: Iterable[Route], default: str | None) -> dict[str, Any]:
    """All models, and the name of the one that answers where none is named."""
    return {
        "object": "list",
        "success": True,
        "default_model": default,
        "data": [_model(route) for route in routes],
    }


def one(routes: Routes, name: str) -> dict[str, Any]:
    """One model. Raises NotFound, with the nearest names."""
    return _model(_route(routes, name))


def anthropic_listing(routes: Iterable[Route], asked: Mapping[str, str]) -> dict[str, Any]:
    """All models, or the page that ``limit``, ``after_id`` and ``before_id`` ask for, in Anthropic's shape.

    (https://docs.anthropic.com/en/api/models-list)
    """
    limit = read_limit(asked, _MOST_LISTED, _MOST_LISTED)
    models = [_anthropic_model(route) for route in routes]
    names = [model["id"] for model in models]
    for each in ("after_id", "before_id"):
        if each in asked and asked[each] not in names:
            raise InvalidRequest(f"{each} names no model: {asked[each]!r}", param=each)
    if "before_id" in asked:
        before = models[: names.index(asked["before_id"])]
        page = before[-limit:]
        more = len(before) > len(page)
    else:
        after = models[names.index(asked["after_id"]) + 1 if "after_id" in asked else 0 :]
        page = after[:limit]
        more = len(after) > len(page)
    return {
        "data": page,
        "has_more": more,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


def anthropic_one(routes: Routes, name: str) -> dict[str, Any]:
    """One model in Anthropic's shape. Raises NotFound."""
    return _anthropic_model(_route(routes, name))


def _model(route: Route) -> dict[str, Any]:
    facts = route.facts
    streams = facts.get("type") not in _UNABLE_TO_STREAM
    told = {
        "id": route.model,
        "object": "model",
        "created": facts.get("created") or 0,
        "owned_by": facts.get("owned_by", "tidegate"),
        "root": route.model,
        "parent": None,
        "permission": [],
        "display_name": facts.get("display_name") or route.model,
        "type": facts.get("type"),
        "context_length": facts.get("context_length"),
        "max_output_tokens": facts.get("max_output_tokens"),
        "capabilities": {**(facts.get("capabilities") or {}), "supports_streaming": streams},
    }
    return {**told, "pricing": facts["pricing"]} if facts.get("pricing") else told


def _anthropic_model(route: Route) -> dict[str, Any]:
    facts = route.facts
    created = datetime.fromtimestamp(facts.get("created") or 0, UTC)
    return {
        "type": "model",
        "id": route.model,
        "display_name": facts.get("display_name") or route.model,
        # Where the day is not known the epoch stands for it, as Anthropic's reference has it.
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "max_input_tokens": facts.get("context_length"),
        "max_tokens": facts.get("max_output_tokens"),
    }


def _route(routes: Routes, name: str) -> Route:
    if not name:
        raise NotFound("name a model: GET /v1/models/NAME")
    return routes.get(name) or routes.resolve(name)
