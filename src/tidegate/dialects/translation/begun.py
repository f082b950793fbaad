"""A request whose answer has begun: what every wire format changes alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

Fields = dict[str, Any]

_read = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_fields(body: bytes) -> Fields:
    """The members of a body that is about to be sent, each still encoded."""
    return dict(_read(body))


def lessened(fields: Fields, names: Iterable[str], tokens: int) -> None:
    """Take from the limits of an answer what of it was said already; something is always left to say."""
    for name in names:
        limit = msgspec.json.decode(fields[name]) if name in fields else None
        if isinstance(limit, int) and limit > 0:
            fields[name] = max(limit - tokens, 1)
