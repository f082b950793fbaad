"""The endpoints of ``/api/v1/workspace/{slug}/thread``: conversations of their own within a workspace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from tidegate.server.anythingllm.asked import caller_of, read_asked
from tidegate.server.anythingllm.reach import workspace_at
from tidegate.server.anythingllm.told import MOST_CHATS, answer, history_of, phrase
from tidegate.store.workspaces import Thread
from tidegate.workspaces.service import Workspaces
from tidegate.workspaces.settings import moment, read_id

_LONGEST_NAME: Final = 255


class ThreadEndpoints:
    """For the ASGI application. ``max_body`` gives the limit of a request's bytes."""

    def __init__(self, kept: Workspaces, max_body: Callable[[], int]) -> None:
        self._kept = kept
        self._max_body = max_body

    async def new(self, request: Request) -> Response:
        """``POST /thread/new``. A slug that is taken gets digits behind it; an unknown user is nobody."""
        asked = await read_asked(request, self._max_body)
        found = await workspace_at(self._kept, request)
        if found is None:
            return phrase(400)
        slug = asked.get("slug")
        named = slug and isinstance(slug, str | int | float)
        made = await self._kept.workspaces.create_thread(
            found.id,
            _name(asked.get("name")) or "Thread",
            str(slug)[:_LONGEST_NAME] if named else None,
            await self._user(caller_of(request).id, asked.get("userId")),
        )
        if made is None:  # its workspace was deleted a moment ago
            return phrase(400)
        return answer({"thread": _thread_object(made), "message": None})

    async def update(self, request: Request) -> Response:
        """``POST /thread/{thread}/update``."""
        asked = await read_asked(request, self._max_body)
        thread = await self._thread(request)
        if isinstance(thread, Response):
            return thread
        name = _name(asked.get("name"))
        if name is None:
            return answer({"thread": _thread_object(thread), "message": "No valid fields to update!"})
        renamed = await self._kept.workspaces.rename_thread(thread.id, name)
        if renamed is None:
            return _not_found("Thread")
        return answer({"thread": _thread_object(renamed), "message": None})

    async def delete(self, request: Request) -> Response:
        """``DELETE /thread/{thread}``, which is done too where there is none."""
        found = await workspace_at(self._kept, request)
        if found is None:
            return phrase(400)
        thread = await self._kept.workspaces.thread(found.id, request.path_params["thread"])
        if thread is not None:
            await self._kept.workspaces.delete_thread(thread.id)
        return phrase(200)

    async def chats(self, request: Request) -> Response:
        """``GET /thread/{thread}/chats``."""
        thread = await self._thread(request)
        if isinstance(thread, Response):
            return thread
        listed = await self._kept.chats.listed(thread.workspace, thread=thread.id, limit=MOST_CHATS)
        return answer({"history": history_of(listed)})

    async def _thread(self, request: Request) -> Thread | Response:
        """The thread that the path names, or what to answer where there is none."""
        found = await workspace_at(self._kept, request)
        if found is None:
            return _not_found("Workspace")
        thread = await self._kept.workspaces.thread(found.id, request.path_params["thread"])
        return _not_found("Thread") if thread is None else thread

    async def _user(self, owner: str, asked: Any) -> int | None:
        number = read_id(asked)
        known = number is not None and await self._kept.knowledge.knows_user(owner, number)
        return number if known else None


def _name(value: Any) -> str | None:
    """A thread's name, of at most 255 characters."""
    if isinstance(value, bool) or not value or not isinstance(value, str | int | float):
        return None
    return str(value)[:_LONGEST_NAME]


def _not_found(what: str) -> Response:
    return answer({"message": f"{what} not found"}, 404)


def _thread_object(thread: Thread) -> dict[str, Any]:
    return {
        "id": thread.id,
        "name": thread.name,
        "slug": thread.slug,
        "workspace_id": thread.workspace,
        "user_id": thread.user_id,
        "createdAt": moment(thread.created_ms),
        "lastUpdatedAt": moment(thread.updated_ms),
    }
