"""What single vendors want otherwise in a Chat request, as named changes of its fields.

The names are those of :data:`tidegate.config.QUIRKS`; which vendor has which is in ``sources/presets.toml``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

Fields = dict[str, Any]

_CALL_ID_LENGTH = 9


def apply_quirks(fields: Fields, quirks: frozenset[str]) -> None:
    """Change encoded request fields in place."""
    for quirk in quirks:
        change = _CHANGES.get(quirk)
        if change is not None:
            change(fields)
    wanted = [_MESSAGE_CHANGES[quirk] for quirk in sorted(quirks) if quirk in _MESSAGE_CHANGES]
    if wanted and "messages" in fields:
        messages = msgspec.json.decode(fields["messages"])
        for message in messages:
            for change_message in wanted:
                change_message(message)
        fields["messages"] = messages


def _rename(old: str, new: str) -> Callable[[Fields], None]:
    def change(fields: Fields) -> None:
        if old in fields:
            fields.setdefault(new, fields[old])
            del fields[old]

    return change


def _without(*names: str) -> Callable[[Fields], None]:
    def change(fields: Fields) -> None:
        for name in names:
            fields.pop(name, None)

    return change


def _no_empty_tools(fields: Fields) -> None:
    if "tools" in fields and not msgspec.json.decode(fields["tools"]):
        del fields["tools"]
        fields.pop("tool_choice", None)
        fields.pop("parallel_tool_calls", None)


def _no_message_name(message: Fields) -> None:
    message.pop("name", None)


def _no_reasoning_content(message: Fields) -> None:
    message.pop("reasoning_content", None)


def _no_developer_role(message: Fields) -> None:
    if message.get("role") == "developer":
        message["role"] = "system"


def _short_tool_call_ids(message: Fields) -> None:
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict) and "id" in call:
            call["id"] = _short(call["id"])
    if "tool_call_id" in message:
        message["tool_call_id"] = _short(message["tool_call_id"])


def _short(call_id: Any) -> Any:
    if not isinstance(call_id, str) or (len(call_id) == _CALL_ID_LENGTH and call_id.isalnum()):
        return call_id
    return hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()[:_CALL_ID_LENGTH]


_CHANGES: dict[str, Callable[[Fields], None]] = {
    "no_stream_options": _without("stream_options"),
    "no_top_k": _without("top_k", "min_p"),
    "no_reasoning_effort": _without("reasoning_effort"),
    "max_completion_tokens": _rename("max_tokens", "max_completion_tokens"),
    "max_tokens": _rename("max_completion_tokens", "max_tokens"),
    "random_seed": _rename("seed", "random_seed"),
    "no_empty_tools": _no_empty_tools,
}
_MESSAGE_CHANGES: dict[str, Callable[[Fields], None]] = {
    "no_message_name": _no_message_name,
    "no_reasoning_content": _no_reasoning_content,
    "no_developer_role": _no_developer_role,
    "short_tool_call_ids": _short_tool_call_ids,
}
