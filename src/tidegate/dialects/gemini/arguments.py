"""A tool call's arguments: JSON text everywhere else, an object in Gemini's parts."""

from __future__ import annotations

from json import loads
from typing import Any

import msgspec

from tidegate.wire.ascii_json import ascii_json


def text_of_object(value: Any) -> str:
    """JSON text, characters beyond ASCII as they are: models and people read it."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can hold and UTF-8 cannot
        return ascii_json(value)


def object_of_text(text: str) -> dict[str, Any]:
    """The object in JSON text; what is none, because a model broke off, is shown as it was."""
    try:
        value: Any = loads(text) if text.strip() else {}
    except ValueError:
        value = text
    return value if isinstance(value, dict) else {"arguments": value}
