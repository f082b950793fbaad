"""A request for generateContent or streamGenerateContent, read from a caller and written for an upstream.

The path names the model and says whether to stream (https://ai.google.dev/api/generate-content); the
members of the body stay encoded on their way through.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qs, unquote

import msgspec
from msgspec import Raw, Struct

from tidegate.core.request import Request
from tidegate.dialects.gemini.render import ARRAY
from tidegate.dialects.gemini.thinking import thinking_config
from tidegate.dialects.gemini.words import NAME
from tidegate.dialects.translation.body import decode_fields, read_body
from tidegate.dialects.translation.options import read_options
from tidegate.errors import InvalidRequest

_MOST_CHOICES: Final = 8
"""As many candidates as Google gives."""
STREAM: Final = "streamGenerateContent"


class _GenerationConfig(Struct, rename="camel"):
    candidate_count: int | None = None
    temperature: float | None = None
    stop_sequences: list[str] | None = None


class _Known(Struct, rename="camel"):
    """The fields that the gateway reads. ``contents`` is required."""

    contents: list[Raw] | dict[str, Raw] | str
    generation_config: _GenerationConfig | None = None


_known = msgspec.json.Decoder(_Known)
_SPELLINGS: Final = {
    "system_instruction": "systemInstruction",
    "generation_config": "generationConfig",
    "safety_settings": "safetySettings",
    "tool_config": "toolConfig",
    "cached_content": "cachedContent",
}
"""Google's servers take the names of their protocol buffers as well; many examples for curl use them."""


def read_request(body: bytes, path: str) -> Request:
    """See :meth:`tidegate.dialects.api.Dialect.read_request`. ``path`` is with its query."""
    path, _, query = path.partition("?")
    name, _, verb = path.rpartition(":")
    model = unquote(name.partition("models/")[2].strip("/"))
    known, fields = read_body(body, _known)
    if not known.contents:
        raise InvalidRequest("'contents' is empty; send at least one message", param="contents")
    fields = {_SPELLINGS.get(name, name): raw for name, raw in fields.items()}
    config = known.generation_config
    count = config.candidate_count if config is not None else None
    count = _spelled_count(fields) if count is None else count
    choices = 1 if count is None else count
    if not 1 <= choices <= _MOST_CHOICES:
        raise InvalidRequest(
            f"'generationConfig.candidateCount' must be from 1 to {_MOST_CHOICES}, not {choices}",
            param="generationConfig.candidateCount",
        )
    stream = verb == STREAM
    framed = parse_qs(query).get("alt", [""])[-1] == "sse"
    own = read_options(fields)
    return Request(
        dialect=NAME,
        model=model or None,
        fields=fields,
        stream=stream,
        include_usage=True,
        choices=choices,
        fallback_models=own.fallback_models,
        fallback=not own.disable_fallbacks,
        thinking_to_content=own.thinking_to_content,
        form=ARRAY if stream and not framed else "",
    )


def _spelled_count(fields: dict[str, Raw]) -> int | None:
    """The number of candidates, where the configuration or its member has the other spelling."""
    raw = fields.get("generationConfig")
    config = None if raw is None else decode_fields({"generationConfig": raw})["generationConfig"]
    if not isinstance(config, dict):
        return None
    count = config.get("candidate_count", config.get("candidateCount"))
    return count if isinstance(count, int) else None


def write_request(request: Request, model: str, quirks: frozenset[str]) -> bytes:
    """See :meth:`tidegate.dialects.api.Dialect.write_request`."""
    fields: dict[str, Any] = dict(request.fields)
    fields.pop("model", None)  # in the path
    if request.reasoning is not None and (thinking := thinking_config(request.reasoning, model)):
        config = msgspec.json.decode(fields.get("generationConfig", b"null")) or {}
        config.pop("thinking_config", None)
        fields["generationConfig"] = {**config, "thinkingConfig": thinking}
    return msgspec.json.encode(fields)
