"""What paths say of requests: at ``/api/v1/openai`` workspaces are models, named by their slugs alone."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from tidegate.core.request import Request
from tidegate.dialects import Dialect
from tidegate.dialects.anythingllm.as_openai import STRICT
from tidegate.server.urls import OPENAI_OF_WORKSPACES
from tidegate.server.visitors import is_visit

_PREFIX = "workspace/"


def read_request(
    dialect: Dialect, body: bytes, headers: Mapping[str, str], path: str, *, strict: bool
) -> Request:
    """The request in a body that was sent to a path. Raises InvalidRequest.

    ``strict``: answers that AnythingLLM's clients ask for are to be as AnythingLLM's are.
    """
    request = dialect.read_request(body, headers, path)
    if strict and (dialect.name == "anythingllm" or OPENAI_OF_WORKSPACES.fullmatch(path)):
        request = replace(request, form=STRICT)
    if is_visit(path):  # visitors have no say in what else the owner's key may ask, nor in what is kept
        fields = {name: value for name, value in request.fields.items() if name != "store"}
        return replace(request, fallback_models=(), fields=fields)
    named = request.model is not None and not request.model.startswith(_PREFIX)
    if not named or not OPENAI_OF_WORKSPACES.fullmatch(path):
        return request
    return replace(request, model=f"{_PREFIX}{request.model}")
