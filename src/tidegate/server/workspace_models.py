"""``/api/v1/openai``: workspaces as the models of OpenAI's API, named by their slugs alone."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from tidegate.core.request import Request
from tidegate.dialects import Dialect
from tidegate.server.urls import OPENAI_OF_WORKSPACES

_PREFIX = "workspace/"


def read_request(dialect: Dialect, body: bytes, headers: Mapping[str, str], path: str) -> Request:
    """The request in a body that was sent to a path. Raises InvalidRequest."""
    request = dialect.read_request(body, headers, path)
    named = request.model is not None and not request.model.startswith(_PREFIX)
    if not named or not OPENAI_OF_WORKSPACES.fullmatch(path):
        return request
    return replace(request, model=f"{_PREFIX}{request.model}")
