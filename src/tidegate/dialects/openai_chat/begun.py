"""A Chat request whose answer has begun: the beginning is the assistant's last message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tidegate.core.request import Begun
from tidegate.core.source import Continues
from tidegate.dialects.translation.begun import Fields, lessened, read_fields

_WAYS: Final[Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]] = {
    "continue_final_message": ({}, {"continue_final_message": True, "add_generation_prompt": False}),
    "prefix": ({"prefix": True}, {}),
    "partial": ({"partial": True}, {}),
    "prefill": ({}, {}),
}
"""What stands in the message, and what beside the messages."""

_LIMITS: Final = ("max_tokens", "max_completion_tokens", "n_predict", "min_tokens")

_read_messages = msgspec.json.Decoder(list[msgspec.Raw]).decode


def continues(way: str | None) -> Continues | None:
    """See :meth:`tidegate.dialects.api.Continuable.continues`."""
    if way not in _WAYS:
        return None
    return "echoing" if way == "prefix" else "exactly"


def write_begun(body: bytes, begun: Begun, way: str | None) -> bytes:
    """See :meth:`tidegate.dialects.api.Continuable.write_begun`."""
    fields = read_fields(body)
    lessened(fields, _LIMITS, begun.tokens)
    if begun.text:
        marks, beside = _WAYS[way or ""]
        message: Fields = {"role": "assistant", "content": begun.text, **marks}
        fields["messages"] = [*_read_messages(fields["messages"]), message]
        fields.update(beside)
    return msgspec.json.encode(fields)
