"""Those who come without a key, to a workspace's embed on a web page: who is let in, and on whose behalf.

The guards, their order and their words are AnythingLLM's (server/utils/middleware/embedMiddleware.js).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tidegate.access import Caller
from tidegate.errors import InvalidRequest, NotFound, Overloaded, RequestError
from tidegate.store.chats import NewChat
from tidegate.workspaces.embeds import read_embed_settings
from tidegate.workspaces.service import Workspaces

_PATH: Final = re.compile("/api/embed/([^/]+)/stream-chat")
_UUID: Final = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_QUOTA: Final = "The quota for this chat has been reached. Try again later or contact the site owner."


class _Asked(msgspec.Struct):
    sessionId: Any = None  # noqa: N815 - the word on the wire
    message: Any = None


def is_visit(path: str) -> bool:
    """Whether a canonical path is a visitor's question."""
    return _PATH.fullmatch(path) is not None


async def admit(kept: Workspaces, path: str, body: bytes, headers: Mapping[str, str], stream: str) -> Caller:
    """The owner of the workspace, who answers for its visitors. ``headers`` may hold ``origin``.

    ``stream`` is what will answer: its chat has a place from here on, so that visits which come at the same
    time do not all find one left. Raises RequestError with the guard's words, and StoreError.
    """
    found = _PATH.fullmatch(path)
    embed = await kept.embeds.get(found[1]) if found is not None else None
    if embed is None:
        raise NotFound("there is no such embed", code="embed_not_found")
    if not embed.enabled:
        raise Overloaded("This chat has been disabled by the administrator - try again later.")
    settings = read_embed_settings(embed.settings)
    if settings.allowlist_domains is not None and headers.get("origin") not in settings.allowlist_domains:
        # Its clients look for this status, and it is about no key.
        raise RequestError("Invalid request.", status=401, type="invalid_request_error")
    asked = _read(body)
    if not isinstance(asked.sessionId, str) or not _UUID.fullmatch(asked.sessionId):
        raise NotFound("Invalid session ID.", param="sessionId")
    if not isinstance(asked.message, str) or not asked.message.strip():
        raise InvalidRequest("Message is empty", param="message")
    workspace = await kept.workspaces.by_id(embed.workspace)
    if workspace is None:
        raise NotFound("there is no such embed", code="embed_not_found")
    day, session = settings.max_chats_per_day, settings.max_chats_per_session
    if day is not None or session is not None:
        place = NewChat(
            workspace=workspace.id,
            prompt=asked.message,
            response={},
            session=asked.sessionId,
            embed=embed.id,
            stream=stream,
        )
        if not await kept.chats.reserve(place, day, session):
            raise RequestError(_QUOTA, status=429, type="rate_limit_error")
    return Caller(workspace.owner, workspace.owner)


def _read(body: bytes) -> _Asked:
    try:
        return msgspec.json.decode(body, type=_Asked)
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None
