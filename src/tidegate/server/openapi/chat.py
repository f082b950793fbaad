"""The operation ``POST /v1/chat/completions`` and its request."""

from __future__ import annotations

from typing import Any

from tidegate.server.openapi.shared import failed, generation_headers, json_content, object_of, ref

Json = dict[str, Any]

_DESCRIPTION = """\
The body is read as JSON whatever `Content-Type` says, and `Accept` is ignored. Fields that the gateway \
does not know are passed on to an upstream of the same dialect byte for byte.

**Streaming.** With `"stream": true` the answer is `text/event-stream`: frames of `data: `, one line of \
ASCII JSON and a blank line, nothing else (no comments, ids, event names or CR). The first chunk of each \
choice carries the role. Success ends in `data: [DONE]`. Failure ends in one chunk with both `error` and \
`choices[0].finish_reason: "error"`, and no `[DONE]`.

**Status.** Headers are held back until there is something to show, for at most `server.header_hold` (4 \
s), so that an early failure has its true status. Afterwards no silence is longer than `server.keep_alive` \
(8 s): a chunk whose delta is exactly `{}` fills it.

**Failures.** Before the first visible delta a failed attempt is repeated, then the next deployment of the \
model is tried, and nobody sees it. After it the stream ends in an error."""


def schemas() -> Json:
    """The schema of the request body."""
    return {"ChatRequest": _request()}


def operation() -> Json:
    """``POST /v1/chat/completions``."""
    return {
        "operationId": "createChatCompletion",
        "tags": ["generation"],
        "summary": "Answer a conversation",
        "description": _DESCRIPTION,
        "parameters": parameters(),
        "requestBody": {"required": True, "content": {"application/json": _request_content()}},
        "responses": {"200": _answer(), **failures()},
    }


def _request() -> Json:
    return object_of(
        {
            "messages": {"type": "array", "minItems": 1, "items": ref("schemas", "Message")},
            "model": {
                "type": ["string", "null"],
                "description": "A name of `GET /v1/models`, or `provider/model` for any model of a provider. "
                "Absent: the default model.",
            },
            "stream": {"type": ["boolean", "null"], "default": False},
            "stream_options": {
                "type": ["object", "null"],
                "properties": {"include_usage": {"type": ["boolean", "null"]}},
                "description": "With `include_usage`, a chunk with no choices and the token counts comes "
                "before `[DONE]`.",
            },
            "fallback_models": {
                "type": ["array", "null"],
                "items": {"type": "string"},
                "maxItems": 8,
                "description": "Models to try, in this order, when the model cannot answer.",
            },
            "disable_fallbacks": {
                "type": ["boolean", "null"],
                "description": "Ask one deployment only; a failure of it is told, before and after the first "
                "token.",
            },
            "thinking_to_content": {
                "type": ["boolean", "null"],
                "description": "Show thinking as part of the text, between `<think>` and `</think>`.",
            },
            "n": {"type": ["integer", "null"], "minimum": 1, "maximum": 128, "default": 1},
            "max_tokens": {"type": ["integer", "null"]},
            "max_completion_tokens": {"type": ["integer", "null"]},
            "temperature": {"type": ["number", "null"]},
            "tools": {"type": ["array", "null"], "items": {}},
            "stop": {"type": ["string", "array", "null"], "items": {"type": "string"}},
        },
        ["messages"],
        "The fields whose types are checked here. Any other field is allowed and passed on.",
        additionalProperties=True,
    )


def _request_content() -> Json:
    hello = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
    return {
        "schema": ref("schemas", "ChatRequest"),
        "examples": {
            "streamed": {"summary": "Streamed", "value": {**hello, "stream": True}},
            "whole": {
                "summary": "In one piece, by the default model",
                "value": {"messages": hello["messages"]},
            },
        },
    }


def parameters() -> list[Json]:
    """The request headers that mean something for every generation."""
    return [
        {
            "name": "Tidegate-On-Disconnect",
            "in": "header",
            "description": "What happens to the generation when its last reader leaves: `cancel` it (the "
            "upstream's socket closes at once), `drain` it or let it go on (`detach`) to its end. Without "
            "the header the model's `on_disconnect` decides, `cancel` by default.",
            "schema": {"type": "string", "enum": ["cancel", "drain", "detach"]},
        },
        {
            "name": "Tidegate-On-Break",
            "in": "header",
            "description": "What happens when the answer breaks off after something of it was shown: "
            "`continue` goes on with it at another deployment of the same model, where that is correct; "
            "`fail` ends it in an error. Without the header the model's `on_break` decides, `continue` by "
            "default.",
            "schema": {"type": "string", "enum": ["continue", "fail"]},
        },
        {
            "name": "Tidegate-Fallback",
            "in": "header",
            "description": "`none`: nobody but the first deployment of the model is asked, neither before "
            "something was shown nor after. Without the header, or with `any`, the others may be.",
            "schema": {"type": "string", "enum": ["any", "none"]},
        },
        {
            "name": "X-Request-Id",
            "in": "header",
            "description": "Comes back in the answer.",
            "schema": {"type": "string", "maxLength": 128},
        },
    ]


def _answer() -> Json:
    return {
        "description": "The answer: a stream, or one object. A stream that breaks later has 200 too.",
        "headers": {**generation_headers(), "Tidegate-Dropped": ref("headers", "Tidegate-Dropped")},
        "content": {
            **json_content(ref("schemas", "ChatCompletion")),
            "text/event-stream": {
                "schema": {
                    "type": "string",
                    "description": "Frames, each with a `ChatChunk`, then `[DONE]`.",
                },
                "x-itemSchema": ref("schemas", "ChatChunk"),
                "example": _STREAM,
            },
        },
    }


_ID = "chatcmpl-33e882854d09472aa90707b2e488beb2"
_FRAME = (
    'data: {{"id":"' + _ID + '","object":"chat.completion.chunk","created":1795178148,"model":"demo",'
    '"choices":[{{"index":0,"delta":{},"finish_reason":{}}}]}}\n\n'
)
_STREAM = (
    _FRAME.format('{"role":"assistant","content":""}', "null")
    + _FRAME.format('{"content":"This"}', "null")
    + _FRAME.format('{"content":" is"}', "null")
    + _FRAME.format("{}", '"stop"')
    + "data: [DONE]\n\n"
)


def failures() -> Json:
    """What fails with a status of its own. An upstream's refusal keeps its status and its words."""
    refused = {"X-Request-Id": ref("headers", "X-Request-Id")}
    begun = generation_headers()
    later = {"Retry-After": ref("headers", "Retry-After")}
    return {
        "400": failed(
            "The body is not JSON or a field is wrong (`param` names it); `model` is missing and there is no "
            "default (`model_required`); a header of ours has an unknown value; or the upstream refused the "
            "request.",
            refused,
        ),
        "401": ref("responses", "Unauthenticated"),
        "403": ref("responses", "NotFromHere"),
        "404": failed("There is no such model; the message names the nearest ones.", refused),
        "408": failed("The request did not arrive whole in time.", refused),
        "413": failed("The body is over the limit.", refused),
        "429": failed("The upstream's rate limit or quota.", begun | later),
        "431": failed("The request's head is over 64 KiB.", refused),
        "500": failed("The upstream failed with this status, or the gateway has a defect.", refused),
        "502": failed(
            "The upstream cannot be reached, broke off, made no sense, or refused the gateway's own "
            "credential (`upstream_authentication`).",
            begun,
        ),
        "503": failed(
            "The gateway is full (`server.max_streams`) or shutting down; every deployment of the model has "
            "as many streams as it may; a local engine is not running; or the upstream is overloaded.",
            refused | later,
        ),
        "504": failed("No token came in time: `code` says which deadline passed.", begun),
        "4XX": failed("Any other refusal of the upstream, with its status and its words.", begun | later),
        "5XX": failed("Any other failure of the upstream, with its status and its words.", begun | later),
    }
