"""The JSON of one event of an upstream: the whole object, or one string of it when the rest is known."""

from __future__ import annotations

from json import loads
from typing import Any

import msgspec

from tidegate.errors import Broken

decode_string = msgspec.json.Decoder(str).decode
"""The string of one JSON literal, quotes included, without bare control characters; raises UNREADABLE."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)

_decode_json = msgspec.json.Decoder().decode

# Asked for by number: asked for as bytes, a byte costs an exception that is made and dropped.
_LINE_FEED, _CARRIAGE_RETURN, _QUOTE, _BACKSLASH = b'\n\r"\\'


def read_object(payload: bytes) -> dict[str, Any]:
    """The object in an event's data. Raises Broken."""
    try:
        value = _decode_json(payload)
    except UNREADABLE:
        try:
            # Takes lone surrogates, which some servers cut an emoji into, and bare control characters.
            value = loads(payload, strict=False)
        except (ValueError, RecursionError):
            raise Broken("the upstream sent an event that is not JSON") from None
    except RecursionError:
        raise Broken("the upstream sent an event that is nested too deeply") from None
    if not isinstance(value, dict):
        raise Broken("the upstream sent an event that is not a JSON object")
    return value


def read_inside(literal: bytes) -> str | None:
    """The string whose JSON literal has this inside; None when it is not the inside of one literal."""
    if _LINE_FEED in literal or _CARRIAGE_RETURN in literal:
        return None  # an event ends there, or one of its lines
    try:
        if _BACKSLASH in literal or _QUOTE in literal:
            # Only a valid literal decodes, so a quote in the middle cannot fool this.
            return decode_string(b'"%b"' % literal)
        return literal.decode()
    except UNREADABLE:
        return None
