"""The operations ``POST /v1/messages`` and ``POST /v1/messages/count_tokens``."""

from __future__ import annotations

from typing import Any

from tidegate.server.openapi import chat
from tidegate.server.openapi.shared import generation_headers, json_content, object_of, ref

Json = dict[str, Any]

_DESCRIPTION = """\
Anthropic's Messages API, for any model. Fields that the gateway does not know are passed on to an upstream \
of the same dialect byte for byte; any other gets what has a form in its own, and the header \
`Tidegate-Dropped` names the rest. `anthropic-beta` and `anthropic-version` are passed on as well.

**Streaming.** With `"stream": true` the answer is `text/event-stream`: every event has its name and one \
line of ASCII JSON. Success ends in `message_stop`. Failure ends in one `error` event and no `message_stop`.

**Status.** Headers are held back until there is something to show, for at most `server.header_hold` (4 \
s), so that an early failure has its true status. Afterwards no silence is longer than `server.keep_alive` \
(8 s): a `ping` event fills it."""

_COUNT_DESCRIPTION = """\
An upstream of the same dialect is asked. For any other, or one that cannot count, the answer is an \
estimate of a token for each four characters, and the header `Tidegate-Estimated` says so."""


def schemas() -> Json:
    """The schemas of both bodies, and Anthropic's error envelope."""
    error = object_of(
        {
            "type": {"type": "string", "description": "`invalid_request_error` and its kin."},
            "message": {"type": "string"},
        }
    )
    return {
        "MessagesRequest": _request(["max_tokens", "messages"]),
        "CountRequest": _request(["messages"]),
        "MessagesAnswer": _answer(),
        "AnthropicError": object_of(
            {"type": {"const": "error"}, "error": error, "request_id": {"type": ["string", "null"]}},
            description="Anthropic's error envelope.",
        ),
    }


def operation() -> Json:
    """``POST /v1/messages``."""
    content = {
        **json_content(ref("schemas", "MessagesAnswer")),
        "text/event-stream": {
            "schema": {"type": "string", "description": "Events, each with its name, then `message_stop`."}
        },
    }
    answer = {
        "description": "The answer: a stream, or one message. A stream that breaks later has 200 too.",
        "headers": generation_headers(),
        "content": content,
    }
    return {
        "operationId": "createMessage",
        "tags": ["generation"],
        "summary": "Answer a conversation, in Anthropic's dialect",
        "description": _DESCRIPTION,
        "parameters": chat.parameters(),
        "requestBody": _body("MessagesRequest", {"max_tokens": 100}),
        "responses": {"200": answer, **_failures()},
    }


def count() -> Json:
    """``POST /v1/messages/count_tokens``."""
    counted = object_of({"input_tokens": {"type": "integer", "minimum": 0}})
    failures = {
        status: {name: value for name, value in failure.items() if name != "headers"}
        for status, failure in _failures().items()
        if status in ("400", "401", "403", "404", "502")
    }
    return {
        "operationId": "countMessageTokens",
        "tags": ["generation"],
        "summary": "Count the tokens of a request",
        "description": _COUNT_DESCRIPTION,
        "requestBody": _body("CountRequest", {}),
        "responses": {
            "200": {"description": "The count.", "content": json_content(counted)},
            **failures,
        },
    }


def _failures() -> Json:
    """The failures of every generation, in Anthropic's envelope."""
    content = json_content(ref("schemas", "AnthropicError"))
    told = {
        "401": {"description": "The key is missing or wrong. Only when keys are required."},
        "403": {"description": "`Host` or `Origin` is not this machine. Only while access is open."},
    }
    return {
        status: {**(told.get(status) or failure), "content": content}
        for status, failure in chat.failures().items()
    }


def _body(schema: str, more: Json) -> Json:
    hello = {"model": "demo", **more, "messages": [{"role": "user", "content": "Hello"}]}
    examples = {"hello": {"summary": "A question", "value": hello}}
    content = {"schema": ref("schemas", schema), "examples": examples}
    return {"required": True, "content": {"application/json": content}}


def _request(required: list[str]) -> Json:
    text_or_list = {"type": ["string", "array", "null"]}
    message = object_of({"role": {"type": "string"}, "content": text_or_list}, ["role"])
    properties: Json = {
        "messages": {"type": "array", "minItems": 1, "items": message},
        "model": {"type": ["string", "null"]},
        "system": text_or_list,
        "tools": {"type": ["array", "null"], "items": {}},
    }
    if "max_tokens" in required:
        properties |= {
            "max_tokens": {"type": "integer", "minimum": 0},
            "stream": {"type": ["boolean", "null"], "default": False},
            "stop_sequences": {"type": ["array", "null"], "items": {"type": "string"}},
            **{name: {"type": ["number", "null"]} for name in ("temperature", "top_p")},
            "top_k": {"type": ["integer", "null"]},
        }
    return object_of(
        properties,
        required,
        "The fields whose types are checked here. Any other field is allowed.",
        additionalProperties=True,
    )


def _answer() -> Json:
    return object_of(
        {
            "id": {"type": "string", "pattern": "^msg_[0-9a-f]{32}$"},
            "type": {"const": "message"},
            "role": {"const": "assistant"},
            "model": {"type": "string"},
            "content": {"type": "array", "items": object_of({"type": {"type": "string"}})},
            "stop_reason": {"type": "string"},
            "stop_sequence": {"type": ["string", "null"]},
            "usage": object_of(
                {name: {"type": "integer", "minimum": 0} for name in ("input_tokens", "output_tokens")}
            ),
        },
        description="The same events as a stream's, added up.",
        additionalProperties=True,
    )
