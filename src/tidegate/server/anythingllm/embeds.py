"""The endpoints of ``/api/v1/embed``, and of ``/api/embed``, where visitors come without a key."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response

from tidegate.server.anythingllm.asked import caller_of, read_asked
from tidegate.server.anythingllm.reach import embed_at, find, reaches
from tidegate.server.anythingllm.told import MOST_CHATS, answer, history_of, phrase
from tidegate.store.chats import Chat
from tidegate.wire.ascii_json import ascii_json
from tidegate.workspaces.embeds import embed_as_object, embed_changes, read_embed_settings
from tidegate.workspaces.service import Workspaces
from tidegate.workspaces.settings import moment


class EmbedEndpoints:
    """For the ASGI application. ``max_body`` gives the limit of a request's bytes."""

    def __init__(self, kept: Workspaces, max_body: Callable[[], int]) -> None:
        self._kept = kept
        self._max_body = max_body

    async def list(self, request: Request) -> Response:
        """``GET /embed``."""
        caller = caller_of(request)
        told = [
            {
                "id": each.embed.id,
                "uuid": each.embed.uuid,
                "enabled": each.embed.enabled,
                "chat_mode": read_embed_settings(each.embed.settings).chat_mode,
                "createdAt": moment(each.embed.created_ms),
                "workspace": {"id": each.embed.workspace, "name": each.name},
                "chat_count": each.chats,
            }
            for each in await self._kept.embeds.list(caller.id)
            if reaches(caller, each.slug)
        ]
        return answer({"embeds": told})

    async def chats(self, request: Request) -> Response:
        """``GET /embed/{embed}/chats``; there are none of an embed that is unknown."""
        told = [
            {
                "id": chat.id,
                "session_id": chat.session,
                "prompt": chat.prompt,
                "response": ascii_json(chat.response),
                "createdAt": moment(chat.created_ms),
            }
            for chat in await self._chats(request, None)
        ]
        return answer({"chats": told})

    async def session_chats(self, request: Request) -> Response:
        """``GET /embed/{embed}/chats/{session}``."""
        told = [
            {
                "id": chat.id,
                "prompt": chat.prompt,
                "response": ascii_json(chat.response),
                "createdAt": moment(chat.created_ms),
            }
            for chat in await self._chats(request, request.path_params["session"])
        ]
        return answer({"chats": told})

    async def new(self, request: Request) -> Response:
        """``POST /embed/new``."""
        asked = await read_asked(request, self._max_body)
        slug = asked.get("workspace_slug")
        if not isinstance(slug, str) or not slug:
            return answer({"error": "workspace_slug is missing: name the workspace to lead into"}, 400)
        found = await find(self._kept, caller_of(request), slug)
        made = await self._kept.embeds.create(found.id, embed_changes(asked)) if found is not None else None
        if made is None:
            return answer({"error": "Workspace not found"}, 404)
        return answer({"embed": embed_as_object(made), "error": None})

    async def update(self, request: Request) -> Response:
        """``POST /embed/{embed}``."""
        asked = await read_asked(request, self._max_body)
        found = await embed_at(self._kept, request)
        if found is None:
            return _not_found()
        settings = embed_changes(asked)
        enabled = asked["enabled"] is True if "enabled" in asked else None
        if enabled is None and not settings:
            return answer({"success": False, "error": "No valid fields to update!"})
        if await self._kept.embeds.update(found.embed.id, enabled=enabled, settings=settings) is None:
            return _not_found()
        return answer({"success": True, "error": None})

    async def delete(self, request: Request) -> Response:
        """``DELETE /embed/{embed}``."""
        found = await embed_at(self._kept, request)
        if found is None:
            return _not_found()
        await self._kept.embeds.delete(found.embed.id)
        return answer({"success": True, "error": None})

    async def session(self, request: Request) -> Response:
        """``GET /api/embed/{embed}/{session}`` and ``DELETE``: for whoever knows the session's id."""
        found = await self._kept.embeds.get(request.path_params["embed"])
        if found is None:
            return phrase(404)
        session: str = request.path_params["session"]
        if request.method == "DELETE":
            await self._kept.chats.forget(found.workspace, None, session, embed=found.id)
            return Response(status_code=200)
        listed = await self._kept.chats.listed(
            found.workspace, session=session, embed=found.id, limit=MOST_CHATS
        )
        return answer({"history": history_of(listed, sources=False)})

    async def _chats(self, request: Request, session: str | None) -> Sequence[Chat]:
        found = await embed_at(self._kept, request)
        if found is None:
            return ()
        return await self._kept.chats.of_embed(found.embed.id, session=session, limit=MOST_CHATS)


def _not_found() -> Response:
    return answer({"error": "Embed not found"}, 404)
