"""OpenAI Chat's usage object, both ways (https://platform.openai.com/docs/api-reference/chat/object)."""

from __future__ import annotations

from typing import Any

import msgspec

from tidegate.core.usage import Usage

NAME = "openai-chat"


def reported_usage(chunk: dict[str, Any]) -> Usage | None:
    """The usage that a chunk reports outside of its choices; Groq has it in a place of its own."""
    usage = read_usage(chunk.get("usage"))
    if usage is None and isinstance(chunk.get("x_groq"), dict):
        usage = read_usage(chunk["x_groq"].get("usage"))
    return usage


def read_usage(value: Any) -> Usage | None:
    """Usage from an upstream's object, which may lack any of its members."""
    if not isinstance(value, dict):
        return None
    prompt_details = value.get("prompt_tokens_details")
    output_details = value.get("completion_tokens_details")
    cached = _count(prompt_details, "cached_tokens") or _count(value, "prompt_cache_hit_tokens")
    reasoning = _count(output_details, "reasoning_tokens") or _count(value, "reasoning_tokens")
    return Usage(
        input_tokens=_count(value, "prompt_tokens"),
        output_tokens=_count(value, "completion_tokens"),
        cached_tokens=cached or _count(value, "cached_tokens"),
        reasoning_tokens=reasoning,
        extra=value,
    )


def with_another_choice(usage: Usage, another: Usage) -> Usage:
    """Both as one: llama.cpp counts each choice by itself, with the prompt that they have in common."""
    output = usage.output_tokens + another.output_tokens
    counts = {"completion_tokens": output, "total_tokens": another.input_tokens + output}
    return msgspec.structs.replace(
        another,
        output_tokens=output,
        reasoning_tokens=usage.reasoning_tokens + another.reasoning_tokens,
        extra={**(another.extra or {}), **counts},
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """The usage object that a client gets: the upstream's own, with the three counts always there."""
    written: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    if usage.extra is not None and usage.dialect == NAME:
        written.update((key, value) for key, value in usage.extra.items() if value is not None)
        return written
    if usage.cached_tokens:
        written["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens:
        written["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return written


def _count(holder: Any, name: str) -> int:
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, int) and value > 0 else 0
