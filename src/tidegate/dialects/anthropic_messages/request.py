"""The request body of ``POST /v1/messages``, read from a caller and written for an upstream.

The members stay encoded (:class:`msgspec.Raw`) on their way through, so an upstream of the same dialect
gets every field as the caller wrote it; only what the gateway must know is decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from tidegate.core.request import Request
from tidegate.dialects.anthropic_messages.reasoning import write_reasoning
from tidegate.dialects.anthropic_messages.signature import FOREIGN_INDEX, is_marked, read_signature
from tidegate.dialects.anthropic_messages.usage import NAME
from tidegate.dialects.translation.body import read_body
from tidegate.dialects.translation.options import OPTIONS, read_options
from tidegate.errors import InvalidRequest


class _Message(Struct):
    """As much of a message as has to be right for any upstream."""

    role: str
    content: str | list[Raw] | None = None


class _Counted(Struct):
    """The fields that the gateway reads when tokens are to be counted."""

    messages: list[_Message]
    model: str | None = None
    system: str | list[Raw] | None = None
    tools: list[Raw] | None = None


class _Known(_Counted):
    """The fields that the gateway reads. ``messages`` and ``max_tokens`` are required."""

    max_tokens: int | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None


_known = msgspec.json.Decoder(_Known)
_counted = msgspec.json.Decoder(_Counted)


def read_request(body: bytes, headers: Mapping[str, str]) -> Request:
    """See :meth:`tidegate.dialects.api.Dialect.read_request`."""
    known, fields = read_body(body, _known)
    if known.max_tokens is None:
        raise InvalidRequest(
            "'max_tokens' is missing; say how many tokens the answer may have", param="max_tokens"
        )
    if known.max_tokens < 0:
        raise InvalidRequest(
            f"'max_tokens' must not be negative, and is {known.max_tokens}", param="max_tokens"
        )
    _check_messages(known)
    own = read_options(fields)
    return Request(
        dialect=NAME,
        model=known.model or None,
        fields=fields,
        stream=bool(known.stream),
        include_usage=True,
        headers=headers,
        fallback_models=own.fallback_models,
        fallback=not own.disable_fallbacks,
        thinking_to_content=own.thinking_to_content,
    )


def read_count(body: bytes, headers: Mapping[str, str]) -> Request:
    """The request in the body of ``POST /v1/messages/count_tokens``. Raises InvalidRequest."""
    known, fields = read_body(body, _counted)
    _check_messages(known)
    return Request(dialect=NAME, model=known.model or None, fields=fields, headers=headers)


def _check_messages(known: _Counted) -> None:
    if not known.messages:
        raise InvalidRequest("'messages' is empty; send at least one message", param="messages")


def write_request(request: Request, model: str, quirks: frozenset[str]) -> bytes:
    """See :meth:`tidegate.dialects.api.Dialect.write_request`. Always asks for a stream."""
    fields = _passed_on(request, model, quirks)
    fields["stream"] = True
    if request.reasoning is not None:
        limit = msgspec.json.decode(fields["max_tokens"])
        for name in ("thinking", "output_config"):
            fields.pop(name, None)
        fields.update(write_reasoning(request.reasoning, model, limit))
    return msgspec.json.encode(fields)


def write_count(request: Request, model: str, quirks: frozenset[str]) -> bytes:
    """The body that asks an upstream of this dialect to count tokens."""
    return msgspec.json.encode(_passed_on(request, model, quirks))


def _passed_on(request: Request, model: str, quirks: frozenset[str]) -> dict[str, Any]:
    fields: dict[str, Any] = dict(request.fields)
    fields["model"] = model
    for name in OPTIONS:
        fields.pop(name, None)  # ours, and a strict upstream would refuse it
    if "no_top_k" in quirks:
        fields.pop("top_k", None)
    if "no_reasoning_effort" in quirks:
        fields.pop("thinking", None)
    unsigned = "signed_thinking" in quirks
    encoded = bytes(fields["messages"])
    if is_marked(encoded) or (unsigned and b'"thinking"' in encoded):
        fields["messages"] = _without_foreign_thinking(msgspec.json.decode(encoded), unsigned)
    return fields


def _without_foreign_thinking(messages: list[Any], unsigned: bool) -> list[Any]:
    """The messages without thinking that the upstream could not check and would refuse.

    Another deployment of the same model may have answered an earlier turn.
    """
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            kept = (part for part in content if not _is_foreign(part, unsigned))
            message["content"] = [_without_foreign_pages(part) for part in kept]
    return [message for message in messages if not isinstance(message, dict) or message.get("content") != []]


def _without_foreign_pages(part: Any) -> Any:
    """A block without citations of pages that another dialect's upstream had found."""
    notes = part.get("citations") if isinstance(part, dict) else None
    if not isinstance(notes, list):
        return part
    kept = [each for each in notes if not _is_foreign_page(each)]
    return part if len(kept) == len(notes) else {**part, "citations": kept or None}


def _is_foreign_page(note: Any) -> bool:
    return isinstance(note, dict) and note.get("encrypted_index") == FOREIGN_INDEX


def _is_foreign(part: Any, unsigned: bool) -> bool:
    if not isinstance(part, dict) or part.get("type") not in ("thinking", "redacted_thinking"):
        return False
    seal = part.get("signature" if part["type"] == "thinking" else "data")
    if not isinstance(seal, str) or not seal:
        return unsigned
    return read_signature(seal).origin != NAME
