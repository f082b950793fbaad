"""The operations that ask workspaces: whole answers and streams, in threads and through embeds."""

from __future__ import annotations

from typing import Any, Final

from tidegate.server import urls
from tidegate.server.openapi import chat
from tidegate.server.openapi.anythingllm.forms import (
    FLAG,
    MAYBE_NUMBER,
    MAYBE_STRING,
    NUMBER,
    OBJECT,
    STRING,
    aborted,
    answer,
    list_of,
    operation,
    path_parameters,
)
from tidegate.server.openapi.anythingllm.threads import PLACE
from tidegate.server.openapi.anythingllm.workspaces import SLUG
from tidegate.server.openapi.shared import generation_headers, object_of, ref
from tidegate.workspaces.settings import MOST

Json = dict[str, Any]

_TAG: Final = "workspaces"
_CHAT, _STREAM, _THREAD_CHAT, _THREAD_STREAM, _EMBED, _ = urls.CHAT_POSTS
_MODES: Final = ["automatic", "chat", "query"]
_STREAMED: Final = """\
Frames of `data: `, one line of ASCII JSON and a blank line: `textResponseChunk` for each piece, one with \
`close: true` at its end, then `finalizeResponseStream` with the sources and metrics. A refusal and a reset \
are one `textResponse`; an error is one `abort`, and the last frame; what an agent does comes as \
`agentThought`, a file as `fileDownload`. A keep-alive is an empty line. There is no `[DONE]`."""
_EXAMPLE: Final = (
    'data: {"uuid":"33e88285-4d09-472a-a907-07b2e488beb2","sources":[],"type":"textResponseChunk",'
    '"textResponse":"At six","close":false,"error":false}\n\n'
    'data: {"uuid":"33e88285-4d09-472a-a907-07b2e488beb2","sources":[],"type":"textResponseChunk",'
    '"textResponse":"","close":true,"error":false}\n\n'
    'data: {"uuid":"33e88285-4d09-472a-a907-07b2e488beb2","type":"finalizeResponseStream","close":true,'
    '"error":false,"chatId":12,"metrics":{},"sources":[]}\n\n'
)
_WRONG: Final = "The message is empty, the mode is none, or the body is no JSON object"


def paths() -> Json:
    """Operations by path and method."""
    nowhere = "or there is no such workspace."
    return {
        _CHAT: {"post": _asking("askWorkspace", "Ask a workspace", SLUG, nowhere)},
        _STREAM: {
            "post": _asking("streamWorkspace", "Ask a workspace for a stream", SLUG, nowhere, stream=True)
        },
        _THREAD_CHAT: {
            "post": _asking(
                "askThread",
                "Ask in a thread",
                PLACE,
                "or the upstream refused it.",
                missing="There is no such workspace or thread.",
            )
        },
        _THREAD_STREAM: {
            "post": _asking(
                "streamThread",
                "Ask in a thread for a stream",
                PLACE,
                "or there is no such workspace or thread.",
                stream=True,
            )
        },
        _EMBED: {"post": _visit()},
    }


def schemas() -> Json:
    """A question, an answer in one piece, the frames of a stream, and what was said before."""
    return {
        "WorkspaceQuestion": _question(),
        "WorkspaceAnswer": object_of(
            {
                "id": STRING,
                "type": {"enum": ["textResponse", "abort"]},
                "textResponse": MAYBE_STRING,
                "sources": list_of(OBJECT),
                "close": {"const": True},
                "error": MAYBE_STRING,
                "chatId": {**MAYBE_NUMBER, "description": "Absent for refusals and resets."},
                "thoughts": {**list_of(STRING), "description": "Of agents only, as are `outputs`."},
                "outputs": list_of(OBJECT),
                "metrics": _metrics(),
            },
            ["id", "type", "textResponse", "sources", "close", "error", "metrics"],
            "`abort` where the model said nothing.",
        ),
        "WorkspaceFrame": _frame(),
        "ChatHistory": object_of({"history": list_of({"oneOf": [_asked(), _answered()]})}),
    }


def _question() -> Json:
    attachment = object_of(
        {
            "name": STRING,
            "mime": {"type": "string", "description": "`application/anythingllm-document` for a document."},
            "contentString": {"type": "string", "description": "`data:TYPE;base64,…`"},
        },
        ["contentString"],
    )
    return object_of(
        {
            "message": {"type": "string", "description": "Not empty, unless `reset` is true."},
            "mode": {"enum": [*_MODES, None], "description": "Without it the workspace's own."},
            "sessionId": {
                "type": ["string", "integer", "null"],
                "maxLength": 1000,
                "description": "Parts conversations.",
            },
            "userId": {**MAYBE_NUMBER, "maximum": MOST},
            "attachments": {"type": ["array", "null"], "items": attachment},
            "reset": {"type": ["boolean", "null"], "description": "Begin anew."},
            "max_tokens": MAYBE_NUMBER,
        },
        ["message"],
    )


def _frame() -> Json:
    kinds = ["textResponseChunk", "finalizeResponseStream", "textResponse", "abort", "agentThought"]
    return object_of(
        {
            "uuid": {"type": "string", "description": "Or `id`, in all but the first two types."},
            "id": STRING,
            "type": {"enum": [*kinds, "fileDownload"]},
            "textResponse": MAYBE_STRING,
            "thought": STRING,
            "fileDownload": OBJECT,
            "sources": list_of(OBJECT),
            "close": FLAG,
            "error": {"type": ["boolean", "string", "null"]},
            "chatId": MAYBE_NUMBER,
            "metrics": _metrics(),
        },
        ["type", "close", "error"],
        "What stands behind one `data: `.",
    )


def _metrics() -> Json:
    counts = ("prompt_tokens", "completion_tokens", "total_tokens")
    return object_of(
        {**{name: {"type": "integer", "minimum": 0} for name in counts}, "model": STRING},
        [],
        "Empty where no model was asked.",
    )


def _asked() -> Json:
    return object_of(
        {
            "role": {"const": "user"},
            "content": STRING,
            "sentAt": {"type": "integer", "description": "Unix time in seconds."},
            "attachments": list_of(OBJECT),
            "chatId": NUMBER,
        }
    )


def _answered() -> Json:
    return object_of(
        {
            "role": {"const": "assistant"},
            "type": STRING,
            "content": STRING,
            "sources": list_of(OBJECT),
            "chatId": NUMBER,
            "sentAt": {"type": "integer", "description": "Unix time in seconds."},
            "feedbackScore": {"type": ["boolean", "null"]},
            "metrics": OBJECT,
            "outputs": list_of(OBJECT),
        },
        ["role", "type", "content", "sources", "chatId", "sentAt", "feedbackScore", "metrics"],
    )


def _asking(
    name: str, summary: str, place: list[Json], nowhere: str, *, stream: bool = False, missing: str = ""
) -> Json:
    answers = {"200": _stream() if stream else _whole(), "400": aborted(f"{_WRONG}, {nowhere}")}
    if missing:
        answers["404"] = aborted(missing)
    return operation(
        name,
        _TAG,
        summary,
        {**answers, **_failures()},
        parameters=[*place, *chat.parameters()],
        body=ref("schemas", "WorkspaceQuestion"),
        needs_body=True,
        description=_STREAMED if stream else "",
    )


def _visit() -> Json:
    body = object_of(
        {"message": STRING, "sessionId": {"type": "string", "format": "uuid"}}, ["message", "sessionId"]
    )
    answers = {
        "200": _stream(),
        "400": aborted("The message is empty, or the body is no JSON object."),
        "401": aborted("This page's origin may not ask here."),
        "404": aborted("There is no such embed, or the session's id is no UUID."),
        **_failures(),
        "429": aborted("It was asked as often as it may be, or the upstream's limit is reached."),
        "503": aborted("The embed is disabled, or the gateway is full."),
    }
    return operation(
        "askEmbed",
        "embeds",
        "Ask through an embed",
        answers,
        parameters=[*path_parameters(uuid="The embed's UUID."), *chat.parameters()],
        body=body,
        needs_body=True,
        public=True,
        description=_STREAMED,
    )


def _whole() -> Json:
    return {
        **answer("The answer.", ref("schemas", "WorkspaceAnswer")),
        "headers": generation_headers(),
    }


def _stream() -> Json:
    content = {
        "text/event-stream": {
            "schema": {"type": "string", "description": "Frames, each with a `WorkspaceFrame`."},
            "x-itemSchema": ref("schemas", "WorkspaceFrame"),
            "example": _EXAMPLE,
        }
    }
    return {
        "description": "The answer. A stream that breaks later has 200 too.",
        "headers": generation_headers(),
        "content": content,
    }


def _failures() -> Json:
    return {
        "4XX": aborted("The upstream's own refusal; or the request is too long, or too slow."),
        "5XX": aborted("The upstream's failure, after retry and fallback; 503 when the gateway is full."),
    }
