"""The endpoints of ``/api/v1/openai`` beside chats: workspaces in the forms of OpenAI's API, and vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tidegate.errors import InvalidRequest
from tidegate.server.anythingllm.asked import caller_of, read_asked
from tidegate.server.anythingllm.reach import all_of
from tidegate.server.anythingllm.told import answer
from tidegate.workspaces.service import Workspaces

_MOST_TEXTS: Final = 2048
"""What OpenAI takes in one request."""


class ListingEndpoints:
    """For the ASGI application."""

    def __init__(self, kept: Workspaces, max_body: Callable[[], int]) -> None:
        self._kept = kept
        self._max_body = max_body

    async def models(self, request: Request) -> Response:
        """``GET /openai/models``: each workspace is a model."""
        data = [
            {"id": each.slug, "object": "model", "created": each.created_ms // 1000, "owned_by": "openai"}
            for each in await all_of(self._kept, caller_of(request))
        ]
        return answer({"object": "list", "data": data})

    async def vector_stores(self, request: Request) -> Response:
        """``GET /openai/vector_stores``: all on the first page, which is asked without a query."""
        if request.query_params:
            return answer({"data": [], "has_more": False})
        data = []
        for each in await all_of(self._kept, caller_of(request)):
            documents = await self._kept.knowledge.documents_of(each)
            data.append(
                {
                    "id": each.slug,
                    "object": "vector_store",
                    "name": each.name,
                    "file_counts": {"total": len(documents)},
                    "provider": "lancedb",
                }
            )
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        return answer({"first_id": first, "last_id": last, "data": data, "has_more": False})

    async def embeddings(self, request: Request) -> Response:
        """``POST /openai/embeddings``: vectors of the model that documents are embedded with."""
        asked = await read_asked(request, self._max_body)
        given = asked.get("input", asked.get("inputs"))
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts or not all(isinstance(each, str) for each in texts):
            raise InvalidRequest("'input' must be a text, or a list of texts", param="input")
        if len(texts) > _MOST_TEXTS:
            raise InvalidRequest(
                f"'input' may have {_MOST_TEXTS} texts; send them in several requests", param="input"
            )
        model, vectors = await self._kept.knowledge.vectors(caller_of(request).id, texts)
        data = [
            {"object": "embedding", "embedding": vector, "index": number}
            for number, vector in enumerate(vectors)
        ]
        return answer({"object": "list", "data": data, "model": model})
