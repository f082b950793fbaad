"""What stands for reasoning that only its upstream can read: ``encrypted_content`` and the ids of its items.

A signature of the Responses API is an item's encrypted content, with the item's id before it: an upstream
that checks compares the two, so they must come back together. Signatures of other dialects are shown to
clients as encrypted content too, under a mark that says whose they are.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from tidegate.core.message import ThinkingPart
from tidegate.dialects.openai_responses.usage import NAME

_WITH_ID = re.compile(r"(rs_[A-Za-z0-9_-]+)\.(.*)", re.DOTALL)
_MARKED = re.compile(r"tidegate(-redacted)?:([a-z-]+):(.*)", re.DOTALL)
_REDACTED: Final = "-redacted"


class Encrypted(NamedTuple):
    """What a reasoning item of the Responses API is known by."""

    item_id: str | None
    content: str


def sign(item_id: str | None, content: str) -> str:
    """The signature for encrypted content of an item."""
    return f"{item_id}.{content}" if item_id and _WITH_ID.fullmatch(f"{item_id}.") else content


def unsign(signature: str) -> Encrypted:
    """The item's id, if it was known, and the encrypted content in a signature."""
    found = _WITH_ID.fullmatch(signature)
    return Encrypted(found[1], found[2]) if found else Encrypted(None, signature)


def show(signature: str, origin: str | None) -> str:
    """A signature as encrypted content for a client."""
    if origin is None or origin == NAME:
        return unsign(signature).content
    return f"tidegate:{origin}:{signature}"


def show_redacted(data: str, origin: str | None) -> str:
    """Reasoning that its upstream has hidden, as encrypted content for a client."""
    return f"tidegate{_REDACTED}:{origin or NAME}:{data}"


def read(text: str, content: str | None, item_id: str | None) -> ThinkingPart:
    """A reasoning item that a client gives back; ``content`` is its encrypted content."""
    if not content:
        return ThinkingPart(text=text)
    found = _MARKED.fullmatch(content)
    if found is None:
        return ThinkingPart(text=text, signature=sign(item_id, content), origin=NAME)
    if found[1] == _REDACTED:
        return ThinkingPart(text=text, redacted=found[3], origin=found[2])
    return ThinkingPart(text=text, signature=found[3], origin=found[2])
