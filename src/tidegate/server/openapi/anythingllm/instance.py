"""The operations on the instance: whether a key is good, settings, and all chats at once."""

from __future__ import annotations

from typing import Any, Final

from tidegate.server.anythingllm import admin_paths
from tidegate.server.anythingllm import paths as at
from tidegate.server.openapi.anythingllm.forms import (
    COUNT,
    FLAG,
    MAYBE_NUMBER,
    MAYBE_STRING,
    MOMENT,
    NUMBER,
    OBJECT,
    STRING,
    answer,
    list_of,
    operation,
    phrase,
    query,
)
from tidegate.server.openapi.shared import json_content, object_of, ref
from tidegate.workspaces.settings import MOST

Json = dict[str, Any]

_TAG: Final = "instance"


def paths() -> Json:
    """Operations by path and method."""
    ping = {"200": answer("It does.", object_of({"online": {"const": True}}))}
    auth = {"200": answer("It is.", object_of({"authenticated": {"const": True}}))}
    dump = {"200": phrase("Nothing needs to be done: settings are in a file already.", "OK")}
    page = {"description": "HTML without scripts.", "content": {"text/html": {"schema": STRING}}}
    count = {"200": answer("Of all workspaces.", object_of({"vectorCount": COUNT}))}
    return {
        at.PING: {"get": operation("ping", _TAG, "Whether the process answers", ping, public=True)},
        at.DOCS: {"get": operation("apiDocs", _TAG, "The page of /docs", {"200": page}, public=True)},
        at.AUTH: {"get": operation("checkKey", _TAG, "Whether the key is good", auth)},
        at.ENV_DUMP: {"get": operation("dumpSettings", _TAG, "Keep the settings", dump, public=True)},
        at.EXPORT_CHATS: {"get": _export()},
        at.WORKSPACE_CHATS: {"post": _chats()},
        admin_paths.SYSTEM: {"get": _system()},
        admin_paths.VECTOR_COUNT: {"get": operation("countVectors", _TAG, "Count the passages", count)},
        admin_paths.UPDATE_ENV: {"post": _update()},
    }


def schemas() -> Json:
    """A chat in AnythingLLM's table."""
    return {
        "ChatRow": object_of(
            {
                "id": NUMBER,
                "workspaceId": NUMBER,
                "prompt": STRING,
                "response": {"type": "string", "description": "JSON."},
                "include": FLAG,
                "user_id": MAYBE_NUMBER,
                "createdAt": MOMENT,
                "lastUpdatedAt": MOMENT,
                "thread_id": MAYBE_NUMBER,
                "api_session_id": MAYBE_STRING,
                "feedbackScore": {"type": ["boolean", "null"]},
                "workspace": object_of({"name": STRING, "slug": STRING}),
                "user": object_of({"username": STRING}),
            }
        )
    }


def _export() -> Json:
    kinds = ["jsonl", "json", "csv", "jsonAlpaca"]
    parameters = [
        query("type", {"enum": kinds, "default": kinds[0]}, "In which form."),
        query("workspace", STRING, "The slug of the only workspace whose chats are told."),
    ]
    content = {
        "application/jsonl": {"schema": STRING},
        **json_content(list_of(OBJECT)),
        "text/csv": {"schema": STRING},
    }
    answers = {
        "200": {"description": "All chats, the oldest first.", "content": content},
        "400": answer("There is no such form, or no such workspace.", object_of({"message": STRING})),
    }
    return operation("exportChats", _TAG, "Export all chats", answers, parameters=parameters)


def _chats() -> Json:
    told = object_of({"chats": list_of(ref("schemas", "ChatRow")), "hasPages": FLAG})
    answers = {"200": answer("20 of them, the newest first.", told)}
    offset = {**COUNT, "maximum": MOST, "default": 0, "description": "How many pages to pass over."}
    return operation("listAllChats", _TAG, "List all chats", answers, body=object_of({"offset": offset}, []))


def _system() -> Json:
    settings = {
        "RequiresAuth": FLAG,
        "LLMProvider": STRING,
        "LLMModel": MAYBE_STRING,
        "VectorDB": STRING,
        "MultiUserMode": FLAG,
    }
    told = object_of({"settings": object_of(settings)})
    return operation("getSettings", _TAG, "Show the settings", {"200": answer("What may be told.", told)})


def _update() -> Json:
    told = object_of({"newValues": {"type": "object", "maxProperties": 0}, "error": STRING})
    answers = {"200": answer("Nothing is changed; `error` says where settings are.", told)}
    return operation("updateSettings", _TAG, "Learn where settings are changed", answers, body=OBJECT)
