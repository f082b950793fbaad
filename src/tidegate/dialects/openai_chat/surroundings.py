"""What the frames of one block have in common: the bytes around the strings in which they differ.

Learned from frames that were decoded in full. Recognising a frame by its surroundings must never be a
guess: one that does not fit, or whose string is not the inside of one JSON literal, is decoded in full.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.core.event import Text, Thinking, Tool
from tidegate.core.steady import TEXT, WORD, Marks, Template
from tidegate.dialects.openai_chat.choice import ChoiceDecoder
from tidegate.wire.payload import UNREADABLE, decode_string

BEFORE, AFTER = b"data: ", b"\n\n"
"""The framing around a payload, as nearly every server writes it."""

# Numbers, since looking for bytes in bytes makes CPython raise and drop an exception first.
QUOTE, BACKSLASH = b'"\\'


class Surroundings:
    """The bytes before and after the one string in which the frames of a block differ.

    Framing included, quotes not: a read that holds one such frame is recognised before it is cut into frames.
    """

    __slots__ = (
        "_after",
        "_before",
        "_block",
        "_extra",
        "_index",
        "_kind",
        "_start",
        "_stop",
        "choice",
        "said",
    )

    def __init__(
        self, before: bytes, after: bytes, event: Text | Thinking | Tool, choice: ChoiceDecoder
    ) -> None:
        self._before = before
        self._after = after
        self._start = len(before) - 1  # the literal with its quotes
        self._stop = 1 - len(after)
        self._kind = type(event)
        self._index = event.choice
        self._block = event.block
        self._extra = event.extra
        self.choice = choice
        self.said = 0
        """Characters that were recognised; they are the choice's only when it is told."""

    def event(self, data: bytes) -> Text | Thinking | Tool | None:
        """The event of a read that holds one such frame, else None."""
        if not data.startswith(self._before) or not data.endswith(self._after):
            return None
        try:
            text = decode_string(data[self._start : self._stop])
        except UNREADABLE:
            return None
        if not text:
            return None
        self.said += len(text)
        kind = self._kind  # in a variable: see the call of this in sources/upstream.py
        return kind(text, self._index, self._block, extra=self._extra)

    @property
    def steady(self) -> bool:
        """Whether the event is one that :class:`tidegate.core.steady.Steady` frames stand for."""
        return self._kind is not Tool

    wants_text = False

    @property
    def pattern(self) -> Template:
        """See :class:`tidegate.core.steady.Steady`, as for all that follow."""
        return (self._before, TEXT, self._after)

    def sample(self, marks: Marks) -> Text | Thinking:
        kind = Text if self._kind is Text else Thinking
        return kind(marks.text, self._index, self._block, extra=self._extra)

    def passed(self, events: int, characters: int, text: str, last: str) -> None:
        self.said += characters

    def settle(self) -> None:
        """Tell the choice how much text was recognised."""
        if self._kind is Text:
            self.choice.length += self.said


class Twofold:
    """Surroundings of a text beside which one more string differs: OpenAI pads each chunk with a random one.

    That string is the unknown field ``key`` of the chunk, and comes after the text.
    """

    __slots__ = (
        "_after",
        "_before",
        "_between",
        "_chunk",
        "_event",
        "_key",
        "_start",
        "_stop",
        "choice",
        "said",
    )

    def __init__(
        self, before: bytes, between: bytes, after: bytes, key: str, event: Text, choice: ChoiceDecoder
    ) -> None:
        self._before = before
        self._between = between
        self._after = after
        self._start = len(before) - 1
        self._stop = -len(after)
        self._key = key
        self._event = event
        self._chunk: dict[str, Any] = (event.extra or {})["chunk"]
        self.choice = choice
        self.said = 0

    def event(self, data: bytes) -> Text | None:
        """The text of a read that holds one such frame, else None."""
        if not data.startswith(self._before) or not data.endswith(self._after):
            return None
        literal, found, other = data[self._start : self._stop].partition(self._between)
        if not found:
            return None
        value = other.decode() if other.isalnum() else _plain(other)
        try:
            text = decode_string(literal)
        except UNREADABLE:
            return None
        if not text or value is None:
            return None
        self.said += len(text)
        return self._like(text, value)

    def _like(self, text: str, value: str) -> Text:
        like = self._event
        chunk = {**self._chunk, self._key: value}
        extra = like.extra or {}
        extra = {"chunk": chunk} if len(extra) == 1 else {**extra, "chunk": chunk}
        return Text(text, like.choice, like.block, extra=extra)

    steady = True

    wants_text = False

    @property
    def pattern(self) -> Template:
        """See :class:`tidegate.core.steady.Steady`, as for all that follow."""
        return (self._before, TEXT, b'"' + self._between, WORD, self._after)

    def sample(self, marks: Marks) -> Text | Thinking:
        return self._like(marks.text, marks.word)

    def passed(self, events: int, characters: int, text: str, last: str) -> None:
        self.said += characters

    def settle(self) -> None:
        """See :meth:`Surroundings.settle`."""
        self.choice.length += self.said


def padding(chunk: Mapping[str, Any], before: Mapping[str, Any]) -> str | None:
    """The one unknown field of a chunk whose value is another string than in the chunk before."""
    differing = [key for key, value in chunk.items() if key in before and before[key] != value]
    if len(differing) != 1 or not isinstance(chunk[differing[0]], str):
        return None
    return differing[0]


def twofold(before: bytes, after: bytes, key: str, event: Text, choice: ChoiceDecoder) -> Twofold | None:
    """Surroundings in which the chunk's field ``key`` differs as well, if it is found behind the text."""
    chunk = (event.extra or {})["chunk"]
    name, value = b'"%b"' % key.encode("utf-8", "replace"), chunk[key].encode("utf-8", "replace")
    start = after.find(name + b":") + len(name) + 1
    start += after.startswith(b" ", start)
    stop = start + 1 + len(value)
    # Found by its bytes, so make sure that it is a field of the chunk and nothing else of that name.
    if name in before or after.count(name) != 1 or after[start : stop + 1] != b'"%b"' % value:
        return None
    # Without its first byte, the quote that ends the text: what is left cannot be inside of a string either.
    return Twofold(before, after[1 : start + 1], after[stop:], key, event, choice)


def _plain(literal: bytes) -> str | None:
    """The string whose JSON literal has this inside and no escape; None for any other."""
    if QUOTE in literal or BACKSLASH in literal or not literal.isascii():
        return None
    value = literal.decode("ascii")
    return value if value.isprintable() else None
