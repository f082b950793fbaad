"""What Google's SDKs ask for beside generations: the models, and how many tokens a request has.

Answers and errors are in Google's form (https://ai.google.dev/api/models, https://ai.google.dev/api/tokens).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidegate.core.event import failure
from tidegate.core.message import AnyPart, CallPart, MediaPart, ResultPart
from tidegate.core.request import Prompt
from tidegate.core.tool import ToolDefinition
from tidegate.dialects import Dialect, understand
from tidegate.errors import InvalidRequest, TidegateError
from tidegate.routing.table import Route as ModelRoute
from tidegate.routing.table import Routes
from tidegate.server.urls import GOOGLE_MODELS, MODEL
from tidegate.wire.ascii_json import ascii_json

_CHARACTERS: Final = 4
"""Of English, to a token."""
_MEDIA_TOKENS: Final = 258
"""What Google counts for a small image or a page (https://ai.google.dev/gemini-api/docs/tokens)."""
_METHODS: Final = ["generateContent", "streamGenerateContent", "countTokens"]
_ESTIMATED: Final = {"tidegate-estimated": "totalTokens"}
"""The header of an answer that is an estimate."""


class Google:
    """Answers these requests; ``served`` tells what the caller may use, ``dialect`` is Google's."""

    def __init__(self, served: Callable[[Request], Routes], dialect: Dialect) -> None:
        self._served = served
        self._dialect = dialect

    def routes(self) -> list[Route]:
        """The paths that are Google's alone."""
        ones = [f"{every}/{{model:path}}" for every in GOOGLE_MODELS]
        return [
            *(Route(every, self.models) for every in GOOGLE_MODELS),
            *(Route(f"{path}:countTokens", self.count, methods=["POST"]) for path in (*ones, MODEL)),
            *(Route(one, self.model) for one in ones),
        ]

    async def models(self, request: Request) -> Response:
        """``GET /v1beta/models``."""
        return _json({"models": [_model(each) for each in self._served(request)]})

    async def model(self, request: Request) -> Response:
        """``GET /v1beta/models/{model}``."""
        try:
            return _json(_model(self._served(request).resolve(request.path_params["model"])))
        except TidegateError as error:
            return self._told(error)

    async def count(self, request: Request) -> Response:
        """``POST /v1beta/models/{model}:countTokens``: an estimate, which a header says."""
        try:
            path = f"/models/{request.path_params['model']}:countTokens"
            asked = self._dialect.read_request(_inner(await request.body()), {}, path)
            self._served(request).resolve(asked.model)
            size = _size(understand(asked))
        except TidegateError as error:
            return self._told(error)
        return _json({"totalTokens": -(-size // _CHARACTERS)}, _ESTIMATED)

    def _told(self, error: TidegateError) -> Response:
        reason = failure(error)
        return Response(self._dialect.render_error(reason), reason.status, media_type="application/json")


def is_asking(request: Request) -> bool:
    """Whether one of Google's SDKs asks, at a path that it shares with OpenAI's."""
    return "x-goog-api-client" in request.headers or "x-goog-api-key" in request.headers


def _json(value: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(ascii_json(value), headers=headers, media_type="application/json")


def _model(route: ModelRoute) -> dict[str, Any]:
    facts = route.facts
    model: dict[str, Any] = {
        "name": f"models/{route.model}",
        "displayName": facts.get("display_name", route.model),
        "supportedGenerationMethods": _METHODS,
    }
    if facts.get("context_length"):
        model["inputTokenLimit"] = facts["context_length"]
    return model


def _inner(body: bytes) -> bytes:
    """The request whose tokens are to be counted, which may stand inside of another."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("the body is not valid JSON") from None
    inner = value.get("generateContentRequest") if isinstance(value, dict) else None
    return msgspec.json.encode(inner) if isinstance(inner, dict) else body


def _size(prompt: Prompt) -> int:
    """Characters, or what stands for as many tokens."""
    tools = [tool for tool in prompt.tools if isinstance(tool, ToolDefinition)]
    return sum(_size_of(part) for message in prompt.messages for part in message.parts) + sum(
        len(ascii_json([tool.name, tool.description, tool.parameters])) for tool in tools
    )


def _size_of(part: AnyPart) -> int:
    if isinstance(part, ResultPart):
        return sum(_size_of(inner) for inner in part.content)
    if isinstance(part, CallPart):
        return len(part.name) + len(part.arguments)
    if isinstance(part, MediaPart) and part.text is None:
        return _MEDIA_TOKENS * _CHARACTERS
    return len(getattr(part, "text", None) or "")
