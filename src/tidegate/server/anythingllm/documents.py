"""The endpoints of AnythingLLM's developer API that list, move, place and remove documents."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from tidegate.access import Caller
from tidegate.errors import Forbidden, InvalidRequest
from tidegate.server.anythingllm.asked import caller_of, read_asked
from tidegate.server.anythingllm.reach import check_may_create, within, workspace_at
from tidegate.server.anythingllm.told import answer, phrase
from tidegate.server.anythingllm.uploads import is_name, safe_folder
from tidegate.server.anythingllm.workspaces import WorkspaceEndpoints
from tidegate.store.documents import DEFAULT_FOLDER, Document
from tidegate.store.files import FileStore
from tidegate.workspaces.library import FACTS, Library
from tidegate.workspaces.parsing.formats import accepted_types
from tidegate.workspaces.service import Workspaces
from tidegate.workspaces.settings import MOST, read_whole

_SAVE: Final = {"content-security-policy": "sandbox", "x-content-type-options": "nosniff"}
_NOT_MOVED: Final = "{}/{} files not moved. Unembed them from all workspaces."
_STAYS: Final = f"{DEFAULT_FOLDER} is where documents come in; remove the documents in it instead"
_LISTED: Final = ("folder", "documents", "totalCount", "hasMore")
_LONGEST_NAME: Final = 255
_MOST_TOLD: Final = 20
"""Locations that one answer complains of."""


class DocumentEndpoints:
    """For the ASGI application. ``max_body`` gives the limit of a request's bytes."""

    def __init__(
        self,
        kept: Workspaces,
        library: Library,
        files: FileStore,
        workspaces: WorkspaceEndpoints,
        max_body: Callable[[], int],
    ) -> None:
        self._kept = kept
        self._library = library
        self._files = files
        self._workspaces = workspaces
        self._max_body = max_body

    async def list(self, request: Request) -> Response:
        """``GET /documents``: all folders with what is in them, or one of them where it is named."""
        if folder := request.query_params.get("folder"):
            told = await self._folder(request, folder)
            code = told["code"]
            return answer(
                {**{name: told[name] for name in _LISTED}, "code": code, "error": told["error"]}, code
            )
        caller = caller_of(request)
        seen = await within(self._kept, caller)
        folders = () if seen is not None else await self._library.documents.folders(caller.id)
        inside: dict[str, list[dict[str, Any]]] = {name: [] for name in folders}
        pinned = await self._library.placements.pinned_of(caller.id)
        for document in await self._library.documents.list(caller.id, within=seen):
            inside.setdefault(document.folder, []).append(_file(document, pinned))
        items = [{"name": name, "type": "folder", "items": files} for name, files in sorted(inside.items())]
        return answer({"localFiles": {"name": "documents", "type": "folder", "items": items}})

    async def folder(self, request: Request) -> Response:
        """``GET /documents/folder/{folder}``."""
        told = await self._folder(request, request.path_params["folder"])
        return answer({name: told[name] for name in (*_LISTED, "error")}, told["code"])

    async def _folder(self, request: Request, name: str) -> dict[str, Any]:
        """A part of a folder. ``code`` is the status that this is told with."""
        caller, query = caller_of(request), request.query_params
        told: dict[str, Any] = {"folder": name, "documents": [], "totalCount": 0, "hasMore": False}
        if not is_name(name):
            return {**told, "code": 400, "error": f"{name!r:.100} is no name of a folder"}
        seen = await within(self._kept, caller)
        total = await self._library.documents.count(caller.id, name, seen)
        empty = seen is None and name in await self._library.documents.folders(caller.id)
        if not total and not empty:
            return {**told, "code": 404, "error": f"there is no folder {name!r:.100}"}
        offset = read_whole(query.get("offset"), 0, 0)
        limit = read_whole(query.get("limit"), MOST, 1)
        found = await self._library.documents.list(caller.id, name, offset=offset, limit=limit, within=seen)
        pinned = await self._library.placements.pinned_of(caller.id)
        told |= {"documents": [_file(each, pinned) for each in found], "totalCount": total}
        return {**told, "hasMore": offset + len(found) < total, "code": 200, "error": None}

    async def _at(self, caller: Caller, location: str) -> Document | None:
        """The document at a location, where the caller sees one there."""
        return await self._library.documents.get(caller.id, location, await within(self._kept, caller))

    async def accepted_types(self, _: Request) -> Response:
        """``GET /document/accepted-file-types``."""
        return answer({"types": accepted_types()})

    async def schema(self, _: Request) -> Response:
        """``GET /document/metadata-schema``."""
        return answer({"schema": dict.fromkeys(FACTS, "string | nullable")})

    async def one(self, request: Request) -> Response:
        """``GET /document/{name}``, with its text."""
        caller = caller_of(request)
        document = await self._at(caller, request.path_params["name"])
        if document is None:
            return phrase(404)
        pinned = await self._library.placements.pinned_of(caller.id)
        text = await self._library.text_of(document)
        told = {"document": {**_file(document, pinned), "pageContent": text}}
        return await asyncio.to_thread(answer, told)  # a book must not keep streams waiting

    async def create_folder(self, request: Request) -> Response:
        """``POST /document/create-folder``."""
        asked = await read_asked(request, self._max_body)
        check_may_create(caller_of(request))
        try:
            name = safe_folder(asked.get("name"))
        except InvalidRequest as error:
            return answer({"success": False, "message": error.message}, 500)
        if not await self._library.documents.create_folder(caller_of(request).id, name):
            return answer({"success": False, "message": "Folder by that name already exists"}, 500)
        return answer({"success": True, "message": None})

    async def remove_folder(self, request: Request) -> Response:
        """``DELETE /document/remove-folder``, with all that is in it."""
        asked = await read_asked(request, self._max_body)
        check_may_create(caller_of(request))
        try:
            name = safe_folder(asked.get("name"))
        except InvalidRequest as error:
            return answer({"success": False, "message": error.message}, 500)
        if name == DEFAULT_FOLDER:  # AnythingLLM keeps it as well
            return answer({"success": False, "message": _STAYS}, 500)
        await self._library.remove_folder(caller_of(request).id, name)
        return answer({"success": True, "message": "Folder removed successfully"})

    async def move(self, request: Request) -> Response:
        """``POST /document/move-files``. One that is in a workspace stays, as its clients expect."""
        asked = await read_asked(request, self._max_body)
        caller = caller_of(request)
        check_may_create(caller)
        files = asked.get("files")
        wanted = [each for each in files if isinstance(each, dict)] if isinstance(files, list) else []
        moves = [(str(each.get("from") or ""), str(each.get("to") or "")) for each in wanted]
        known = set(await self._library.documents.among(caller.id, [each for each, _ in moves]))
        stayed = 0
        for location, to in moves:
            if location in known and await self._move(caller.id, location, to):
                known.add(to)
            else:
                stayed += 1
        message = _NOT_MOVED.format(stayed, len(wanted)) if stayed else None
        return answer({"success": True, "message": message})

    async def _move(self, owner: str, location: str, to: str) -> bool:
        document = await self._library.documents.get(owner, location)
        if document is None or await self._library.placements.workspaces_of(document.id):
            return False
        folder, _, name = to.rpartition("/")
        try:
            folder = safe_folder(folder)
        except InvalidRequest:
            return False
        if not is_name(name) or len(name) > _LONGEST_NAME:
            return False
        return await self._library.documents.move(owner, location, f"{folder}/{name}")

    async def remove(self, request: Request) -> Response:
        """``DELETE /system/remove-documents``: from everywhere."""
        asked = await read_asked(request, self._max_body)
        check_may_create(caller_of(request))
        owner = caller_of(request).id
        for name in await self._library.documents.among(owner, _names(asked.get("names"))):
            await self._library.remove(owner, name)
        return answer({"success": True, "message": "Documents removed successfully"})

    async def update_embeddings(self, request: Request) -> Response:
        """``POST /workspace/{slug}/update-embeddings``, which returns when it is done."""
        asked = await read_asked(request, self._max_body)
        workspace = await workspace_at(self._kept, request)
        if workspace is None:
            return phrase(400)
        caller = caller_of(request)
        seen = await within(self._kept, caller)
        adds, deletes = (_names(asked.get(name)) for name in ("adds", "deletes"))
        found = await self._library.documents.among(caller.id, (*adds, *deletes), within=seen)
        for document in filter(None, map(found.get, deletes)):
            await self._library.take_out(workspace.id, document)
        await self._library.put_into([workspace.id], [*filter(None, map(found.get, adds))])
        changed = await self._kept.workspaces.by_id(workspace.id) or workspace
        whole = await self._workspaces.whole(request, changed)
        known = {name: found.get(name) for name in (*adds, *deletes)}
        return answer({"workspace": whole, "message": _what_failed(known, adds, whole["documents"])})

    async def update_pin(self, request: Request) -> Response:
        """``POST /workspace/{slug}/update-pin``."""
        asked = await read_asked(request, self._max_body)
        workspace = await workspace_at(self._kept, request)
        location = asked.get("docPath")
        if workspace is None or not isinstance(location, str):
            return phrase(404)
        document = await self._library.documents.get(workspace.owner, location)
        pinned = asked.get("pinStatus") is True
        if document is None or not await self._library.placements.pin(
            workspace.id, document.id, pinned=pinned
        ):
            return phrase(404)
        return answer({"message": "Pin status updated successfully"})

    async def generated(self, request: Request) -> Response:
        """``GET /document/generated-files/{file}``: a file that an agent has made, by its id."""
        name: str = request.path_params["file"]
        try:
            found = await asyncio.to_thread(self._files.find, caller_of(request).id, name)
        except Forbidden:
            found = None
        if found is None:
            return answer({"error": f"there is no file {name[:100]!r}"}, 404)
        stored, path = found
        return FileResponse(path, filename=stored.filename, media_type=stored.media_type, headers=_SAVE)


def _file(document: Document, pinned: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    return {
        "name": document.name,
        "type": "file",
        "id": document.id,
        **document.facts,
        "wordCount": document.words,
        "token_count_estimate": document.tokens,
        "cached": True,
        "pinnedWorkspaces": list(pinned.get(document.id, ())),
        "watched": False,
        "canWatch": False,
    }


def _what_failed(
    known: Mapping[str, Document | None], adds: Sequence[str], there: Sequence[Mapping[str, Any]]
) -> str | None:
    """What became of locations that are not as they were asked to be; None where all are."""
    told = [f"there is no document {name!r:.300}" for name, found in known.items() if found is None]
    errors = {each["docId"]: each["error"] for each in there if each["error"]}
    added = {found.id: name for name in adds if (found := known[name]) is not None}
    told += [f"{name}: {errors[document]}" for document, name in added.items() if document in errors]
    return "; ".join(told[:_MOST_TOLD]) or None


def _names(value: Any) -> Sequence[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
