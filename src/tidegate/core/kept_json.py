"""JSON of what is kept beside an answer: attempts, seams and the like, with an upstream's own words in it."""

from __future__ import annotations

from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode


def kept_json(value: Any) -> bytes:
    """The value as JSON that can be read again, whatever an upstream has said.

    Half a character, which some servers cut an emoji into, becomes a question mark.
    """
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_whole(msgspec.to_builtins(value)))


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_whole(name): _whole(inner) for name, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list | tuple) else value
