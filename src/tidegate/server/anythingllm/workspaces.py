"""The endpoints of ``/api/v1/workspace``: making, listing, changing, deleting and searching workspaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from tidegate.server.anythingllm.asked import caller_of, read_asked
from tidegate.server.anythingllm.reach import all_of, check_may_create, workspace_at
from tidegate.server.anythingllm.told import MOST_CHATS, answer, history_of, phrase
from tidegate.store.workspaces import Thread, Workspace
from tidegate.workspaces.document import Hit
from tidegate.workspaces.service import KnownDocument, Workspaces
from tidegate.workspaces.settings import as_object, changes, read_name, read_number, read_settings, read_whole

_MOST_FOUND: Final = 1000
_PROTECTED: Final = "Workspace deletion is blocked by the system administrator."

ContextWindow = Callable[[Request, Workspace], int | None]
"""How many tokens the model of a workspace takes, where that is known."""


class WorkspaceEndpoints:
    """For the ASGI application. ``max_body`` gives the limit of a request's bytes."""

    def __init__(self, kept: Workspaces, max_body: Callable[[], int], window: ContextWindow) -> None:
        self._kept = kept
        self._max_body = max_body
        self._window = window

    async def new(self, request: Request) -> Response:
        """``POST /workspace/new``."""
        asked = await read_asked(request, self._max_body)
        caller = caller_of(request)
        check_may_create(caller)
        name = asked.get("name")
        if not name:
            return answer({"workspace": None, "message": "name cannot be null"}, 400)
        made = await self._kept.workspaces.create(caller.id, read_name(name), changes(asked))
        return answer({"workspace": as_object(made), "message": None})

    async def list(self, request: Request) -> Response:
        """``GET /workspaces``."""
        found = await all_of(self._kept, caller_of(request))
        of: dict[int, list[dict[str, Any]]] = {each.id: [] for each in found}
        for thread in await self._kept.workspaces.threads(*of):
            of[thread.workspace].append({**_short(thread), "name": thread.name})
        return answer({"workspaces": [{**as_object(each), "threads": of[each.id]} for each in found]})

    async def one(self, request: Request) -> Response:
        """``GET /workspace/{slug}``: a list of one, or of none where the slug is unknown."""
        found = await workspace_at(self._kept, request)
        return answer({"workspace": [] if found is None else [await self.whole(request, found)]})

    async def delete(self, request: Request) -> Response:
        """``DELETE /workspace/{slug}``."""
        if self._kept.rules.protected:
            return answer({"success": False, "error": _PROTECTED}, 403)
        found = await workspace_at(self._kept, request)
        if found is None:
            return phrase(400)
        await self._kept.workspaces.delete(found.id)
        await self._kept.knowledge.drop(found.id)
        return phrase(200)

    async def update(self, request: Request) -> Response:
        """``POST /workspace/{slug}/update``."""
        asked = await read_asked(request, self._max_body)
        found = await workspace_at(self._kept, request)
        if found is None:
            return phrase(400)
        name = read_name(asked["name"]) if "name" in asked else None
        new = changes(asked)
        if name is None and not new:
            return answer({"workspace": {"id": found.id}, "message": "No valid fields to update!"})
        changed = await self._kept.workspaces.update(found.id, name=name, settings=new)
        if changed is None:  # deleted a moment ago
            return phrase(400)
        return answer({"workspace": as_object(changed), "message": None})

    async def chats(self, request: Request) -> Response:
        """``GET /workspace/{slug}/chats``: those of a session where one is named, else those of none."""
        found = await workspace_at(self._kept, request)
        if found is None:
            return phrase(400)
        query = request.query_params
        limit = min(read_whole(query.get("limit"), 100, 1), MOST_CHATS)
        listed = await self._kept.chats.listed(
            found.id,
            session=query.get("apiSessionId") or None,
            limit=limit,
            newest_first=query.get("orderBy") == "desc",
        )
        return answer({"history": history_of(listed)})

    async def vector_search(self, request: Request) -> Response:
        """``POST /workspace/{slug}/vector-search``."""
        asked = await read_asked(request, self._max_body)
        found = await workspace_at(self._kept, request)
        if found is None:
            slug = request.path_params["slug"]
            return answer({"message": f"Workspace {slug} is not a valid workspace."}, 400)
        query = asked.get("query")
        if not isinstance(query, str) or not query:
            return answer({"message": "Query parameter cannot be empty."}, 400)
        if not await self._kept.knowledge.passages(found.id):
            return answer({"results": [], "message": "No embeddings found for this workspace."})
        settings = read_settings(found.settings)
        top = read_number(asked.get("topN"))
        threshold = read_number(asked.get("scoreThreshold"))
        hits = await self._kept.knowledge.search(
            found,
            query,
            settings.top_n if top is None or top < 1 else min(int(top), _MOST_FOUND),
            settings.similarity_threshold if threshold is None or not 0 <= threshold <= 1 else threshold,
        )
        return answer({"results": await self._results(hits)})

    async def _results(self, hits: Sequence[Hit]) -> Sequence[dict[str, Any]]:
        known: dict[str, KnownDocument] = {}
        for name in {hit.document for hit in hits}:
            document = await self._kept.knowledge.document(name)
            if document is not None:
                known[name] = document
        # One that was deleted since it was found is told no more.
        return [_result(hit, known[hit.document]) for hit in hits if hit.document in known]

    async def whole(self, request: Request, workspace: Workspace) -> dict[str, Any]:
        """The workspace with all that belongs to it, as it is told when one is asked for."""
        threads = await self._kept.workspaces.threads(workspace.id)
        return {
            **as_object(workspace),
            "documents": list(await self._kept.knowledge.documents_of(workspace)),
            "threads": [_short(thread) for thread in threads],
            "contextWindow": self._window(request, workspace),
            "currentContextTokenCount": 0,
        }


def _short(thread: Thread) -> dict[str, Any]:
    return {"user_id": thread.user_id, "slug": thread.slug}


def _result(hit: Hit, document: KnownDocument) -> dict[str, Any]:
    facts = document.facts
    return {
        "id": str(hit.passage),
        "text": hit.text,
        "metadata": {
            "url": facts.get("url", ""),
            "title": facts.get("title", ""),
            "author": facts.get("docAuthor", ""),
            "description": facts.get("description", ""),
            "docSource": facts.get("docSource", ""),
            "chunkSource": facts.get("chunkSource", ""),
            "published": facts.get("published", ""),
            "wordCount": document.words,
            "tokenCount": document.tokens,
            **({"page": hit.page} if hit.page is not None else {}),
            **({"heading": hit.heading} if hit.heading else {}),
        },
        "distance": 1 - hit.score,
        "score": hit.score,
    }
