"""The usage object of the Responses API, both ways (https://platform.openai.com/docs/api-reference/responses)."""

from __future__ import annotations

from typing import Any, Final

from tidegate.core.usage import Usage

NAME: Final = "openai-responses"


def read_usage(value: Any) -> Usage | None:
    """Usage from an upstream's object, which may lack any of its members."""
    if not isinstance(value, dict):
        return None
    inside, outside = value.get("input_tokens_details"), value.get("output_tokens_details")
    return Usage(
        input_tokens=_count(value, "input_tokens"),
        output_tokens=_count(value, "output_tokens"),
        cached_tokens=_count(inside, "cached_tokens"),
        cache_write_tokens=_count(inside, "cache_write_tokens"),
        reasoning_tokens=_count(outside, "reasoning_tokens"),
        extra=value,
        dialect=NAME,
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """The usage object that a client gets: all counts that the schema requires, and the upstream's own."""
    written: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    if usage.extra is None or usage.dialect != NAME:
        return written
    for key, value in usage.extra.items():
        known = written.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            written[key] = {**known, **value}
        elif value is not None:
            written[key] = value
    return written


def _count(holder: Any, name: str) -> int:
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, int) and value > 0 else 0
