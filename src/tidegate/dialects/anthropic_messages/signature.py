"""Signatures of thinking that another dialect's upstream made, marked so that they find their way back.

Clients return a signature unchanged and look at nothing in it; only its own upstream can check it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tidegate.dialects.anthropic_messages.usage import NAME

_SIGNED: Final = "tidegate:"
_REDACTED: Final = "tidegate-redacted:"
"""Marks data of redacted thinking that stands in the place of a signature, beside text."""


FOREIGN_INDEX: Final = f"{_SIGNED}citation"
"""Stands where Anthropic has a search's own mark in a citation; an upstream could not read it."""


class Seal(NamedTuple):
    """What stood in a signature's place: whose it is, and whether it is redacted thinking instead."""

    origin: str | None
    value: str
    redacted: bool = False


def write_signature(value: str, origin: str | None) -> str:
    """A signature, or the data of a redacted block, as clients of Messages see it."""
    return value if origin == NAME else f"{_SIGNED}{origin or ''}:{value}"


def write_redacted(value: str, origin: str | None) -> str:
    """Redacted data as the signature of a block that has text as well."""
    return f"{_REDACTED}{origin or ''}:{value}"


def read_signature(value: str) -> Seal:
    """Whose a signature is that a client sent back."""
    for mark in (_SIGNED, _REDACTED):
        if value.startswith(mark):
            origin, _, rest = value[len(mark) :].partition(":")
            return Seal(origin or None, rest, redacted=mark == _REDACTED)
    return Seal(NAME, value)


def is_marked(encoded: bytes) -> bool:
    """Whether JSON may hold a signature that is another dialect's."""
    return _SIGNED.encode() in encoded or _REDACTED.encode() in encoded
