"""The endpoints of ``/api/v1/system``: what the gateway is set to, and how much it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from tidegate.server.anythingllm.asked import caller_of, read_asked
from tidegate.server.anythingllm.reach import all_of
from tidegate.server.anythingllm.told import answer
from tidegate.workspaces.service import Workspaces

_ELSEWHERE: Final = (
    "settings of the gateway are not changed over HTTP; write them into its tidegate.yaml and send it SIGHUP"
)


class SystemEndpoints:
    """For the ASGI application. ``settings`` gives what may be told of the settings."""

    def __init__(
        self, kept: Workspaces, max_body: Callable[[], int], settings: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._kept = kept
        self._max_body = max_body
        self._settings = settings

    async def system(self, _: Request) -> Response:
        """``GET /system``."""
        return answer({"settings": {**self._settings(), "MultiUserMode": self._kept.rules.multi_user}})

    async def vector_count(self, request: Request) -> Response:
        """``GET /system/vector-count``: the passages of all workspaces that the caller reaches."""
        count = 0
        for each in await all_of(self._kept, caller_of(request)):
            count += await self._kept.knowledge.passages(each.id)
        return answer({"vectorCount": count})

    async def update_env(self, request: Request) -> Response:
        """``POST /system/update-env``, which changes nothing here."""
        await read_asked(request, self._max_body)
        return answer({"newValues": {}, "error": _ELSEWHERE})
