"""The request body of ``POST /v1/completions``, read from a caller and written for an upstream.

As in Chat, members stay encoded on their way through.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from tidegate.core.request import Request
from tidegate.dialects.openai_chat.quirks import apply_quirks
from tidegate.dialects.translation.body import read_body
from tidegate.dialects.translation.options import read_options
from tidegate.errors import InvalidRequest

_MOST_CHOICES: Final = 128
_QUIRKS: Final = frozenset({"no_stream_options", "random_seed", "no_top_k"})
"""Those of Chat's that concern fields which are here too."""


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _Known(Struct):
    """The fields that the gateway reads; a prompt is text, or the numbers of its tokens."""

    prompt: str | list[str | int | list[int]]
    model: str | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: int | None = None
    best_of: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    echo: bool | None = None
    suffix: str | None = None
    logprobs: int | None = None
    stop: str | list[str] | None = None


_known = msgspec.json.Decoder(_Known)


def read_request(body: bytes) -> Request:
    """See :meth:`tidegate.dialects.api.Dialect.read_request`. ``choices`` are those of all prompts."""
    known, fields = read_body(body, _known)
    prompts = prompt_count(known.prompt)
    if not prompts:
        raise InvalidRequest("'prompt' is an empty list; send at least one prompt", param="prompt")
    each = 1 if known.n is None else known.n
    if not 1 <= each * prompts <= _MOST_CHOICES:
        raise InvalidRequest(
            f"'n' times the number of prompts must be from 1 to {_MOST_CHOICES}, not {each * prompts}",
            param="n",
        )
    options = known.stream_options
    own = read_options(fields)
    return Request(
        dialect="openai-completions",
        model=known.model or None,
        fields=fields,
        stream=bool(known.stream),
        include_usage=bool(options and options.include_usage),
        choices=each * prompts,
        fallback_models=own.fallback_models,
        fallback=not own.disable_fallbacks,
        thinking_to_content=own.thinking_to_content,
    )


def prompt_count(prompt: Any) -> int:
    """How many prompts there are: a list of numbers is one."""
    if not isinstance(prompt, list):
        return 1
    return 1 if prompt and isinstance(prompt[0], int) else len(prompt)


def write_request(request: Request, model: str, quirks: frozenset[str]) -> bytes:
    """See :meth:`tidegate.dialects.api.Dialect.write_request`.

    Asks for a stream, with usage, unless the best of several answers is wanted, which cannot be streamed.
    """
    fields: dict[str, Any] = dict(request.fields)
    fields["model"] = model
    if _chooses(fields):
        return msgspec.json.encode(fields)
    fields["stream"] = True
    options = msgspec.json.decode(fields["stream_options"]) if "stream_options" in fields else None
    fields["stream_options"] = {**(options or {}), "include_usage": True}
    apply_quirks(fields, quirks & _QUIRKS)
    return msgspec.json.encode(fields)


def _chooses(fields: dict[str, Any]) -> bool:
    best_of = msgspec.json.decode(fields["best_of"]) if "best_of" in fields else None
    each = msgspec.json.decode(fields["n"]) if "n" in fields else None
    return best_of is not None and best_of > (each or 1)
