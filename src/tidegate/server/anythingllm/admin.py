"""The endpoints of ``/api/v1/users`` and ``/api/v1/admin``: users of an owner, invites and memberships."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tidegate.errors import InvalidRequest
from tidegate.server.anythingllm.asked import caller_of, read_asked
from tidegate.server.anythingllm.reach import check_may_create, workspace_at
from tidegate.server.anythingllm.told import answer
from tidegate.store.users import User, UserStore
from tidegate.store.workspaces import Workspace
from tidegate.workspaces.service import Workspaces
from tidegate.workspaces.settings import read_id
from tidegate.workspaces.users import (
    check_bio,
    check_limit,
    check_role,
    check_username,
    hashed,
    invite_object,
    user_object,
)

_SINGLE: Final = "Instance is not in Multi-User mode. Permission denied."
_NO_SSO: Final = "Simple SSO is not enabled. It must be enabled to validate or issue temporary auth tokens."
_MOST_PREFERENCES: Final = 2**16
_DONE: Final = {"success": True, "error": None}

_FACTS: Final = {"dailyMessageLimit": check_limit, "bio": check_bio}
"""What is said of a user besides, and how it is read."""

Endpoint = Callable[[Request], Awaitable[Response]]


class AdminEndpoints:
    """For the ASGI application. ``max_body`` gives the limit of a request's bytes."""

    def __init__(self, kept: Workspaces, users: UserStore, max_body: Callable[[], int]) -> None:
        self._kept = kept
        self._users = users
        self._max_body = max_body

    def among_users(self, endpoint: Endpoint) -> Endpoint:
        """An endpoint that there is only where users are kept, for keys that are for everything."""

        async def guarded(request: Request) -> Response:
            if not self._kept.rules.multi_user:
                return PlainTextResponse(_SINGLE, 401)
            check_may_create(caller_of(request))
            return await endpoint(request)

        return guarded

    async def is_multi_user(self, _: Request) -> Response:
        """``GET /admin/is-multi-user-mode``."""
        return answer({"isMultiUser": self._kept.rules.multi_user})

    async def short_users(self, request: Request) -> Response:
        """``GET /users``."""
        found = await self._users.list(caller_of(request).id)
        users = [{"id": each.id, "username": each.username, "role": each.role} for each in found]
        return answer({"users": users})

    async def auth_token(self, _: Request) -> Response:
        """``GET /users/{user}/issue-auth-token``: there is no page here to sign in at."""
        return PlainTextResponse(_NO_SSO, 403)

    async def users(self, request: Request) -> Response:
        """``GET /admin/users``."""
        found = await self._users.list(caller_of(request).id)
        return answer({"users": [user_object(each) for each in found]})

    async def new_user(self, request: Request) -> Response:
        """``POST /admin/users/new``."""
        asked = await read_asked(request, self._max_body)
        try:
            username = check_username(asked.get("username"))
            role = check_role(asked.get("role") or "default")
            password = await asyncio.to_thread(hashed, asked.get("password"))
        except InvalidRequest as error:
            return answer({"user": None, "error": error.message}, 400)
        made = await self._users.create(caller_of(request).id, username, password, role)
        if made is None:
            return answer({"user": None, "error": f"A user with username '{username}' already exists"}, 400)
        return answer({"user": user_object(made), "error": None})

    async def change_user(self, request: Request) -> Response:
        """``POST /admin/users/{user}``."""
        asked = await read_asked(request, self._max_body)
        user = await self._user(request)
        if user is None:
            return answer({"success": False, "error": "User not found"}, 404)
        try:
            changes = await _changes(user, asked)
        except InvalidRequest as error:
            return answer({"success": False, "error": error.message})
        if not changes:
            return answer({"success": False, "error": "No valid updates applied."})
        if not await self._users.update(user.owner, user.id, changes):
            return answer({"success": False, "error": "A user with this username already exists"})
        return answer(_DONE)

    async def delete_user(self, request: Request) -> Response:
        """``DELETE /admin/users/{user}``."""
        user = await self._user(request)
        if user is not None:
            await self._users.delete(user.owner, user.id)
        return answer(_DONE)

    async def invites(self, request: Request) -> Response:
        """``GET /admin/invites``."""
        found = await self._users.invites(caller_of(request).id)
        return answer({"invites": [invite_object(each) for each in found]})

    async def new_invite(self, request: Request) -> Response:
        """``POST /admin/invite/new``, for all of the owner's workspaces that are named."""
        asked = await read_asked(request, self._max_body)
        owner = caller_of(request).id
        chosen = [each.id for each in await self._owned(owner, _numbers(asked.get("workspaceIds")))]
        made = await self._users.invite(owner, secrets.token_urlsafe(24), chosen)
        return answer({"invite": invite_object(made), "error": None})

    async def delete_invite(self, request: Request) -> Response:
        """``DELETE /admin/invite/{invite}``."""
        number = read_id(request.path_params["invite"])
        found = number is not None and await self._users.disable_invite(caller_of(request).id, number)
        if not found:
            return answer({"success": False, "error": "Invite not found"}, 404)
        return answer(_DONE)

    async def members(self, request: Request) -> Response:
        """``GET /admin/workspaces/{workspace}/users``."""
        found = await self._owned(caller_of(request).id, _numbers([request.path_params["workspace"]]))
        users = await self._users.members(found[0].id) if found else []
        return answer({"users": [{"userId": each.id, "role": each.role} for each in users]})

    async def update_members(self, request: Request) -> Response:
        """``POST /admin/workspaces/{workspace}/update-users``: these and no others."""
        asked = await read_asked(request, self._max_body)
        owner = caller_of(request).id
        found = await self._owned(owner, _numbers([request.path_params["workspace"]]))
        if not found:
            return answer({"success": False, "error": "Workspace not found"}, 404)
        await self._set_members(owner, found[0], asked.get("userIds"), reset=True)
        return answer(_DONE)

    async def manage_members(self, request: Request) -> Response:
        """``POST /admin/workspaces/{slug}/manage-users``: these too; with ``reset`` no others."""
        asked = await read_asked(request, self._max_body)
        owner = caller_of(request).id
        workspace = await workspace_at(self._kept, request)
        if workspace is None:
            return answer({"success": False, "error": "Workspace not found", "users": []}, 404)
        await self._set_members(owner, workspace, asked.get("userIds"), reset=asked.get("reset") is True)
        users = [
            {"userId": each.id, "username": each.username, "role": each.role}
            for each in await self._users.members(workspace.id)
        ]
        return answer({**_DONE, "users": users})

    async def preferences(self, request: Request) -> Response:
        """``POST /admin/preferences``: kept, and looked at by nothing here."""
        asked = await read_asked(request, self._max_body)
        if len(msgspec.json.encode(asked)) > _MOST_PREFERENCES:
            raise InvalidRequest(f"preferences may have {_MOST_PREFERENCES} bytes in one request")
        await self._users.prefer(caller_of(request).id, asked)
        return answer(_DONE)

    async def _user(self, request: Request) -> User | None:
        number = read_id(request.path_params["user"])
        return None if number is None else await self._users.get(caller_of(request).id, number)

    async def _owned(self, owner: str, numbers: Sequence[int]) -> list[Workspace]:
        found = [await self._kept.workspaces.by_id(number) for number in numbers]
        return [each for each in found if each is not None and each.owner == owner]

    async def _set_members(self, owner: str, workspace: Workspace, users: Any, *, reset: bool) -> None:
        known = {each.id for each in await self._users.list(owner)}
        chosen = [each for each in _numbers(users) if each in known]
        await self._users.set_members(workspace.id, chosen, reset=reset)


async def _changes(user: User, asked: dict[str, Any]) -> dict[str, Any]:
    """What is to be changed of a user. Raises InvalidRequest."""
    changes: dict[str, Any] = {}
    if "username" in asked:
        changes["username"] = check_username(asked["username"])
    if "role" in asked:
        changes["role"] = check_role(asked["role"])
    if asked.get("password"):
        changes["password"] = await asyncio.to_thread(hashed, asked["password"])
    if "suspended" in asked:
        changes["suspended"] = asked["suspended"] in (1, True, "1")
    facts = {name: check(asked[name]) for name, check in _FACTS.items() if name in asked}
    if facts:
        changes["facts"] = {**user.facts, **facts}
    return changes


def _numbers(value: Any) -> list[int]:
    given = value if isinstance(value, list) else []
    return list(dict.fromkeys(number for each in given[:1000] if (number := read_id(each)) is not None))
