"""The bytes around the one string in which the frames of a block differ: what a decoder learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tidegate.core.event import Extra, Text, Thinking, Tool
from tidegate.wire.payload import read_inside

Delta = Text | Thinking | Tool

_BETWEEN: Final = b"\n\n"
# Numbers, since looking for bytes in bytes makes CPython raise and drop an exception first.
_BACKSLASH, _QUOTE, _LINE_FEED = b'\\"\n'
_KEYS: Final = {Text: b'"text":', Thinking: b'"thinking":', Tool: b'"partial_json":'}


@dataclass(frozen=True, slots=True)
class Form:
    """What stands before and after the string. A payload whose string comes last may be padded with spaces
    behind it, as Anthropic pads each: ``tail`` is then what follows without them, the quote included.
    """

    before: bytes
    after: bytes
    tail: bytes | None

    def text(self, data: bytes) -> str | None:
        """The string in bytes of this form, empty or None when they are not."""
        if not data.startswith(self.before):
            return None
        start = len(self.before)
        if data.endswith(self.after):
            inside = data[start : -len(self.after)]
        elif self.tail is not None:
            at = data.rfind(b'"')
            if at < start or data[at:].replace(b" ", b"") != self.tail:
                return None
            inside = data[start:at]
        else:
            return None
        if _BACKSLASH in inside or _QUOTE in inside or not inside.isascii():
            return read_inside(inside)
        # A raw line break would be the seam of two frames.
        return inside.decode("ascii") if _LINE_FEED not in inside else None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The form of a frame, with its framing and without, and the event that it stands for."""

    frame: Form
    payload: Form
    name: bytes
    kind: type[Text] | type[Thinking] | type[Tool]
    block: int
    extra: Extra | None

    def event(self, text: str) -> Delta:
        """The event of a frame of which all but the text was known."""
        if self.kind is Text:
            return Text(text=text, block=self.block, extra=self.extra)
        if self.kind is Thinking:
            return Thinking(text=text, block=self.block, extra=self.extra)
        return Tool(arguments=text, block=self.block, extra=self.extra)


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
    head = (b"event: %b\n" % name if name else b"") + b"data: "
    framed = Form(head + before, after + _BETWEEN, None if tail is None else tail + _BETWEEN)
    return Surroundings(framed, Form(before, after, tail), name, type(event), event.block, event.extra)
