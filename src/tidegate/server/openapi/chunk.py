"""One frame's payload in a streamed chat completion."""

from __future__ import annotations

from typing import Any

from tidegate.server.openapi.completion import CHAT_ID, FINISH_REASON
from tidegate.server.openapi.shared import object_of, ref

Json = dict[str, Any]


def schemas() -> Json:
    """Schemas of what a stream's frames carry."""
    return {
        "ChatChunk": _chunk(),
        "ChunkChoice": _choice(),
        "Delta": _delta(),
        "ToolCallDelta": _tool_call_delta(),
    }


def _chunk() -> Json:
    return object_of(
        {
            "id": {**CHAT_ID, "description": "The same on every chunk."},
            "object": {"const": "chat.completion.chunk"},
            "created": {"type": "integer", "description": "Unix time in seconds, the same on every chunk."},
            "model": {"type": "string", "description": "The name that the upstream answers under."},
            "choices": {
                "type": "array",
                "maxItems": 1,
                "items": ref("schemas", "ChunkChoice"),
                "description": "Exactly one; none on the usage chunk, which is sent only when asked for.",
            },
            "usage": {
                "oneOf": [ref("schemas", "Usage"), {"type": "null"}],
                "description": "Only with `include_usage`: `null` on every chunk but the last.",
            },
            "error": ref("schemas", "ErrorObject"),
        },
        ["id", "object", "created", "model", "choices"],
        "The payload of one `data:` frame. What else the upstream told on this level is there too.",
        additionalProperties=True,
    )


def _choice() -> Json:
    return object_of(
        {
            "index": {"type": "integer", "minimum": 0},
            "delta": ref("schemas", "Delta"),
            "finish_reason": {
                "type": ["string", "null"],
                "description": f"{FINISH_REASON} On a chunk of its own, whose delta is empty.",
            },
            "logprobs": {"type": ["object", "null"]},
        },
        ["index", "delta", "finish_reason"],
        additionalProperties=True,
    )


def _delta() -> Json:
    return object_of(
        {
            "role": {"const": "assistant", "description": "On the first chunk of a choice."},
            "content": {"type": "string"},
            "reasoning_content": {
                "type": "string",
                "description": "Reasoning; under the name `reasoning` where the upstream uses that.",
            },
            "refusal": {"type": "string"},
            "tool_calls": {
                "type": "array",
                "maxItems": 2,
                "items": ref("schemas", "ToolCallDelta"),
                "description": "One; before a later call's stands an element that adds nothing to call 0.",
            },
        },
        [],
        "What is added: one of these. Exactly `{}` while `finish_reason` is null is a keep-alive.",
        additionalProperties=True,
    )


def _tool_call_delta() -> Json:
    return object_of(
        {
            "index": {"type": "integer", "minimum": 0, "description": "Which call of the choice, from 0."},
            "id": {"type": "string", "description": "On the call's first chunk only, as `type` and `name`."},
            "type": {"type": "string"},
            "function": object_of(
                {"name": {"type": "string"}, "arguments": {"type": "string"}}, ["arguments"]
            ),
        },
        ["index", "function"],
        additionalProperties=True,
    )
