"""What providers' own lists tell of their models, in the words of our list. Nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_TYPES = frozenset({"chat", "embedding", "rerank", "image", "audio", "moderation", "transcription"})


def told_facts(told: Mapping[str, Any], provider: str) -> dict[str, Any]:
    """What a provider's own list tells of a model, in our words."""
    top = told.get("top_provider")
    top = top if isinstance(top, dict) else {}
    context = ("context_length", "max_model_len", "context_window", "max_input_tokens", "inputTokenLimit")
    created = told.get("created")
    return {
        "owned_by": told.get("owned_by") or provider,
        "created": created if isinstance(created, int) else 0,
        "display_name": _text(told.get("display_name") or told.get("name")),
        "type": told.get("type") if told.get("type") in _TYPES else None,
        "context_length": _count(next((told[each] for each in context if told.get(each)), None)),
        "max_output_tokens": _count(
            told.get("max_output_tokens") or told.get("max_tokens") or top.get("max_completion_tokens")
        ),
        "capabilities": _flags(told.get("capabilities")),
        "pricing": _pricing(told.get("pricing")),
    }


def common_facts(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What holds of a model whichever of its deployments answers, each of which told this much.

    As little as the least of them takes, of those that say; what all of them can do, and are for.
    """
    facts: dict[str, Any] = {}
    for name in ("context_length", "max_output_tokens"):
        facts[name] = min((each[name] for each in told if each[name] is not None), default=None)
    kinds = {each["type"] for each in told}
    facts["type"] = kinds.pop() if len(kinds) == 1 else None
    flags = [each["capabilities"] for each in told]
    names = flags[0] if flags else {}
    facts["capabilities"] = {name: True for name in names if all(each.get(name) for each in flags)}
    return facts


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _flags(value: Any) -> dict[str, bool]:
    """Capabilities in the form of MegaLLM, the one that says yes or no by name."""
    if not isinstance(value, dict):
        return {}
    return {
        str(name): flag
        for name, flag in value.items()
        if isinstance(flag, bool) and str(name).startswith("supports_")
    }


def _pricing(value: Any) -> dict[str, Any] | None:
    """Prices for a million tokens: MegaLLM's form, or OpenRouter's, which is dollars for one token."""
    if not isinstance(value, dict):
        return None
    if "input_tokens_cost_per_million" in value:
        return dict(value)
    try:
        cost = [round(float(value[name]) * 1e6, 9) for name in ("prompt", "completion")]
    except (KeyError, TypeError, ValueError):
        return None
    if min(cost) < 0:  # it depends
        return None
    return {
        "input_tokens_cost_per_million": cost[0],
        "output_tokens_cost_per_million": cost[1],
        "currency": "USD",
    }
