"""The operation ``POST /v1/completions``, its request and its answers."""

from __future__ import annotations

from typing import Any

from tidegate.server.openapi.shared import failed, generation_headers, json_content, object_of, ref

Json = dict[str, Any]

_DESCRIPTION = """\
OpenAI's legacy form, for code completion and base models: raw text goes in, its continuation comes out.

An upstream that speaks OpenAI Chat is called at its own `/completions`, and gets the body as it came. Where \
it has none, the prompt becomes one message of a conversation; what has no form there (`suffix`, `echo`, a \
prompt of tokens, several prompts) is a 400 that names the field.

**Streaming**, statuses and failures are those of `/v1/chat/completions`; the frames are `text_completion` \
objects. A frame whose text is empty begins every stream, and fills silences."""


def schemas() -> Json:
    """Schemas of the body, of a frame, and of the whole answer, which differ in the usage only."""
    return {"CompletionRequest": _request(), "TextCompletion": _answer(), "TextChoice": _choice()}


def operation() -> Json:
    """``POST /v1/completions``."""
    refused = {"X-Request-Id": ref("headers", "X-Request-Id")}
    begun = generation_headers()
    return {
        "operationId": "createCompletion",
        "tags": ["generation"],
        "summary": "Continue a text",
        "description": _DESCRIPTION,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": ref("schemas", "CompletionRequest"),
                    "examples": {
                        "streamed": {
                            "summary": "Streamed",
                            "value": {"model": "demo", "prompt": "Once upon a time", "stream": True},
                        }
                    },
                }
            },
        },
        "responses": {
            "200": {
                "description": "The continuation: a stream, or one object.",
                "headers": begun,
                "content": {
                    **json_content(ref("schemas", "TextCompletion")),
                    "text/event-stream": {
                        "schema": {
                            "type": "string",
                            "description": "Frames, each with a `TextCompletion`, then `[DONE]`.",
                        },
                        "x-itemSchema": ref("schemas", "TextCompletion"),
                    },
                },
            },
            "400": failed("The body is wrong, or has a field that the upstream has no form for.", refused),
            "401": ref("responses", "Unauthenticated"),
            "403": ref("responses", "NotFromHere"),
            "404": failed("There is no such model; the message names the nearest ones.", refused),
            "4XX": failed("Any other refusal, as of `/v1/chat/completions`.", refused),
            "5XX": failed("Any failure, as of `/v1/chat/completions`.", begun),
        },
    }


def _request() -> Json:
    return object_of(
        {
            "prompt": {
                "type": ["string", "array"],
                "minItems": 1,
                "items": {"type": ["string", "integer", "array"]},
                "description": "Text, a list of texts, or the same as numbers of tokens.",
            },
            "model": {"type": ["string", "null"], "description": "Absent: the default model."},
            "stream": {"type": ["boolean", "null"], "default": False},
            "stream_options": {
                "type": ["object", "null"],
                "properties": {"include_usage": {"type": ["boolean", "null"]}},
            },
            "n": {"type": ["integer", "null"], "minimum": 1, "maximum": 128, "default": 1},
            "best_of": {"type": ["integer", "null"]},
            "max_tokens": {"type": ["integer", "null"]},
            "temperature": {"type": ["number", "null"]},
            "echo": {"type": ["boolean", "null"]},
            "suffix": {"type": ["string", "null"]},
            "logprobs": {"type": ["integer", "null"]},
            "stop": {"type": ["string", "array", "null"], "items": {"type": "string"}},
        },
        ["prompt"],
        "The fields whose types are checked here. Any other field is allowed and passed on.",
        additionalProperties=True,
    )


def _answer() -> Json:
    return object_of(
        {
            "id": {"type": "string", "pattern": "^cmpl-[0-9a-f]{32}$"},
            "object": {"const": "text_completion"},
            "created": {"type": "integer", "description": "Unix time in seconds."},
            "model": {"type": "string", "description": "The name that the upstream answers under."},
            "choices": {"type": "array", "items": ref("schemas", "TextChoice")},
            "usage": {"oneOf": [ref("schemas", "Usage"), {"type": "null"}]},
            "error": ref("schemas", "ErrorObject"),
        },
        ["id", "object", "created", "model", "choices"],
        "A frame, or the whole answer. What else the upstream told on this level is there too.",
        additionalProperties=True,
    )


def _choice() -> Json:
    return object_of(
        {
            "index": {"type": "integer", "minimum": 0},
            "text": {"type": "string"},
            "logprobs": {"type": ["object", "null"]},
            "finish_reason": {"type": ["string", "null"]},
        },
        additionalProperties=True,
    )
