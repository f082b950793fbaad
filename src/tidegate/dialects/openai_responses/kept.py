"""What of an upstream's event is kept, and under which names; what cannot be read at all."""

from __future__ import annotations

from typing import Any, Final

from tidegate.core.event import Extra
from tidegate.dialects.openai_responses.usage import NAME

Fields = dict[str, Any]

NOISE: Final = frozenset({"sequence_number", "obfuscation"})
"""Members that differ from event to event and mean nothing to whoever reads the answer."""

_OURS: Final = frozenset(
    {"id", "object", "status", "output", "usage", "error", "incomplete_details", "model"}
)
"""Members of a response that events say, or that are our own."""


def place(event: Fields, part: Fields) -> tuple[str, int]:
    """The kind and the index of a part."""
    if "summary_index" in event:
        return "summary_text", event["summary_index"] or 0
    return str(part.get("type") or "output_text"), event.get("content_index") or 0


def quiet(event: Fields) -> Fields:
    """An event without what is noise."""
    return {name: value for name, value in event.items() if name not in NOISE}


def rest(response: Fields) -> Extra | None:
    """What a response says of itself beyond what events say."""
    rest = {name: value for name, value in response.items() if name not in _OURS}
    return {NAME: {"response": rest}} if rest else None
