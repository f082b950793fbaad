"""The endpoints of ``/files`` and ``/download``: keeping, listing, handing out and cutting into passages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from string import ascii_letters, digits
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from tidegate.core.clock import Clock, Ids
from tidegate.errors import InvalidRequest, NotFound
from tidegate.server.files.passages import passages_of, read_split
from tidegate.server.incoming import read_body, read_limit
from tidegate.store.files import FileStore, StoredFile
from tidegate.wire.ascii_json import ascii_json
from tidegate.wire.multipart import Part, boundary_of, parts_of

_MOST_LISTED = 10_000
_PLAIN = frozenset(f"{ascii_letters}{digits} !#$&'()+,-.;=@[]^_`{{}}~")
"""What every client reads in a quoted file name."""


class FileEndpoints:
    """For the ASGI application. ``max_body`` gives the limit of a request's bytes."""

    def __init__(self, store: FileStore, clock: Clock, ids: Ids, max_body: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._max_body = max_body

    async def files(self, request: Request) -> Response:
        """``GET /files`` and ``POST /files``."""
        if request.method == "POST":
            return await self._upload(request)
        kept = await asyncio.to_thread(self._store.list, _caller(request))
        return _json(_page(kept, request))

    async def file(self, request: Request) -> Response:
        """``GET /files/{file_id}`` and ``DELETE``."""
        stored = await self._found(request)
        if request.method == "DELETE":
            await asyncio.to_thread(self._store.delete, _caller(request), stored.id)
            return _json({"id": stored.id, "object": "file", "deleted": True})
        return _json(_file_object(stored))

    async def content(self, request: Request) -> Response:
        """``GET /files/{file_id}/content``: never as something that a browser would show or run."""
        stored = await self._found(request)
        data = await asyncio.to_thread(self._store.read, _caller(request), stored.id)
        if data is None:
            raise _no_such(stored.id)
        return Response(data, media_type="application/octet-stream", headers=_as_attachment(stored.filename))

    async def download(self, request: Request) -> Response:
        """``GET /download/{file_id}/{name}``, in parts where that is asked for; the id alone decides."""
        name: str = request.path_params["file_id"]
        found = await asyncio.to_thread(self._store.find, _caller(request), name)
        if found is None:
            raise NotFound(f"there is no file {name[:100]!r}", code="file_not_found")
        stored, path = found
        headers = {**_as_attachment(stored.filename), "cache-control": "private, no-cache"}
        return FileResponse(path, headers=headers, media_type=stored.media_type)

    async def split(self, request: Request) -> Response:
        """``POST /files/split``, api-for-open-llm's."""
        asked = read_split(await read_body(request.scope, request.receive, self._max_body()))
        stored = await asyncio.to_thread(self._store.get, _caller(request), asked.file_id)
        data = await asyncio.to_thread(self._store.read, _caller(request), asked.file_id)
        if stored is None or data is None:
            raise _no_such(asked.file_id, "file_id")
        source = {"file_id": stored.id, "filename": stored.filename}
        # A large one must not keep streams waiting.
        docs = await asyncio.to_thread(passages_of, data, asked, source)
        return _json({"id": f"docs-{self._ids()[:24]}", "object": "docs", "docs": docs})

    async def _upload(self, request: Request) -> Response:
        body = await read_body(request.scope, request.receive, self._max_body())
        boundary = boundary_of(request.headers.get("content-type", ""))
        if boundary is None:
            raise InvalidRequest("a file is sent as multipart/form-data, with the parts file and purpose")
        try:
            parts = {part.name: part for part in parts_of(body, boundary)}
        except ValueError as error:
            raise InvalidRequest(str(error)) from None
        file = parts.get("file")
        if file is None or file.filename is None:
            raise InvalidRequest("'file' is missing: send a part of that name with a filename", param="file")
        stored = await asyncio.to_thread(
            self._store.put,
            _caller(request),
            file.filename[:255] or "unnamed",
            _text_of(body, parts.get("purpose"))[:64] or "assistants",
            _data_of(body, file),
            self._clock.now_ms() // 1000,
        )
        return _json(_file_object(stored))

    async def _found(self, request: Request) -> StoredFile:
        name: str = request.path_params["file_id"]
        stored = await asyncio.to_thread(self._store.get, _caller(request), name)
        if stored is None:
            raise _no_such(name)
        return stored


def _as_attachment(filename: str) -> dict[str, str]:
    """Headers with which a browser saves a file and never shows or runs it (RFC 6266, RFC 8187)."""
    plain = "".join(each if each in _PLAIN else "_" for each in filename)
    exact = quote(filename.encode("utf-8", "replace"), safe="!#$&+-.^_`|~")
    return {
        "content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}",
        "content-security-policy": "sandbox; default-src 'none'",
        "x-content-type-options": "nosniff",
    }


def _file_object(stored: StoredFile) -> dict[str, Any]:
    return {
        "id": stored.id,
        "object": "file",
        "bytes": stored.size,
        "created_at": stored.created_at,
        "expires_at": None,
        "filename": stored.filename,
        "purpose": stored.purpose,
        "status": "processed",
        "status_details": None,
    }


def _page(kept: list[StoredFile], request: Request) -> dict[str, Any]:
    """A part of the list: newest first unless asked otherwise."""
    asked = request.query_params
    order = asked.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequest("'order' must be asc or desc", param="order")
    limit = read_limit(asked, _MOST_LISTED, _MOST_LISTED)
    purpose = asked.get("purpose")
    chosen = [each for each in kept if purpose is None or each.purpose == purpose]
    if order == "desc":
        chosen.reverse()
    if after := asked.get("after"):
        at = next((number for number, each in enumerate(chosen) if each.id == after), len(chosen))
        chosen = chosen[at + 1 :]
    page = chosen[:limit]
    return {
        "object": "list",
        "data": [_file_object(each) for each in page],
        "first_id": page[0].id if page else None,
        "last_id": page[-1].id if page else None,
        "has_more": len(chosen) > len(page),
    }


def _data_of(body: bytes, part: Part) -> bytes:
    return body[part.start : part.end] if part.end > part.start else b""


def _text_of(body: bytes, part: Part | None) -> str:
    return _data_of(body, part).decode("utf-8", "replace").strip() if part is not None else ""


def _caller(request: Request) -> str:
    caller: Any = request.scope["tidegate.caller"]
    return str(caller.id)


def _no_such(name: str, param: str = "id") -> NotFound:
    return NotFound(f"No such File object: {name[:100]}", type="invalid_request_error", param=param)


def _json(value: Any) -> Response:
    return Response(ascii_json(value).encode("ascii"), media_type="application/json")
