"""The messages of a conversation, as far as the gateway looks at them, and tool calls."""

from __future__ import annotations

from typing import Any

from tidegate.server.openapi.shared import object_of

Json = dict[str, Any]


def schemas() -> Json:
    """Schemas of request messages and of tool calls in answers."""
    return {"Message": _message(), "ToolCall": _tool_call()}


def _message() -> Json:
    return object_of(
        {
            "role": {
                "type": "string",
                "description": "`system`, `developer`, `user`, `assistant`, `tool`, or what else the "
                "upstream takes; in any order.",
            },
            "content": {
                "type": ["string", "array", "null"],
                "items": {},
                "description": "Text, or a list of parts, which are not looked into. May be empty or absent.",
            },
        },
        ["role"],
        "One message. Other members (`name`, `tool_calls`, `tool_call_id` …) are passed on as they came.",
        additionalProperties=True,
    )


def _tool_call() -> Json:
    return object_of(
        {
            "id": {"type": "string", "description": "Made by the gateway where the upstream gave none."},
            "type": {"type": "string", "description": "`function`"},
            "function": object_of(
                {
                    "name": {"type": "string"},
                    "arguments": {"type": "string", "description": "JSON, as the model wrote it."},
                }
            ),
        }
    )
