"""What an answer that is no generation tells of the tokens that it took."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from tidegate.core.usage import Usage
from tidegate.dialects.translation.counts import usage_of

_MOST_READ: Final = 32 * 1024 * 1024
"""Bytes of a JSON answer that are kept to look for its count: an image in it is a few MiB."""

_AT_ONCE: Final = 256 * 1024


class _Told(msgspec.Struct):
    usage: Any = None


_decode = msgspec.json.Decoder(_Told).decode


class Counted:
    """Looks for the count in an answer that is passed on in parts."""

    def __init__(self, content_type: bytes) -> None:
        self._parts: list[bytes] | None = [] if b"json" in content_type else None
        self._size = 0

    def add(self, data: bytes) -> None:
        """More of the body."""
        if self._parts is not None:
            self._parts.append(data)
            self._size += len(data)
            if self._size > _MOST_READ:
                self._parts = None

    async def usage(self) -> Usage | None:
        """What it told, once it is whole."""
        if self._parts is None:
            return None
        body = b"".join(self._parts)
        try:
            told = _decode(body) if len(body) <= _AT_ONCE else await asyncio.to_thread(_decode, body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return usage_of(told.usage)
