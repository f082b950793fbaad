"""Asking for a response that is kept or under way, for its input, and for its end."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tidegate.dialects.openai_responses.answer import Answer
from tidegate.errors import InvalidRequest, NotFound
from tidegate.server.incoming import read_limit
from tidegate.server.responses.conversation import listed
from tidegate.server.responses.keeping import DIALECT, wants_keeping
from tidegate.store.responses import ResponseStore, StoredResponse
from tidegate.streams.registry import Stream, Streams
from tidegate.wire.ascii_json import ascii_json

_CANCEL_SECONDS = 5.0
"""A source that is cancelled lets go within this time."""

_MOST_LISTED = 100
_LISTED = 20

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class ResponseEndpoints:
    """The endpoints below ``/responses/{response_id}``, for the ASGI application."""

    def __init__(self, store: ResponseStore, streams: Streams) -> None:
        self._store = store
        self._streams = streams

    async def retrieve(self, request: Request) -> Response:
        """``GET``, ``DELETE``."""
        if request.method == "DELETE":
            return await self._delete(request)
        if request.query_params.get("stream") == "true":
            raise InvalidRequest(
                "a kept response is not streamed again yet; leave 'stream' out to get it whole",
                param="stream",
                code="unsupported_parameter",
            )
        return self._shown(request)

    async def cancel(self, request: Request) -> Response:
        """``POST …/cancel``: the response as it was when it stopped."""
        live = self._live(request)
        if live is None:
            stored = self._stored(request)
            status = msgspec.json.decode(stored.response).get("status")
            if status == "cancelled":
                return _json(stored.response)
            raise InvalidRequest(f"Cannot cancel a {status} response.")
        await _stop(live)
        return self._shown(request, last=live)

    async def input_items(self, request: Request) -> Response:
        """``GET …/input_items``, newest first unless asked otherwise."""
        items = listed(self._stored(request))
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
        live = self._live(request)
        if live is not None:
            await _stop(live)
        name = _name(request)
        if not self._store.delete(_caller(request), name) and live is None:
            raise _not_found(name)
        told = {"id": name, "object": "response", "deleted": True}
        return _json(ascii_json(told).encode("ascii"))

    def _shown(self, request: Request, last: Stream | None = None) -> Response:
        """The response that is kept, else the one under way, else what ``last`` was when it was cancelled."""
        stored = self._store.get(_caller(request), _name(request))
        if stored is not None:
            return _json(stored.response)
        live = last or self._live(request)
        if live is None:
            raise _not_found(_name(request))
        status = "in_progress" if last is None else "cancelled"
        return _json(ascii_json(Answer(live.header).build(status, [])).encode("ascii"))

    def _stored(self, request: Request) -> StoredResponse:
        stored = self._store.get(_caller(request), _name(request))
        if stored is None:
            raise _not_found(_name(request))
        return stored

    def _live(self, request: Request) -> Stream | None:
        """The caller's response that is under way, if it is one that will be kept."""
        stream = self._streams.get(_name(request).removeprefix("resp_"))
        if stream is None or stream.producer.ended:
            return None
        header = stream.header
        if header.dialect != DIALECT or header.caller != _caller(request):
            return None
        return stream if wants_keeping(_fields(header.body).get("store")) else None


async def _stop(stream: Stream) -> None:
    stream.cancel()
    if stream.task is not None:
        await asyncio.wait({stream.task}, timeout=_CANCEL_SECONDS)
    # Its end is told to readers by a callback of the task, which is called after this one may be woken.
    await asyncio.sleep(0)


def _name(request: Request) -> str:
    name: str = request.path_params["response_id"]
    return name


def _caller(request: Request) -> str:
    caller: Any = request.scope["tidegate.caller"]
    return str(caller.id)


def _not_found(name: str) -> NotFound:
    return NotFound(f"Response with id '{name}' not found.", type="invalid_request_error")


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
