"""The bytes around the one string in which the frames of a block differ: what a decoder learns."""

from __future__ import annotations

from typing import Final

from tidegate.core.event import Text, Thinking, Tool
from tidegate.core.steady import SPACES, TEXT, Marks, Template
from tidegate.wire.payload import UNREADABLE, decode_string

Delta = Text | Thinking | Tool

BETWEEN: Final = b"\n\n"
_LONGEST_TAIL: Final = 8
_KEYS: Final = {Text: b'"text":', Thinking: b'"thinking":', Tool: b'"partial_json":'}


class Surroundings:
    """What stands before and after the string, with the framing, and the event that such a frame stands for.

    A payload whose string comes last may be padded with spaces behind it, as Anthropic pads each: ``tail`` is
    then what follows without them, the quote included.
    """

    __slots__ = ("_after", "_before", "_block", "_extra", "_kind", "_start", "_stop", "_tail", "used")

    def __init__(self, framing: bytes, before: bytes, after: bytes, tail: bytes | None, event: Delta) -> None:
        self._before = framing + before
        self._after = after + BETWEEN
        self._tail = None if tail is None else tail + BETWEEN
        self._start = len(self._before) - 1  # the literal with its quotes
        self._stop = 1 - len(self._after)
        self._kind = type(event)
        self._block = event.block
        self._extra = event.extra
        self.used = False

    def event(self, data: bytes) -> Delta | None:
        """The event of a read that holds one such frame, else None."""
        if not data.startswith(self._before):
            return None
        if data.endswith(self._after):
            literal = data[self._start : self._stop]
        elif self._tail is not None:
            at = data.rfind(b'"')
            if at <= self._start or data[at:].replace(b" ", b"") != self._tail:
                return None
            literal = data[self._start : at + 1]
        else:
            return None
        try:
            text = decode_string(literal)
        except UNREADABLE:
            return None
        self.used = True
        kind = self._kind  # in a variable: see the call of this in sources/upstream.py
        return kind(text, 0, self._block, extra=self._extra) if text else None

    @property
    def steady(self) -> bool:
        """Whether the event is one that :class:`tidegate.core.steady.Steady` frames stand for."""
        return self._kind is not Tool

    wants_text = False

    @property
    def pattern(self) -> Template:
        """See :class:`tidegate.core.steady.Steady`, as for all that follow."""
        tail = self._tail
        if tail is None or len(tail) > _LONGEST_TAIL:
            return (self._before, TEXT, self._after)
        padded = [part for byte in tail.removesuffix(BETWEEN) for part in (bytes((byte,)), SPACES)]
        return (self._before, TEXT, *padded, BETWEEN)

    def sample(self, marks: Marks) -> Text | Thinking:
        kind = Text if self._kind is Text else Thinking
        return kind(marks.text, 0, self._block, extra=self._extra)

    def passed(self, events: int, characters: int, text: str, last: str) -> None:
        self.used = True


def learned(name: bytes, payload: bytes, event: Delta) -> Surroundings | None:
    """What surrounds the text of a frame that stands for ``event``, when that is all it can differ in."""
    key, text = _KEYS[type(event)], event.arguments if isinstance(event, Tool) else event.text
    quoted = b'"' + text.encode("utf-8", "surrogatepass") + b'"'
    if payload.count(key) != 1 or payload.count(quoted) != 1:
        return None
    at = payload.index(key) + len(key)
    if payload[at : at + 1] == b" ":
        at += 1
    if not payload.startswith(quoted, at):
        return None
    before, after = payload[: at + 1], payload[at + len(quoted) - 1 :]
    tail = after.replace(b" ", b"") if after.count(b'"') == 1 else None
    framing = b"event: %b\ndata: " % name if name else b"data: "
    return Surroundings(framing, before, after, tail, event)
