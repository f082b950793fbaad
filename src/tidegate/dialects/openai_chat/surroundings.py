"""What the frames of one block have in common: the bytes around the strings in which they differ.

Learned from frames that were decoded in full. Recognising a frame by its surroundings must never be a
guess: one that does not fit, or whose string is not the inside of one JSON literal, is decoded in full.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from tidegate.core.event import Extra, Text, Thinking, Tool
from tidegate.dialects.openai_chat.choice import ChoiceDecoder
from tidegate.wire.payload import read_inside

BEFORE, AFTER = b"data: ", b"\n\n"
"""The framing around a payload, as nearly every server writes it."""

# Numbers, since looking for bytes in bytes makes CPython raise and drop an exception first.
QUOTE, BACKSLASH = b'"\\'


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
        return read_inside(payload[start:stop])

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
    alone: bool
    """They are all of ``extra``."""
    choice: ChoiceDecoder

    def event(self, data: bytes) -> Text | None:
        """The text of a read that holds one such frame, else None."""
        if not data.startswith(self.before) or not data.endswith(self.after):
            return None
        literal, found, other = data[self.start : self.stop].partition(self.between)
        if not found:
            return None
        value = other.decode("ascii") if other.isalnum() else _plain(other)
        text: str | None = None
        if QUOTE not in literal and BACKSLASH not in literal and literal.isascii():
            text = literal.decode("ascii")
        if text is None or not text.isprintable():
            text = read_inside(literal)
        if not text or value is None:
            return None
        choice = self.choice
        choice.length += len(text)
        chunk = {**self.chunk, self.key: value}
        extra = {"chunk": chunk} if self.alone else {**self.extra, "chunk": chunk}
        return Text(text=text, choice=choice.index, block=self.block, extra=extra)


def padding(chunk: Mapping[str, Any], before: Mapping[str, Any]) -> str | None:
    """The one unknown field of a chunk whose value is another string than in the chunk before."""
    differing = [key for key, value in chunk.items() if key in before and before[key] != value]
    if len(differing) != 1 or not isinstance(chunk[differing[0]], str):
        return None
    return differing[0]


def twofold(before: bytes, after: bytes, key: str, event: Text, choice: ChoiceDecoder) -> Twofold | None:
    """Surroundings in which the chunk's field ``key`` differs as well, if it is found behind the text."""
    extra = event.extra or {}
    chunk = extra["chunk"]
    name, value = b'"%b"' % key.encode("utf-8", "replace"), chunk[key].encode("utf-8", "replace")
    start = after.find(name + b":") + len(name) + 1
    start += after.startswith(b" ", start)
    stop = start + 1 + len(value)
    # Found by its bytes, so make sure that it is a field of the chunk and nothing else of that name.
    if name in before or after.count(name) != 1 or after[start : stop + 1] != b'"%b"' % value:
        return None
    return Twofold(
        before=before,
        between=after[: start + 1],
        after=after[stop:],
        start=len(before),
        stop=stop - len(after),
        key=key,
        block=event.block,
        extra=extra,
        chunk=chunk,
        alone=len(extra) == 1,
        choice=choice,
    )


def _plain(literal: bytes) -> str | None:
    """The string whose JSON literal has this inside and no escape; None for any other."""
    if QUOTE in literal or BACKSLASH in literal or not literal.isascii():
        return None
    value = literal.decode("ascii")
    return value if value.isprintable() else None
