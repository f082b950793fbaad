"""The whole answer of a chat completion that was not streamed."""

from __future__ import annotations

from typing import Any

from tidegate.server.openapi.shared import object_of, ref

Json = dict[str, Any]

CHAT_ID: Json = {"type": "string", "pattern": "^chatcmpl-[0-9a-f]{32}$"}
FINISH_REASON = (
    "`stop`, `length`, `tool_calls`, `content_filter`, or what else the upstream said; `error` only at the "
    "end of a broken stream."
)


def schemas() -> Json:
    """Schemas of the whole answer."""
    return {"ChatCompletion": _completion(), "ChatChoice": _choice(), "AssistantMessage": _message()}


def _completion() -> Json:
    return object_of(
        {
            "id": {**CHAT_ID, "description": "`chatcmpl-` and the id of the generation."},
            "object": {"const": "chat.completion"},
            "created": {"type": "integer", "description": "Unix time in seconds."},
            "model": {"type": "string", "description": "The name that the upstream answered under."},
            "choices": {"type": "array", "minItems": 1, "items": ref("schemas", "ChatChoice")},
            "usage": ref("schemas", "Usage"),
        },
        description="The same events as a stream's, added up. What else the upstream told on this level "
        "(`system_fingerprint`, `service_tier` …) is there too.",
        additionalProperties=True,
    )


def _choice() -> Json:
    return object_of(
        {
            "index": {"type": "integer", "minimum": 0},
            "message": ref("schemas", "AssistantMessage"),
            "logprobs": {"type": ["object", "null"]},
            "finish_reason": {"type": "string", "description": FINISH_REASON},
        },
        additionalProperties=True,
    )


def _message() -> Json:
    return object_of(
        {
            "role": {"const": "assistant"},
            "content": {
                "type": ["string", "null"],
                "description": "`null` when there are tool calls and no text.",
            },
            "reasoning_content": {
                "type": "string",
                "description": "The reasoning; under the name `reasoning` where the upstream uses that.",
            },
            "tool_calls": {"type": "array", "items": ref("schemas", "ToolCall")},
        },
        ["role", "content"],
        additionalProperties=True,
    )
