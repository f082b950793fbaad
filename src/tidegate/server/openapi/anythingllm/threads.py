"""The operations on threads: conversations of their own within a workspace."""

from __future__ import annotations

from typing import Any, Final

from tidegate.server.anythingllm import paths as at
from tidegate.server.openapi.anythingllm.forms import (
    MAYBE_NUMBER,
    MOMENT,
    NOTHING,
    NUMBER,
    STRING,
    answer,
    operation,
    path_parameters,
    phrase,
)
from tidegate.server.openapi.anythingllm.workspaces import SLUG
from tidegate.server.openapi.shared import object_of, ref

Json = dict[str, Any]

_TAG: Final = "workspaces"
PLACE: Final = [*SLUG, *path_parameters(thread="The thread's slug.")]
_MISSING: Final = "There is no such workspace, or no such thread in it."


def paths() -> Json:
    """Operations by path and method."""
    return {
        at.THREAD_NEW: {"post": _new()},
        at.THREAD: {"delete": _delete()},
        at.THREAD_UPDATE: {"post": _update()},
        at.THREAD_CHATS: {"get": _chats()},
    }


def _thread() -> Json:
    return object_of(
        {
            "id": NUMBER,
            "name": STRING,
            "slug": STRING,
            "workspace_id": NUMBER,
            "user_id": MAYBE_NUMBER,
            "createdAt": MOMENT,
            "lastUpdatedAt": MOMENT,
        }
    )


def _missing() -> Json:
    return answer(_MISSING, object_of({"message": STRING}))


def _new() -> Json:
    answers = {
        "200": answer("It is made.", object_of({"thread": _thread(), "message": NOTHING})),
        "400": phrase(
            "There is no such workspace, or the body is no JSON object.", "Bad Request", or_aborted=True
        ),
    }
    body = object_of(
        {
            "name": {**STRING, "default": "Thread", "description": "At most 255 characters are kept."},
            "slug": {"type": "string", "description": "One that is taken gets digits behind it."},
            "userId": {**NUMBER, "description": "An unknown one is nobody."},
        },
        [],
    )
    return operation("createThread", _TAG, "Make a thread", answers, parameters=SLUG, body=body)


def _delete() -> Json:
    answers = {
        "200": phrase("It is gone, also where it never was.", "OK"),
        "400": phrase("There is no such workspace.", "Bad Request"),
    }
    return operation("deleteThread", _TAG, "Delete a thread", answers, parameters=PLACE)


def _update() -> Json:
    told = object_of({"thread": _thread(), "message": {"type": ["string", "null"]}})
    answers = {"200": answer("It has this name now.", told), "404": _missing()}
    body = object_of({"name": STRING}, [])
    return operation("updateThread", _TAG, "Rename a thread", answers, parameters=PLACE, body=body)


def _chats() -> Json:
    answers = {
        "200": answer("Questions and answers.", ref("schemas", "ChatHistory")),
        "404": _missing(),
    }
    return operation("listThreadChats", _TAG, "List what was said in a thread", answers, parameters=PLACE)
