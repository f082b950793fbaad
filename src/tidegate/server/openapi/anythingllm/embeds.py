"""The operations on embeds, and what visitors find of their sessions."""

from __future__ import annotations

from typing import Any, Final

from tidegate.server.anythingllm import paths as at
from tidegate.server.openapi.anythingllm.forms import (
    COUNT,
    DONE,
    FLAG,
    MAYBE_NUMBER,
    MAYBE_STRING,
    MOMENT,
    NOTHING,
    NUMBER,
    STRING,
    STRINGS,
    answer,
    list_of,
    operation,
    path_parameters,
    phrase,
)
from tidegate.server.openapi.shared import object_of, ref
from tidegate.workspaces.settings import MOST

Json = dict[str, Any]

_TAG: Final = "embeds"
_EMBED: Final = path_parameters(embed="The embed's UUID.")
_SESSION: Final = [*_EMBED, *path_parameters(session="The session's id.")]
_MODES: Final = {"enum": ["query", "chat", "automatic"], "default": "query"}
_BOUNDS: Final = ("max_chats_per_day", "max_chats_per_session", "message_limit")
_SWITCHES: Final = ("allow_model_override", "allow_temperature_override", "allow_prompt_override")


def paths() -> Json:
    """Operations by path and method."""
    return {
        at.EMBEDS: {"get": _list()},
        at.EMBED_NEW: {"post": _new()},
        at.EMBED: {"post": _update(), "delete": _delete()},
        at.EMBED_CHATS: {"get": _chats("listEmbedChats", "List what visitors said", _EMBED, session=True)},
        at.EMBED_SESSION_CHATS: {
            "get": _chats("listEmbedSessionChats", "List what one visitor said", _SESSION, session=False)
        },
        at.EMBED_SESSION: {"get": _history(), "delete": _forget()},
    }


def schemas() -> Json:
    """An embed, and what may be set of it."""
    bound = {"type": ["integer", "null"], "minimum": 1, "maximum": MOST}
    domains = {
        "oneOf": [STRINGS, STRING, NOTHING],
        "description": "Origins that may ask, a list or separated by commas. Nothing: all of them.",
    }
    told = {
        "id": NUMBER,
        "uuid": STRING,
        "enabled": FLAG,
        "chat_mode": _MODES,
        "allowlist_domains": {**MAYBE_STRING, "description": "Origins as a JSON list."},
        **dict.fromkeys(_SWITCHES, FLAG),
        **dict.fromkeys(_BOUNDS, MAYBE_NUMBER),
        "workspace_id": NUMBER,
        "createdBy": NOTHING,
        "usersId": NOTHING,
        "createdAt": MOMENT,
    }
    settings = {
        "chat_mode": _MODES,
        "allowlist_domains": domains,
        **dict.fromkeys(_SWITCHES, FLAG),
        **dict.fromkeys(_BOUNDS, bound),
    }
    return {
        "Embed": object_of(told, description="An embed in the columns of AnythingLLM's table."),
        "EmbedSettings": object_of(
            settings, [], "A value that makes no sense is the default, as in AnythingLLM."
        ),
    }


def _list() -> Json:
    embed = {
        "id": NUMBER,
        "uuid": STRING,
        "enabled": FLAG,
        "chat_mode": _MODES,
        "createdAt": MOMENT,
        "workspace": object_of({"id": NUMBER, "name": STRING}),
        "chat_count": COUNT,
    }
    told = object_of({"embeds": list_of(object_of(embed))})
    return operation("listEmbeds", _TAG, "List the embeds", {"200": answer("All of them.", told)})


def _new() -> Json:
    error = object_of({"error": STRING})
    answers = {
        "200": answer("It is made.", object_of({"embed": ref("schemas", "Embed"), "error": NOTHING})),
        "400": answer("`workspace_slug` is missing, or the body is no JSON object.", error),
        "404": answer("There is no such workspace.", error),
    }
    body = {
        "allOf": [ref("schemas", "EmbedSettings"), object_of({"workspace_slug": STRING})],
    }
    return operation("createEmbed", _TAG, "Make a door into a workspace", answers, body=body, needs_body=True)


def _update() -> Json:
    answers = {
        "200": answer("It is changed; or nothing was, since nothing was set.", DONE),
        "404": _missing(),
    }
    body = {"allOf": [ref("schemas", "EmbedSettings"), object_of({"enabled": FLAG}, [])]}
    return operation("updateEmbed", _TAG, "Change an embed", answers, parameters=_EMBED, body=body)


def _delete() -> Json:
    answers = {"200": answer("It is gone.", DONE), "404": _missing()}
    return operation("deleteEmbed", _TAG, "Delete an embed", answers, parameters=_EMBED)


def _missing() -> Json:
    return answer("There is no such embed.", object_of({"error": STRING}))


def _chats(name: str, summary: str, parameters: list[Json], *, session: bool) -> Json:
    chat = {
        "id": NUMBER,
        **({"session_id": MAYBE_STRING} if session else {}),
        "prompt": STRING,
        "response": {"type": "string", "description": "JSON."},
        "createdAt": MOMENT,
    }
    told = object_of({"chats": list_of(object_of(chat))})
    answers = {"200": answer("None where the embed is unknown.", told)}
    return operation(name, _TAG, summary, answers, parameters=parameters)


def _history() -> Json:
    answers = {
        "200": answer("Questions and answers, without sources.", ref("schemas", "ChatHistory")),
        "404": phrase("There is no such embed.", "Not Found"),
    }
    return operation(
        "getEmbedSession", _TAG, "Show a visitor what was said", answers, parameters=_SESSION, public=True
    )


def _forget() -> Json:
    answers = {
        "200": {"description": "The visitor begins anew. There is no body."},
        "404": phrase("There is no such embed.", "Not Found"),
    }
    return operation(
        "resetEmbedSession", _TAG, "Begin a session anew", answers, parameters=_SESSION, public=True
    )
