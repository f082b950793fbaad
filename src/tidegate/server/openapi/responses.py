"""The operation ``POST /v1/responses``."""

from __future__ import annotations

from typing import Any

from tidegate.server.openapi.chat import parameters
from tidegate.server.openapi.shared import failed, generation_headers, json_content, object_of, ref

Json = dict[str, Any]

_DESCRIPTION = """\
OpenAI's Responses API. Fields that the gateway does not know are passed on to an upstream of the same \
dialect byte for byte; for one of another dialect the request is translated, and fields that it was not told \
are named in the header `Tidegate-Dropped`.

**Streaming.** With `"stream": true` the answer is `text/event-stream`: a frame is `event: ` and a type, \
`data: ` and one line of ASCII JSON, and a blank line. `sequence_number` counts from 0 without gaps. The \
last frame is `response.completed`, `response.incomplete` or `response.failed`; before the latter there is \
an `error`. A silence is filled with `keepalive` under the number of the frame before it.

**WebSocket.** There is none: a request to upgrade is answered with 426 at once."""


def schemas() -> Json:
    """The schemas of request and answer, as far as the gateway has a say in them."""
    return {"ResponsesRequest": _request(), "Response": _response()}


def operation() -> Json:
    """``POST /v1/responses``."""
    return {
        "operationId": "createResponse",
        "tags": ["generation"],
        "summary": "Answer a conversation, in the form of the Responses API",
        "description": _DESCRIPTION,
        "parameters": parameters(),
        "requestBody": {"required": True, "content": {"application/json": _request_content()}},
        "responses": {"200": _answer(), **_failures()},
    }


def _request() -> Json:
    return object_of(
        {
            "input": {
                "type": ["string", "array", "null"],
                "items": {"type": "object"},
                "description": "A text, or items: messages, calls, results of calls, reasoning.",
            },
            "model": {
                "type": ["string", "null"],
                "description": "A name of `GET /v1/models`, or `provider/model`. Absent: the default model.",
            },
            "stream": {"type": ["boolean", "null"], "default": False},
            "instructions": {"type": ["string", "array", "null"], "items": {}},
            "tools": {"type": ["array", "null"], "items": {"type": "object"}},
            "max_output_tokens": {"type": ["integer", "null"]},
            "temperature": {"type": ["number", "null"]},
            "background": {
                "type": ["boolean", "null"],
                "description": "Answer at once and go on without the client, who asks for it later.",
            },
        },
        ["input"],
        "The fields whose types are checked here. Any other field is allowed.",
        additionalProperties=True,
    )


def _request_content() -> Json:
    hello = {"model": "demo", "input": "Hello"}
    return {
        "schema": ref("schemas", "ResponsesRequest"),
        "examples": {
            "streamed": {"summary": "Streamed", "value": {**hello, "stream": True}},
            "whole": {"summary": "In one piece", "value": hello},
        },
    }


def _response() -> Json:
    return object_of(
        {
            "id": {"type": "string", "pattern": "^resp_[0-9a-f]{32}$"},
            "object": {"const": "response"},
            "created_at": {"type": "integer", "description": "Unix time in seconds."},
            "status": {"enum": ["in_progress", "completed", "incomplete", "failed"]},
            "error": {"type": ["object", "null"]},
            "incomplete_details": {"type": ["object", "null"]},
            "model": {"type": "string", "description": "The name that the upstream answered under."},
            "output": {"type": "array", "items": {"type": "object"}},
            "usage": {"type": ["object", "null"]},
        },
        description="OpenAI's response object, with every member that its schema requires.",
        additionalProperties=True,
    )


def _answer() -> Json:
    return {
        "description": "The answer: a stream, or one object. A stream that breaks later has 200 too.",
        "headers": generation_headers(),
        "content": {
            **json_content(ref("schemas", "Response")),
            "text/event-stream": {
                "schema": {"type": "string", "description": "Frames of `event:` and `data:`."}
            },
        },
    }


def _failures() -> Json:
    refused = {"X-Request-Id": ref("headers", "X-Request-Id")}
    begun = generation_headers() | {"Retry-After": ref("headers", "Retry-After")}
    return {
        "400": failed("The body is not JSON, a field is wrong, or the upstream has no form for it.", refused),
        "401": ref("responses", "Unauthenticated"),
        "403": ref("responses", "NotFromHere"),
        "404": failed("There is no such model; the message names the nearest ones.", refused),
        "4XX": failed(
            "A refusal of the upstream, with its status and its words; or of the gateway, as for "
            "`POST /v1/chat/completions`.",
            begun,
        ),
        "5XX": failed(
            "A failure of the upstream or of the gateway, as for `POST /v1/chat/completions`.", begun
        ),
    }
