"""``GET /v1/models`` in a shape that satisfies the clients of every system that Tidegate replaces.

OpenAI's members first, then the ones that api-for-open-llm, new-api and MegaLLM add to them.
"""

from __future__ import annotations

from typing import Any

from tidegate.errors import NotFound
from tidegate.routing.table import Route, Routes


def listing(routes: Routes) -> dict[str, Any]:
    """All models."""
    return {
        "object": "list",
        "success": True,
        "default_model": routes.default,
        "data": [_model(route) for route in routes],
    }


def one(routes: Routes, name: str) -> dict[str, Any]:
    """One model. Raises NotFound, with the nearest names."""
    route = routes.get(name)
    if route is None:
        route = routes.resolve(name)
    if not name:
        raise NotFound("name a model: GET /v1/models/NAME")
    return _model(route)


def _model(route: Route) -> dict[str, Any]:
    facts = route.facts
    return {
        "id": route.model,
        "object": "model",
        "created": facts.get("created", 0),
        "owned_by": facts.get("owned_by", "tidegate"),
        "root": route.model,
        "parent": None,
        "permission": [],
        "display_name": facts.get("display_name", route.model),
        "type": "chat",
        "context_length": facts.get("context_length"),
        "max_output_tokens": facts.get("max_output_tokens"),
        "capabilities": {"supports_streaming": True},
    }
