"""The endpoints of ``/api/v1/document`` that bring documents in: files, links and texts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tidegate.errors import InvalidRequest, RequestError, TidegateError
from tidegate.server.anythingllm.asked import caller_of, read_asked
from tidegate.server.anythingllm.reach import check_may_create, find, within
from tidegate.server.anythingllm.told import answer
from tidegate.server.incoming import read_body
from tidegate.store.documents import DEFAULT_FOLDER, Document, Within
from tidegate.store.workspaces import Workspace
from tidegate.wire.multipart import Part, boundary_of, parts_of
from tidegate.workspaces.library import FACTS, Library, document_object
from tidegate.workspaces.service import Workspaces

logger = logging.getLogger("tidegate")

_ADD_TO: Final = (
    "addToWorkspaces must be a string of comma-separated slugs of your workspaces; there is none called "
)
_NO_TITLE: Final = (
    "You are missing required metadata key:value pairs in your request. Required metadata key:values are "
    "'title'"
)
_NO_TEXT: Final = "The 'textContent' key cannot have an empty value."
_LONGEST_FOLDER: Final = 100
_LONGEST_METADATA: Final = 2**17


class UploadEndpoints:
    """For the ASGI application. ``max_body`` gives the limit of a request's bytes."""

    def __init__(self, kept: Workspaces, library: Library, max_body: Callable[[], int]) -> None:
        self._kept = kept
        self._library = library
        self._max_body = max_body

    async def file(self, request: Request) -> Response:
        """``POST /document/upload`` and ``POST /document/upload/{folder}``."""
        body = await read_body(request.scope, request.receive, self._max_body())
        try:
            parts = await asyncio.to_thread(_parts, body, request.headers.get("content-type", ""))
            folder = safe_folder(request.path_params.get("folder") or DEFAULT_FOLDER)
        except InvalidRequest as error:
            return _failed(error.message, 422)
        file = parts.get("file")
        if file is None or file.filename is None:
            return _failed("send the file as a part of multipart/form-data that is called 'file'", 422)
        sent = file
        metadata = _text_of(body, parts.get("metadata"))

        async def add(owner: str, replaceable: Within) -> Document:
            return await self._library.add_file(
                owner,
                sent.filename or "",
                body[sent.start : sent.end] if sent.end > sent.start else b"",
                folder=folder,
                media_type=sent.content_type,
                facts=_facts(metadata),
                within=replaceable,
            )

        return await self._add(request, _text_of(body, parts.get("addToWorkspaces")), add)

    async def link(self, request: Request) -> Response:
        """``POST /document/upload-link``."""
        asked = await read_asked(request, self._max_body)
        link = asked.get("link")
        if not isinstance(link, str) or not link.strip():
            return _failed("'link' must be an address such as https://example.com/page", 422)
        headers = asked.get("scraperHeaders")
        sent = {str(name): str(value) for name, value in headers.items()} if isinstance(headers, dict) else {}

        async def add(owner: str, replaceable: Within) -> Document:
            facts = _facts(asked.get("metadata"))
            return await self._library.add_link(
                owner, link.strip(), headers=sent, facts=facts, within=replaceable
            )

        return await self._add(request, asked.get("addToWorkspaces"), add)

    async def text(self, request: Request) -> Response:
        """``POST /document/raw-text``."""
        asked = await read_asked(request, self._max_body)
        facts = _facts(asked.get("metadata"))
        text = asked.get("textContent")
        if not facts.get("title"):
            return _failed(_NO_TITLE, 422)
        if not isinstance(text, str) or not text.strip():
            return _failed(_NO_TEXT, 422)

        async def add(owner: str, replaceable: Within) -> Document:
            return await self._library.add_text(owner, text, facts, within=replaceable)

        return await self._add(request, asked.get("addToWorkspaces"), add, text=text)

    async def _add(
        self,
        request: Request,
        add_to: Any,
        add: Callable[[str, Within], Awaitable[Document]],
        *,
        text: str | None = None,
    ) -> Response:
        """Bring a document in and put it into workspaces: all of it, or nothing at all."""
        caller = caller_of(request)
        try:
            workspaces = await self._workspaces(request, add_to)
            if not workspaces:
                check_may_create(caller)
            replaceable = await within(self._kept, caller)
        except RequestError as error:
            return _failed(error.message, error.status if error.status == 403 else 422)
        try:
            document = await add(caller.id, replaceable)
            await self._library.put_into([each.id for each in workspaces], [document])
        except RequestError as error:
            return _failed(error.message, error.status if error.status == 403 else 500)
        except TidegateError as error:
            logger.warning("a document could not be brought in: %s", error.message)
            return _failed(error.message, 500)
        told = document_object(document)
        if text is not None:
            told["pageContent"] = text
        # A book must not keep streams waiting.
        return await asyncio.to_thread(answer, {"success": True, "error": None, "documents": [told]})

    async def _workspaces(self, request: Request, add_to: Any) -> Sequence[Workspace]:
        """The workspaces that are named, separated by commas. Raises InvalidRequest for an unknown one."""
        if add_to is None or add_to == "":
            return []
        if not isinstance(add_to, str):
            raise InvalidRequest(f"{_ADD_TO}{add_to!r}"[:300], param="addToWorkspaces")
        found = []
        for slug in dict.fromkeys(filter(None, (each.strip() for each in add_to.split(",")))):
            workspace = await find(self._kept, caller_of(request), slug)
            if workspace is None:
                raise InvalidRequest(f"{_ADD_TO}{slug!r}"[:300], param="addToWorkspaces")
            found.append(workspace)
        return found


def safe_folder(name: Any) -> str:
    """A folder's name. Raises InvalidRequest for one that is none, or that would lead elsewhere."""
    cleaned = name.strip().strip("/") if isinstance(name, str) else ""
    if len(cleaned) > _LONGEST_FOLDER or ".." in cleaned or not is_name(cleaned):
        raise InvalidRequest(
            f"a folder's name has up to {_LONGEST_FOLDER} characters, no slashes and no '..'; "
            f"{name!r:.60} is none",
            param="folder",
        )
    return cleaned


def is_name(name: str) -> bool:
    """Whether this may be the name of a document or a folder: one step of a path, of what can be written."""
    return name not in ("", ".", "..") and name.isprintable() and not {"/", "\\"} & set(name)


def _parts(body: bytes, content_type: str) -> Mapping[str, Part]:
    boundary = boundary_of(content_type)
    if boundary is None:
        return {}
    try:
        return {part.name: part for part in parts_of(body, boundary)}
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


def _text_of(body: bytes, part: Part | None) -> str | None:
    if part is None:
        return None
    return body[part.start : part.end].decode("utf-8", "replace") if part.end > part.start else ""


def _facts(metadata: Any) -> dict[str, str]:
    """What the caller says of a document; what is no fact of one is left out."""
    if isinstance(metadata, str):
        if len(metadata) > _LONGEST_METADATA:
            return {}
        try:
            metadata = msgspec.json.decode(metadata)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}
    if not isinstance(metadata, dict):
        return {}
    given = {name: metadata.get(name) for name in FACTS}
    return {name: str(value) for name, value in given.items() if isinstance(value, str | int | float)}


def _failed(sentence: str, status: int) -> Response:
    return answer({"success": False, "error": sentence}, status)
