"""Looking at streams, answering what they ask, and stopping them, for the ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tidegate.access import Caller
from tidegate.agents.questions import Questions, read_reply
from tidegate.errors import InvalidRequest, NotFound
from tidegate.server.incoming import read_body, read_limit
from tidegate.server.stopping import stop
from tidegate.server.streams.state import Json, state, told, whole_state
from tidegate.streams.archive import Summary
from tidegate.streams.listing import Wanted
from tidegate.streams.registry import Readable, Streams
from tidegate.wire.ascii_json import ascii_json

_MOST_LISTED: Final = 100
_LISTED: Final = 20
_MOST_INPUT: Final = 1024 * 1024
_STATUSES: Final = ("running", "completed", "failed", "cancelled", "interrupted")


Others = Callable[[Wanted], Awaitable[list[list[Json]]]]
"""The same page as each of the other worker processes has it."""


async def listed(streams: Streams, questions: Questions, wanted: Wanted) -> list[Json]:
    """The page as this process has it."""
    page = await streams.listed(wanted)
    return [_listed(each, questions) for each in page]


class StreamEndpoints:
    """``/streams`` and what is below; what is streamed there is not served by ASGI."""

    def __init__(self, streams: Streams, questions: Questions, others: Others) -> None:
        self._streams = streams
        self._questions = questions
        self._others = others

    async def stream(self, request: Request) -> Response:
        """``GET``: the stream's state. ``DELETE``: stop it."""
        found = await self._found(request.path_params["stream_id"], _caller(request))
        if request.method == "DELETE":
            return await self._stop(found)
        return _json(await whole_state(found, self._questions))

    async def input(self, request: Request) -> Response:
        """``POST``: answer what the stream asks for."""
        body = await read_body(request.scope, request.receive, _MOST_INPUT)
        request.scope["tidegate.body"] = body  # goes with the request if another process has the stream
        reply = read_reply(body)
        found = await self._found(request.path_params["stream_id"], _caller(request))
        question = await self._questions.answer(found.header.id, reply)
        return _json({"object": "stream.input", "stream": found.header.id, "id": question.id})

    async def streams(self, request: Request) -> Response:
        """``GET``: the caller's streams, the newest first. ``DELETE``: stop the one of a key."""
        asked, caller = request.query_params, _caller(request)
        if request.method == "DELETE":
            return await self._stop(await self._claimed(asked.get("idempotency_key"), caller))
        limit = read_limit(asked, _MOST_LISTED, _LISTED)
        status = asked.get("status")
        if status is not None and status not in _STATUSES:
            raise InvalidRequest(f"'status' must be one of {', '.join(_STATUSES)}", param="status")
        after = asked.get("after")
        before = await self._before(after, caller) if after else None
        wanted = Wanted(caller.id, before, limit + 1, status, caller.workspaces)
        page = await listed(self._streams, self._questions, wanted)
        for more in await self._others(wanted):
            page += more
        # What has ended is in the archive of all; those of one second are in the order of their ids.
        page = sorted({each["id"]: each for each in page}.values(), key=lambda each: each["id"])
        page.sort(key=lambda each: -int(each["created"]))
        data = page[:limit]
        told = {
            "object": "list",
            "data": data,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
            "has_more": len(page) > limit,
        }
        return _json(told)

    async def _claimed(self, key: str | None, caller: Caller) -> Readable:
        if not key:
            raise InvalidRequest(
                "say which stream is to stop: DELETE /v1/streams/ID, or ?idempotency_key=KEY of its request",
                param="idempotency_key",
            )
        claim = await self._streams.archive.claimed(caller.id, key)
        if claim is None:
            raise NotFound(f"no request came with the Idempotency-Key {key!r:.100}", code="stream_not_found")
        return await self._found(claim.stream, caller)

    async def _before(self, stream: str, caller: Caller) -> tuple[int, str]:
        header = (await self._found(stream, caller)).header
        return header.created * 1000, header.id

    async def _found(self, stream: str, caller: Caller) -> Readable:
        return await self._streams.find(stream, caller.id, caller.workspaces)

    async def _stop(self, stream: Readable) -> Response:
        if stream.end is None:
            await stop(stream)
        state = await whole_state(stream, self._questions)
        return _json(state, 202 if stream.end is None else 200)


def _listed(stream: Readable | Summary, questions: Questions) -> Json:
    if isinstance(stream, Summary):
        return told(stream.header, stream.last_seq, stream.end, stream.attempts, stream.seams)
    return state(stream, questions)


def _caller(request: Request) -> Caller:
    caller: Caller = request.scope["tidegate.caller"]
    return caller


def _json(value: Json, status: int = 200) -> Response:
    return Response(ascii_json(value).encode("ascii"), status, media_type="application/json")
