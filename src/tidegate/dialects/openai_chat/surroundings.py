"""What the frames of one block have in common: the bytes around the strings in which they differ.

Learned from frames that were decoded in full. Recognising a frame by its surroundings must never be a
guess: one that does not fit, or whose string is not the inside of one JSON literal, is decoded in full.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from tidegate.core.event import Extra, Text, Thinking, Tool
from tidegate.dialects.openai_chat.choice import ChoiceDecoder

BEFORE, AFTER = b"data: ", b"\n\n"
"""The framing around a payload, as nearly every server writes it."""

# Numbers, since looking for bytes in bytes makes CPython raise and drop an exception first.
QUOTE, BACKSLASH = b'"\\'
_LINE_FEED, _CARRIAGE_RETURN = b"\n\r"

_decode_string = msgspec.json.Decoder(str).decode


class Surroundings(Struct, frozen=True):
    """The bytes before and after the one string in which the frames of a block differ.

    Framing included: a read that holds one such frame is recognised before it is cut into frames.
    """

    before: bytes
    after: bytes
    kind: type[Text] | type[Thinking] | type[Tool]
    block: int
    extra: Extra | None
    choice: ChoiceDecoder

    def between(self, payload: bytes) -> str | None:
        """The string of a frame without its framing, or None when the frame is not made that way."""
        start, stop = len(self.before) - len(BEFORE), len(payload) - len(self.after) + len(AFTER)
        if payload[:start] != self.before[len(BEFORE) :] or payload[stop:] != self.after[: -len(AFTER)]:
            return None
        return string(payload[start:stop])

    def event(self, text: str) -> Text | Thinking | Tool:
        """The event of a frame with this text."""
        choice = self.choice
        if self.kind is Text:
            choice.length += len(text)
            return Text(text=text, choice=choice.index, block=self.block, extra=self.extra)
        if self.kind is Thinking:
            return Thinking(text=text, choice=choice.index, block=self.block, extra=self.extra)
        return Tool(arguments=text, choice=choice.index, block=self.block, extra=self.extra)


class Twofold(Struct, frozen=True):
    """Surroundings of a text beside which one more string differs: OpenAI pads each chunk with a random one.

    That string is the unknown field ``key`` of the chunk, and comes after the text.
    """

    before: bytes
    between: bytes
    after: bytes
    start: int
    """Where the text begins."""
    stop: int
    """Where the other string ends, counted from the end."""
    key: str
    block: int
    extra: Extra
    chunk: dict[str, Any]
    """The unknown fields of the chunk; part of ``extra``."""
    choice: ChoiceDecoder

    def event(self, data: bytes) -> Text | None:
        """The text of a read that holds one such frame, else None."""
        if not data.startswith(self.before) or not data.endswith(self.after):
            return None
        literal, found, other = data[self.start : self.stop].partition(self.between)
        if not found or QUOTE in other or BACKSLASH in other or not other.isascii():
            return None
        padding = other.decode("ascii")
        text = string(literal)
        if not text or not padding.isprintable():
            return None
        choice = self.choice
        choice.length += len(text)
        extra = {**self.extra, "chunk": {**self.chunk, self.key: padding}}
        return Text(text=text, choice=choice.index, block=self.block, extra=extra)


def twofold(last: Surroundings, after: bytes, event: Text, choice: ChoiceDecoder) -> Twofold | None:
    """Surroundings with two strings, when the frame differs from the last one in just one more."""
    same = _common(last.after, after)
    start = after.rfind(b'":"', 0, same + 1) + 3
    stop = after.find(b'"', start)
    name = after.rfind(b'"', 0, max(start - 3, 0)) + 1
    if start < 3 or stop < 0 or not 0 < name < start - 3:
        return None
    key = after[name : start - 3].decode("ascii", "replace")
    chunk = (event.extra or {}).get("chunk", {})
    value, field = after[start:stop].decode("ascii", "replace"), b'"%b":' % key.encode("ascii", "replace")
    # Found by its bytes, so make sure that it is a field of the chunk and nothing else of that name.
    if chunk.get(key) != value or after.count(field) != 1 or field in last.before:
        return None
    return Twofold(
        before=last.before,
        between=after[:start],
        after=after[stop:],
        start=len(last.before),
        stop=stop - len(after),
        key=key,
        block=event.block,
        extra=event.extra or {},
        chunk=chunk,
        choice=choice,
    )


def _common(one: bytes, other: bytes) -> int:
    """How many bytes two strings have in common at their beginnings."""
    size = min(len(one), len(other))
    differing = int.from_bytes(one[:size]) ^ int.from_bytes(other[:size])
    return size - (differing.bit_length() + 7) // 8


def string(literal: bytes) -> str | None:
    """The string whose JSON literal has this inside; None when it is not the inside of one literal."""
    if _LINE_FEED in literal or _CARRIAGE_RETURN in literal:
        return None  # an event ends there, or one of its lines
    try:
        if BACKSLASH in literal or QUOTE in literal:
            # Only a valid literal decodes, so a quote in the middle cannot fool this.
            return _decode_string(b'"%b"' % literal)
        return literal.decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
