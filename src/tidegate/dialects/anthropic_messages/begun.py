"""A Messages request whose answer has begun: the beginning is the assistant's turn."""

from __future__ import annotations

from typing import Final

import msgspec

from tidegate.core.request import Begun
from tidegate.core.source import Continues
from tidegate.dialects.anthropic_messages.reasoning import version_of
from tidegate.dialects.translation.begun import lessened, read_fields

_FIRST_WITHOUT: Final = (4, 6)
"""The first Claude that refuses a conversation which ends with the assistant."""

_read_messages = msgspec.json.Decoder(list[msgspec.Raw]).decode


def continues(model: str, way: str | None) -> Continues | None:
    """See :meth:`tidegate.dialects.api.Continuable.continues`. A Claude must tell its version in its name."""
    version = version_of(model)
    if way != "prefill" or (version is None and "claude" in model.lower()):
        return None
    return "exactly" if version is None or version < _FIRST_WITHOUT else None


def write_begun(body: bytes, begun: Begun) -> bytes:
    """See :meth:`tidegate.dialects.api.Continuable.write_begun`."""
    fields = read_fields(body)
    lessened(fields, ("max_tokens",), begun.tokens)
    if begun.text:
        turn = {"role": "assistant", "content": begun.text}
        fields["messages"] = [*_read_messages(fields["messages"]), turn]
    return msgspec.json.encode(fields)
