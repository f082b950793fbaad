"""The request body of ``POST /v1/chat/completions``, read from a caller and written for an upstream.

The members stay encoded (:class:`msgspec.Raw`) on their way through, so an upstream of the same dialect
gets every field as the caller wrote it; only what the gateway must know is decoded.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from tidegate.core.request import Request
from tidegate.dialects.openai_chat.quirks import apply_quirks
from tidegate.dialects.openai_chat.write import effort_of
from tidegate.dialects.translation.body import read_body
from tidegate.dialects.translation.options import read_options
from tidegate.errors import InvalidRequest

_MOST_CHOICES = 128


class _Message(Struct):
    """As much of a message as has to be right for any upstream."""

    role: str
    content: str | list[Raw] | None = None


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _Known(Struct):
    """The fields that the gateway reads. ``messages`` is required; the rest has defaults."""

    messages: list[_Message]
    model: str | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    tools: list[Raw] | UnsetType | None = UNSET
    stop: str | list[str] | None = None


_REASONING_WORDS = ("reasoning", "thinking", "enable_thinking")
"""In which a body may say how much to think, beside ``reasoning_effort``."""

_known = msgspec.json.Decoder(_Known)


def read_request(body: bytes) -> Request:
    """See :meth:`tidegate.dialects.api.Dialect.read_request`."""
    known, fields = read_body(body, _known)
    if not known.messages:
        raise InvalidRequest("'messages' is empty; send at least one message", param="messages")
    choices = 1 if known.n is None else known.n
    if not 1 <= choices <= _MOST_CHOICES:
        raise InvalidRequest(f"'n' must be from 1 to {_MOST_CHOICES}, not {choices}", param="n")
    options = known.stream_options
    own = read_options(fields)
    return Request(
        dialect="openai-chat",
        model=known.model or None,
        fields=fields,
        stream=bool(known.stream),
        include_usage=bool(options and options.include_usage),
        choices=choices,
        fallback_models=own.fallback_models,
        fallback=not own.disable_fallbacks,
        thinking_to_content=own.thinking_to_content,
    )


def write_request(request: Request, model: str, quirks: frozenset[str]) -> bytes:
    """See :meth:`tidegate.dialects.api.Dialect.write_request`. Always asks for a stream, with usage."""
    fields: dict[str, Any] = dict(request.fields)
    fields["model"] = model
    fields["stream"] = True
    options = msgspec.json.decode(fields["stream_options"]) if "stream_options" in fields else None
    fields["stream_options"] = {**(options or {}), "include_usage": True}
    if request.reasoning is not None and (effort := effort_of(request.reasoning)):
        for name in _REASONING_WORDS:
            fields.pop(name, None)
        fields["reasoning_effort"] = effort
    if quirks:
        apply_quirks(fields, quirks)
    return msgspec.json.encode(fields)
