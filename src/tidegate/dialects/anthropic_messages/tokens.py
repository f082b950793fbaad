"""An estimate of how many tokens a request has, for models whose upstream does not count them.

Four characters are taken for a token, which is about right for English and too little for most other
languages. Images and documents in base64 cannot be told from their size, and count as one constant each.
"""

from __future__ import annotations

from typing import Any, Final

from tidegate.core.request import Request
from tidegate.dialects.translation.body import decode_fields

_CHARACTERS: Final = 4
_TOKENS_OF_MEDIA: Final = 1500
_COUNTED: Final = ("system", "messages", "tools")


def estimate_tokens(request: Request) -> int:
    """Tokens in all that the model is to read: instructions, messages and tools. At least 1."""
    fields = decode_fields({name: request.fields[name] for name in _COUNTED if name in request.fields})
    characters, media = _size(fields)
    return max(1, -(-characters // _CHARACTERS) + media * _TOKENS_OF_MEDIA)


def _size(value: Any) -> tuple[int, int]:
    """Characters of all that is text, and how many images or documents there are."""
    characters = media = 0
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            characters += len(each)
        elif isinstance(each, list):
            waiting.extend(each)
        elif isinstance(each, dict):
            if isinstance(source := each.get("source"), dict) and source.get("type") not in (
                "text",
                "content",
            ):
                media += 1
                waiting.extend(inner for name, inner in each.items() if name != "source")
            else:
                characters += sum(map(len, each))
                waiting.extend(inner for name, inner in each.items() if name != "cache_control")
        elif each is not None:
            characters += len(str(each))
    return characters, media
