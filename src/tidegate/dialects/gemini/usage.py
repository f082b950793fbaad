"""Gemini's ``usageMetadata``, both ways (https://ai.google.dev/api/generate-content#UsageMetadata)."""

from __future__ import annotations

from typing import Any

from tidegate.core.usage import Usage
from tidegate.dialects.gemini.words import NAME


def read_usage(value: Any) -> Usage | None:
    """Usage from an upstream's object, which may lack any of its members."""
    if not isinstance(value, dict):
        return None
    thoughts = _count(value, "thoughtsTokenCount")
    return Usage(
        input_tokens=_count(value, "promptTokenCount") + _count(value, "toolUsePromptTokenCount"),
        output_tokens=_count(value, "candidatesTokenCount") + thoughts,
        cached_tokens=_count(value, "cachedContentTokenCount"),
        reasoning_tokens=thoughts,
        extra=value,
        dialect=NAME,
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """The usage object that a client gets: the upstream's own, with the three counts always there."""
    written: dict[str, Any] = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": max(usage.output_tokens - usage.reasoning_tokens, 0),
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
    }
    if usage.extra is not None and usage.dialect == NAME:
        return {**written, **usage.extra}
    if usage.cached_tokens:
        written["cachedContentTokenCount"] = usage.cached_tokens
    if usage.reasoning_tokens:
        written["thoughtsTokenCount"] = usage.reasoning_tokens
    return written


def _count(holder: dict[str, Any], name: str) -> int:
    value = holder.get(name)
    return value if isinstance(value, int) and value > 0 else 0
