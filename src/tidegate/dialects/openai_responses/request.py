"""The request body of ``POST /v1/responses``, read from a caller and passed on to an upstream of its dialect.

The members stay encoded on their way through; only what the gateway must know is decoded.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from tidegate.core.request import Request
from tidegate.dialects.openai_chat.write import effort_of
from tidegate.dialects.openai_responses.usage import NAME
from tidegate.dialects.translation.body import read_body
from tidegate.dialects.translation.options import read_options
from tidegate.errors import InvalidRequest

BACKGROUND: Final = "background"
"""The form of an answer that goes on without its client, who asks for it later."""


class _Known(Struct):
    """The fields that the gateway reads."""

    input: str | list[dict[str, Raw]] | None = None
    model: str | None = None
    stream: bool | None = None
    background: bool | None = None
    store: bool | None = None
    instructions: str | list[Raw] | None = None
    previous_response_id: str | None = None
    conversation: Raw | None = None
    prompt: Raw | None = None
    tools: list[dict[str, Raw]] | None = None
    reasoning: dict[str, Raw] | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None


_known = msgspec.json.Decoder(_Known)


def read_request(body: bytes) -> Request:
    """See :meth:`tidegate.dialects.api.Dialect.read_request`."""
    known, fields = read_body(body, _known)
    elsewhere = known.previous_response_id or known.conversation or known.prompt
    if not known.input and not elsewhere and not (known.input is not None and known.instructions):
        said = "is missing" if known.input is None else "is empty"
        raise InvalidRequest(f"'input' {said}; send a text or a list of items", param="input")
    if known.background and known.store is False:
        raise InvalidRequest("'background' needs a response that is kept; leave 'store' out", param="store")
    own = read_options(fields)
    return Request(
        dialect=NAME,
        model=known.model or None,
        fields=fields,
        stream=bool(known.stream),
        include_usage=True,
        form=BACKGROUND if known.background else "",
        fallback_models=own.fallback_models,
        fallback=not own.disable_fallbacks,
        thinking_to_content=own.thinking_to_content,
    )


def write_request(request: Request, model: str) -> bytes:
    """See :meth:`tidegate.dialects.api.Dialect.write_request`. Always asks for a stream."""
    fields: dict[str, Any] = dict(request.fields)
    fields["model"] = model
    fields["stream"] = True
    fields.pop("background", None)  # who asked for it is answered by us
    if request.reasoning is not None and (effort := effort_of(request.reasoning)):
        asked = msgspec.json.decode(fields["reasoning"]) if "reasoning" in fields else None
        fields["reasoning"] = {**(asked or {}), "effort": effort}
    return msgspec.json.encode(fields)
