"""The operations on documents: bringing them in, listing, moving and removing them."""

from __future__ import annotations

from typing import Any, Final

from tidegate.server.anythingllm import document_paths as at
from tidegate.server.openapi.anythingllm.forms import (
    COUNT,
    FLAG,
    MAYBE_STRING,
    NOTHING,
    NUMBER,
    STRING,
    STRINGS,
    answer,
    list_of,
    operation,
    path_parameters,
    phrase,
    query,
)
from tidegate.server.openapi.shared import object_of, ref
from tidegate.workspaces.library import FACTS
from tidegate.workspaces.settings import MOST

Json = dict[str, Any]

_TAG: Final = "documents"
_ADD_TO: Final = {"type": "string", "description": "Slugs of workspaces, separated by commas."}
_FACTS: Final = dict.fromkeys(FACTS, STRING)
_PART: Final = [
    query("offset", {**COUNT, "maximum": MOST, "default": 0}, "How many to pass over."),
    query("limit", {"oneOf": [NUMBER, {"const": "all"}], "default": "all"}, "How many to tell."),
]


def paths() -> Json:
    """Operations by path and method."""
    return {
        at.UPLOAD: {"post": _upload("uploadDocument", "Bring a file in", [])},
        at.UPLOAD_TO: {"post": _upload("uploadDocumentTo", "Bring a file into a folder", _folder_name())},
        at.UPLOAD_LINK: {"post": _link()},
        at.RAW_TEXT: {"post": _text()},
        at.DOCUMENTS: {"get": _list()},
        at.FOLDER: {"get": _folder()},
        at.ACCEPTED_TYPES: {"get": _types()},
        at.METADATA_SCHEMA: {"get": _schema()},
        at.CREATE_FOLDER: {"post": _create_folder()},
        at.REMOVE_FOLDER: {"delete": _remove_folder()},
        at.MOVE_FILES: {"post": _move()},
        at.GENERATED_FILE: {"get": _generated()},
        at.DOCUMENT.replace(":path", ""): {"get": _one()},
        at.REMOVE_DOCUMENTS: {"delete": _remove()},
    }


def schemas() -> Json:
    """A document that was brought in, one that is listed, and a folder of them."""
    counted = {"wordCount": COUNT, "token_count_estimate": COUNT}
    listed = {
        "name": STRING,
        "type": {"const": "file"},
        "id": STRING,
        **_FACTS,
        **counted,
        "cached": {"const": True},
        "pinnedWorkspaces": list_of(NUMBER),
        "watched": FLAG,
        "canWatch": FLAG,
    }
    brought = {"id": STRING, "location": STRING, "name": STRING, **_FACTS, **counted}
    folder = {
        "folder": STRING,
        "documents": list_of(ref("schemas", "ListedDocument")),
        "totalCount": COUNT,
        "hasMore": FLAG,
        "error": MAYBE_STRING,
        "code": COUNT,
    }
    return {
        "BroughtDocument": object_of(
            {**brought, "pageContent": {**STRING, "description": "Of `raw-text` only."}},
            list(brought),
            "A document that was brought in. `location` is what other paths call it by.",
        ),
        "ListedDocument": object_of(
            {**listed, "pageContent": {**STRING, "description": "Where one document is asked for."}},
            list(listed),
            "A document in its folder.",
        ),
        "DocumentFolder": object_of(
            folder,
            ["folder", "documents", "totalCount", "hasMore", "error"],
            "A part of a folder; `code` at `GET /api/v1/documents` only.",
        ),
    }


def _folder_name() -> list[Json]:
    return path_parameters(folder="A folder's name; where there is none it is made.")


def _bringing(name: str, summary: str, **more: Any) -> Json:
    failed = object_of({"success": {"const": False}, "error": STRING})
    brought = {
        "success": {"const": True},
        "error": NOTHING,
        "documents": list_of(ref("schemas", "BroughtDocument")),
    }
    answers = {
        "200": answer("It is kept, and in the workspaces.", object_of(brought)),
        "422": answer("What was sent makes no sense; nothing is kept.", failed),
        "500": answer("It cannot be read; nothing is kept.", failed),
    }
    told = operation(name, _TAG, summary, answers, **more)
    about = (
        "The key is missing or wrong; or it is for some workspaces only, and `addToWorkspaces` names none."
    )
    told["responses"]["403"] = answer(about, {"anyOf": [ref("schemas", "AnythingLLMRefusal"), failed]})
    return told


def _upload(name: str, summary: str, parameters: list[Json]) -> Json:
    told = _bringing(name, summary, parameters=parameters)
    file = {"type": "string", "format": "binary"}
    metadata = {"type": "string", "description": "The facts of the document, as JSON."}
    form = object_of({"file": file, "addToWorkspaces": _ADD_TO, "metadata": metadata}, ["file"])
    return {
        **told,
        "description": "A file of the same content is kept once; one of the same name takes its place.",
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
    }


def _link() -> Json:
    body = object_of(
        {
            "link": {"type": "string", "description": "`https://…` or `http://…`"},
            "addToWorkspaces": _ADD_TO,
            "scraperHeaders": {"type": "object", "description": "Headers of the request for the page."},
            "metadata": object_of(_FACTS, []),
        },
        ["link"],
    )
    return _bringing("uploadLink", "Bring a page of the web in", body=body, needs_body=True)


def _text() -> Json:
    body = object_of(
        {
            "textContent": {"type": "string", "description": "Not empty."},
            "addToWorkspaces": _ADD_TO,
            "metadata": object_of(_FACTS, ["title"]),
        },
        ["textContent", "metadata"],
    )
    return _bringing("addRawText", "Bring a text in", body=body, needs_body=True)


def _list() -> Json:
    folder = object_of(
        {"name": STRING, "type": {"const": "folder"}, "items": list_of(ref("schemas", "ListedDocument"))}
    )
    root = {"name": {"const": "documents"}, "type": {"const": "folder"}, "items": list_of(folder)}
    whole = object_of({"localFiles": object_of(root)})
    part = ref("schemas", "DocumentFolder")
    answers = {
        "200": answer("All folders; or a part of one, where `folder` names it.", {"anyOf": [whole, part]}),
        "400": answer("This is no name of a folder.", part),
        "404": answer("There is no such folder.", part),
    }
    only = query("folder", STRING, "Of this folder only.")
    return operation("listDocuments", _TAG, "List the documents", answers, parameters=[only, *_PART])


def _folder() -> Json:
    part = ref("schemas", "DocumentFolder")
    answers = {
        "200": answer("A part of it.", part),
        "400": answer("This is no name of a folder.", part),
        "404": answer("There is no such folder.", part),
    }
    parameters = [*path_parameters(folder="The folder's name."), *_PART]
    return operation("listFolder", _TAG, "List the documents of a folder", answers, parameters=parameters)


def _types() -> Json:
    types = {"type": "object", "additionalProperties": STRINGS}
    answers = {"200": answer("File endings by media type.", object_of({"types": types}))}
    return operation("listAcceptedTypes", _TAG, "List the types that are read", answers)


def _schema() -> Json:
    answers = {"200": answer("What may be said of a document.", object_of({"schema": object_of(_FACTS)}))}
    return operation("getMetadataSchema", _TAG, "Show what metadata there is", answers)


def _one() -> Json:
    answers = {
        "200": answer("With its text.", object_of({"document": ref("schemas", "ListedDocument")})),
        "404": phrase("There is no such document.", "Not Found"),
    }
    parameters = path_parameters(name="Its location, or its name; slashes need not be escaped.")
    return operation("getDocument", _TAG, "Show a document", answers, parameters=parameters)


def _create_folder() -> Json:
    told = object_of({"success": FLAG, "message": MAYBE_STRING})
    answers = {
        "200": answer("It is made.", told),
        "500": answer("This is no name of a folder, or there is one of this name.", told),
    }
    body = object_of({"name": STRING})
    return operation("createFolder", _TAG, "Make a folder", answers, body=body, needs_body=True, creates=True)


def _remove_folder() -> Json:
    told = object_of({"success": FLAG, "message": STRING})
    answers = {
        "200": answer("It is gone, with all that was in it.", told),
        "500": answer("This is no name of a folder, or it is the one where documents come in.", told),
    }
    body = object_of({"name": STRING})
    return operation(
        "removeFolder", _TAG, "Remove a folder", answers, body=body, needs_body=True, creates=True
    )


def _move() -> Json:
    about = "`message` says how many stayed where they were, since they are in workspaces or cannot be there."
    told = object_of({"success": {"const": True}, "message": MAYBE_STRING})
    move = object_of({"from": STRING, "to": STRING}, description="Locations: `folder/name`.")
    return operation(
        "moveDocuments",
        _TAG,
        "Move documents",
        {"200": answer(about, told)},
        body=object_of({"files": list_of(move)}),
        creates=True,
    )


def _generated() -> Json:
    whole: Json = {"*/*": {"schema": {}}}
    answers = {
        "200": {"description": "Its bytes, in the type that it has, as an attachment.", "content": whole},
        "206": {"description": "The part that `Range` asks for.", "content": whole},
        "404": answer("The caller has no such file.", object_of({"error": STRING})),
    }
    parameters = path_parameters(file="The file's id.")
    return operation("getGeneratedFile", _TAG, "Save what an agent made", answers, parameters=parameters)


def _remove() -> Json:
    told = object_of({"success": {"const": True}, "message": STRING})
    answers = {"200": answer("They are gone from everywhere.", told)}
    body = object_of({"names": {**STRINGS, "description": "Locations: `folder/name`."}})
    return operation("removeDocuments", _TAG, "Delete documents", answers, body=body, creates=True)
