"""The operations on workspaces: making, listing, changing, deleting and searching them."""

from __future__ import annotations

from typing import Any, Final

from tidegate.server.anythingllm import document_paths
from tidegate.server.anythingllm import paths as at
from tidegate.server.openapi.anythingllm.forms import (
    COUNT,
    FLAG,
    MAYBE_NUMBER,
    MAYBE_STRING,
    MOMENT,
    NOTHING,
    NUMBER,
    OBJECT,
    STRING,
    STRINGS,
    aborted,
    answer,
    list_of,
    operation,
    path_parameters,
    phrase,
    query,
)
from tidegate.server.openapi.shared import object_of, ref
from tidegate.workspaces.settings import MOST

Json = dict[str, Any]

_TAG: Final = "workspaces"
SLUG: Final = path_parameters(slug="The workspace's slug.")
_MODES: Final = ["automatic", "chat", "query"]
_LENIENT: Final = "A value that makes no sense is the default, as in AnythingLLM; other members are ignored."
_UNKNOWN: Final = "There is no such workspace, or the body is no JSON object."


def paths() -> Json:
    """Operations by path and method."""
    return {
        at.WORKSPACE_NEW: {"post": _new()},
        at.WORKSPACES: {"get": _list()},
        at.WORKSPACE: {"get": _one(), "delete": _delete()},
        at.WORKSPACE_UPDATE: {"post": _update()},
        at.CHATS: {"get": _chats()},
        at.VECTOR_SEARCH: {"post": _search()},
        document_paths.UPDATE_EMBEDDINGS: {"post": _embed()},
        document_paths.UPDATE_PIN: {"post": _pin()},
    }


def schemas() -> Json:
    """A workspace, short and whole, what may be set of it, its documents, and a passage that was found."""
    return {
        "Workspace": object_of(_columns(), description="A workspace in the columns of AnythingLLM's table."),
        "WholeWorkspace": object_of(
            {
                **_columns(),
                "documents": list_of(ref("schemas", "PlacedDocument")),
                "threads": list_of(object_of({"user_id": MAYBE_NUMBER, "slug": STRING})),
                "contextWindow": MAYBE_NUMBER,
                "currentContextTokenCount": COUNT,
            },
            description="A workspace with all that belongs to it.",
        ),
        "WorkspaceSettings": object_of(_settings(), [], _LENIENT),
        "PlacedDocument": _placed(),
        "FoundPassage": _found(),
    }


def _settings() -> Json:
    return {
        "name": {"type": "string", "description": "At most 255 characters are kept."},
        "openAiTemp": {"type": ["number", "null"], "minimum": 0},
        "openAiHistory": {**COUNT, "maximum": MOST, "default": 20},
        "openAiPrompt": MAYBE_STRING,
        "similarityThreshold": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.25},
        "chatProvider": MAYBE_STRING,
        "chatModel": {**MAYBE_STRING, "description": "A model of `GET /v1/models`."},
        "topN": {**NUMBER, "default": 4},
        "chatMode": {"enum": _MODES, "default": "automatic"},
        "agentProvider": MAYBE_STRING,
        "agentModel": MAYBE_STRING,
        "queryRefusalResponse": MAYBE_STRING,
        "vectorSearchMode": {"enum": ["default", "rerank"], "default": "default"},
    }


def _columns() -> Json:
    return {
        "id": NUMBER,
        "slug": STRING,
        "vectorTag": NOTHING,
        "createdAt": MOMENT,
        "lastUpdatedAt": MOMENT,
        **_settings(),
        "pfpFilename": NOTHING,
        "router_id": NOTHING,
    }


def _placed() -> Json:
    return object_of(
        {
            "id": NUMBER,
            "docId": STRING,
            "filename": STRING,
            "docpath": {"type": "string", "description": "Its location: `folder/name`."},
            "workspaceId": NUMBER,
            "metadata": OBJECT,
            "pinned": FLAG,
            "watched": FLAG,
            "createdAt": MOMENT,
            "lastUpdatedAt": MOMENT,
            "state": {"enum": ["waiting", "indexed", "failed"]},
            "error": {**MAYBE_STRING, "description": "Why it could not be indexed."},
            "passages": COUNT,
            "contentHash": STRING,
        },
        description="A document that a workspace answers from.",
    )


def _found() -> Json:
    words = ("url", "title", "author", "description", "docSource", "chunkSource", "published")
    metadata = dict.fromkeys(words, STRING) | {"wordCount": COUNT, "tokenCount": COUNT}
    return object_of(
        {
            "id": STRING,
            "text": STRING,
            "metadata": object_of(
                {**metadata, "page": COUNT, "heading": STRING},
                list(metadata),
                "`page` and `heading` where they are known.",
            ),
            "distance": {"type": "number"},
            "score": {"type": "number"},
        }
    )


def _told(schema: str, *, message: Json = NOTHING) -> Json:
    return object_of({"workspace": ref("schemas", schema), "message": message})


def _new() -> Json:
    refused = object_of({"workspace": NOTHING, "message": STRING})
    return operation(
        "createWorkspace",
        _TAG,
        "Make a workspace",
        {
            "200": answer("It is made.", _told("Workspace")),
            "400": aborted("`name` is missing, or the body is no JSON object.", refused),
        },
        body={**ref("schemas", "WorkspaceSettings"), "required": ["name"]},
        needs_body=True,
        creates=True,
    )


def _list() -> Json:
    thread = object_of({"user_id": MAYBE_NUMBER, "slug": STRING, "name": STRING})
    each = {"allOf": [ref("schemas", "Workspace"), object_of({"threads": list_of(thread)})]}
    told = object_of({"workspaces": list_of(each)})
    return operation("listWorkspaces", _TAG, "List the workspaces", {"200": answer("All of them.", told)})


def _one() -> Json:
    told = object_of({"workspace": {**list_of(ref("schemas", "WholeWorkspace")), "maxItems": 1}})
    answers = {"200": answer("A list of one; of none where the slug is unknown.", told)}
    return operation("getWorkspace", _TAG, "Show a workspace", answers, parameters=SLUG)


def _delete() -> Json:
    answers = {
        "200": phrase("It is gone, with its threads, chats and embeds.", "OK"),
        "400": phrase("There is no such workspace.", "Bad Request"),
    }
    told = operation("deleteWorkspace", _TAG, "Delete a workspace", answers, parameters=SLUG)
    told["responses"]["403"]["description"] += " Or `WORKSPACE_DELETION_PROTECTION` is set."
    return told


def _update() -> Json:
    unchanged = object_of({"workspace": object_of({"id": NUMBER}), "message": STRING})
    answers = {
        "200": answer(
            "It is changed; or nothing was, since nothing was set.",
            {"anyOf": [_told("Workspace"), unchanged]},
        ),
        "400": phrase(_UNKNOWN, "Bad Request", or_aborted=True),
    }
    return operation(
        "updateWorkspace",
        _TAG,
        "Change a workspace",
        answers,
        parameters=SLUG,
        body=ref("schemas", "WorkspaceSettings"),
    )


def _chats() -> Json:
    parameters = [
        *SLUG,
        query("apiSessionId", STRING, "The chats of this session; without it those of none."),
        query("limit", {**NUMBER, "default": 100}, "How many; at most 10,000 are told."),
        query("orderBy", {"enum": ["asc", "desc"], "default": "asc"}, "`desc`: the newest first."),
    ]
    answers = {
        "200": answer("Questions and answers.", ref("schemas", "ChatHistory")),
        "400": phrase("There is no such workspace.", "Bad Request"),
    }
    return operation("listWorkspaceChats", _TAG, "List what was said", answers, parameters=parameters)


def _search() -> Json:
    told = object_of({"results": list_of(ref("schemas", "FoundPassage")), "message": STRING}, ["results"])
    answers = {
        "200": answer("The best first. With a `message` where the workspace holds nothing.", told),
        "400": aborted(
            "There is no such workspace, `query` is empty, or the body is no JSON object.",
            object_of({"message": STRING}),
        ),
    }
    body = object_of(
        {
            "query": STRING,
            "topN": {**NUMBER, "description": "At most 1000; without it the workspace's own."},
            "scoreThreshold": {"type": "number", "minimum": 0, "maximum": 1},
        },
        ["query"],
    )
    return operation(
        "searchWorkspace",
        _TAG,
        "Find passages",
        answers,
        parameters=SLUG,
        body=body,
        needs_body=True,
    )


def _embed() -> Json:
    answers = {
        "200": answer("It answers from them.", object_of({"workspace": ref("schemas", "WholeWorkspace")})),
        "400": phrase(_UNKNOWN, "Bad Request", or_aborted=True),
    }
    body = object_of({"adds": STRINGS, "deletes": STRINGS}, [], "Locations of documents: `folder/name`.")
    return operation(
        "updateEmbeddings",
        _TAG,
        "Put documents into a workspace, and others out",
        answers,
        parameters=SLUG,
        body=body,
        description="Answers when it is done. Locations that are unknown are passed over.",
    )


def _pin() -> Json:
    answers = {
        "200": answer("It is done.", object_of({"message": {"const": "Pin status updated successfully"}})),
        "404": phrase("There is no such workspace, or this document is not in it.", "Not Found"),
    }
    body = object_of({"docPath": STRING, "pinStatus": FLAG}, ["docPath"])
    return operation(
        "updatePin",
        _TAG,
        "Show a document to the model always, or no more",
        answers,
        parameters=SLUG,
        body=body,
        needs_body=True,
    )
