"""Asking for a response that is kept or under way, for its input, and for its end."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tidegate.errors import InvalidRequest
from tidegate.server.incoming import read_limit
from tidegate.server.responses.background import kept_stream, not_found, response_now
from tidegate.server.responses.conversation import listed
from tidegate.server.stopping import stop
from tidegate.store.responses import ResponseStore, StoredResponse
from tidegate.streams.registry import Streams
from tidegate.wire.ascii_json import ascii_json

_MOST_LISTED = 100
_LISTED = 20


class ResponseEndpoints:
    """The endpoints below ``/responses/{response_id}``, for the ASGI application."""

    def __init__(self, store: ResponseStore, streams: Streams) -> None:
        self._store = store
        self._streams = streams

    async def retrieve(self, request: Request) -> Response:
        """``GET``, ``DELETE``; one that is to be streamed is not asked for here."""
        if request.method == "DELETE":
            return await self._delete(request)
        return _json(await response_now(self._store, self._streams, _caller(request), _name(request)))

    async def cancel(self, request: Request) -> Response:
        """``POST …/cancel``: the response as it was when it stopped."""
        name, caller = _name(request), _caller(request)
        live = await kept_stream(self._streams, caller, name)
        if live is not None and live.end is None:
            await stop(live)
        elif (status := await self._status(caller, name)) != "cancelled":
            raise InvalidRequest(f"Cannot cancel a {status} response.")
        return _json(await response_now(self._store, self._streams, caller, name))

    async def _status(self, caller: str, name: str) -> str:
        response = msgspec.json.decode(await response_now(self._store, self._streams, caller, name))
        return str(response.get("status"))

    async def input_items(self, request: Request) -> Response:
        """``GET …/input_items``, newest first unless asked otherwise."""
        items = listed(await self._stored(request))
        asked = request.query_params
        order = asked.get("order", "desc")
        if order not in ("asc", "desc"):
            raise InvalidRequest("'order' must be asc or desc", param="order")
        if order == "desc":
            items.reverse()
        if after := asked.get("after"):
            at = next((number for number, item in enumerate(items) if item["id"] == after), None)
            if at is None:
                raise InvalidRequest(f"there is no item {after!r} in this response", param="after")
            items = items[at + 1 :]
        limit = read_limit(asked, _MOST_LISTED, _LISTED)
        page = items[:limit]
        told = {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(items) > len(page),
        }
        return _json(ascii_json(told).encode("ascii"))

    async def _delete(self, request: Request) -> Response:
        name, caller = _name(request), _caller(request)
        live = await kept_stream(self._streams, caller, name)
        if live is not None and live.end is None:
            await stop(live)
        gone = await self._store.is_deleted(caller, name)
        found = await self._store.delete(caller, name, streamed=live is not None)
        if gone or not (found or live is not None):
            raise not_found(name)
        told = {"id": name, "object": "response", "deleted": True}
        return _json(ascii_json(told).encode("ascii"))

    async def _stored(self, request: Request) -> StoredResponse:
        stored = await self._store.get(_caller(request), _name(request))
        if stored is None:
            raise not_found(_name(request))
        return stored


def _name(request: Request) -> str:
    name: str = request.path_params["response_id"]
    return name


def _caller(request: Request) -> str:
    caller: Any = request.scope["tidegate.caller"]
    return str(caller.id)


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
