"""Anthropic's usage object, both ways (https://platform.claude.com/docs/en/api/messages)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tidegate.core.usage import Usage

NAME: Final = "anthropic-messages"

_WRITTEN_TO_CACHE, _READ_FROM_CACHE = "cache_creation_input_tokens", "cache_read_input_tokens"


def read_usage(value: Any) -> Usage | None:
    """Usage from an upstream's object, which may lack any of its members.

    Anthropic counts the input beside what the cache gave and took; here both are part of it.
    """
    if not isinstance(value, dict):
        return None
    written, cached = _count(value, _WRITTEN_TO_CACHE), _count(value, _READ_FROM_CACHE)
    return Usage(
        input_tokens=_count(value, "input_tokens") + written + cached,
        output_tokens=_count(value, "output_tokens"),
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=_count(value.get("output_tokens_details"), "thinking_tokens"),
        extra=value,
        dialect=NAME,
    )


def merge_usage(first: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """The usage of a message: what was counted at its start, and the newest of what came later."""
    return {**first, **{name: value for name, value in later.items() if value is not None}}


def write_usage(usage: Usage) -> dict[str, Any]:
    """The usage object of a message that an upstream of another dialect answered, every member there."""
    written, cached = usage.cache_write_tokens, usage.cached_tokens
    return {
        "input_tokens": max(usage.input_tokens - written - cached, 0),
        _WRITTEN_TO_CACHE: written,
        _READ_FROM_CACHE: cached,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
        "server_tool_use": None,
        "service_tier": None,
        "inference_geo": None,
    }


def whole_usage(told: Mapping[str, Any]) -> dict[str, Any]:
    """An upstream's own usage object with both counts that clients read, 0 where it told none."""
    return {**told, **{name: 0 for name in ("input_tokens", "output_tokens") if told.get(name) is None}}


def write_delta_usage(usage: Usage) -> dict[str, Any]:
    """The usage object of the event that ends a message: its counts add up, from the start on."""
    written = write_usage(usage)
    for name in ("cache_creation", "service_tier", "inference_geo"):
        del written[name]
    return written


def _count(holder: Any, name: str) -> int:
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, int) and value > 0 else 0
