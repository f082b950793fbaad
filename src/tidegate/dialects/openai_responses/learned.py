"""The bytes that the frames of one block have in common, learned from one frame and recognised in the next.

A delta's frame differs from the one before in its text, in ``sequence_number``, and often in
``obfuscation``, a random string that hides how long the text is. The rest is compared byte by byte; a frame
that does not fit is decoded in full, so this is never a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from msgspec import Struct

from tidegate.core.event import AnyEvent, Extra, Text, Thinking, Tool
from tidegate.core.steady import DIGITS, TEXT, WORD, Marks
from tidegate.core.steady import Template as Frames
from tidegate.dialects.openai_responses.output import Said
from tidegate.wire.payload import read_inside

_DELTA = re.compile(rb'"delta": ?"((?:[^"\\]|\\.)*)"')
_NUMBER = re.compile(rb'"sequence_number": ?(\d+)')
_PADDING = re.compile(rb'"obfuscation": ?"([^"\\\n]*)"')

_MOST_DIGITS = 16
"""Of a number that is counted on; int() refuses thousands."""
_TEXT, _DIGITS, _WORD = TEXT, DIGITS, WORD
# Numbers, since looking for bytes in bytes makes CPython raise and drop an exception first.
_BACKSLASH, _QUOTE, _LINE_FEED = b'\\"\n'


@dataclass(slots=True)
class Template:
    """A frame in fixed pieces; what stands between two of them is of the kind at the same place.

    Framing included, so that a read that holds one such frame is recognised before it is cut into frames.
    """

    first: bytes
    pieces: tuple[tuple[int, bytes, bytes], ...]
    """Each kind, the first byte of what follows it, and what follows; the last one ends the frame."""
    number: int
    """That of the frame that is expected next."""
    used: bool = False
    """A frame has been recognised."""
    counted: bool = field(init=False)
    """The number comes first, then the text, and at most a padding; so OpenAI's own frames are made."""
    middle: bytes = field(init=False)
    between: bytes | None = field(init=False)
    """What stands before the text, and between it and a padding, in such a frame."""
    last: bytes = field(init=False)

    def __post_init__(self) -> None:
        kinds = [kind for kind, _, _ in self.pieces]
        self.counted = kinds in ([_DIGITS, _TEXT], [_DIGITS, _TEXT, _WORD])
        self.middle = self.pieces[0][2]
        self.between = self.pieces[1][2] if len(kinds) > 2 else None
        self.last = self.pieces[-1][2]

    def text(self, data: bytes) -> str | None:
        """The text of a frame that is made this way, else None."""
        if self.counted:
            head = b"%b%d%b" % (self.first, self.number, self.middle)
            if data.startswith(head) and data.endswith(self.last):
                literal = data[len(head) : -len(self.last)]
                if self.between is not None:
                    literal, found, padding = literal.partition(self.between)
                    if not found or _QUOTE in padding or _BACKSLASH in padding or _LINE_FEED in padding:
                        return None
                text = read_inside(literal)
                if text is not None:
                    self.number += 1
                return text
        return self._searched(data)

    def _searched(self, data: bytes) -> str | None:
        """The text of a frame that has another number, or its fields in another order."""
        if not data.startswith(self.first):
            return None
        text: str | None = None
        number = b"0"
        at = len(self.first)
        for kind, mark, after in self.pieces:
            # One byte is found much faster than many, and nearly always it is the right one.
            stop = data.find(mark, at)
            if kind == _TEXT and data[stop - 1] == _BACKSLASH:
                stop = data.find(after, at)
            if stop < 0 or not data.startswith(after, stop):
                return None
            piece = data[at:stop]
            if kind == _TEXT:
                if (text := read_inside(piece)) is None:
                    return None
            elif kind == _DIGITS:
                if not piece.isdigit():
                    return None
                number = piece
            elif _BACKSLASH in piece or _LINE_FEED in piece:
                return None
            at = stop + len(after)
        if at != len(data):
            return None
        if self.counted and len(number) < _MOST_DIGITS:
            self.number = int(number) + 1
        return text


def learn(payload: bytes, name: bytes, text: str) -> Template | None:
    """What surrounds ``text`` in a frame's payload, when all that can differ is known by its place."""
    found = list(_DELTA.finditer(payload))
    if len(found) != 1 or read_inside(found[0][1]) != text:
        return None
    places = [(*found[0].span(1), _TEXT)]
    for pattern, kind in ((_NUMBER, _DIGITS), (_PADDING, _WORD)):
        matches = list(pattern.finditer(payload))
        if len(matches) > 1:
            return None
        places += [(match.start(1), match.end(1), kind) for match in matches]
    counted = _NUMBER.search(payload)
    number = int(counted[1]) + 1 if counted is not None and len(counted[1]) < _MOST_DIGITS else 0
    places.sort()
    framing = b"event: %b\ndata: " % name if name else b"data: "
    stops = [*(start for start, _, _ in places[1:]), len(payload)]
    between = [payload[end:stop] for (_, end, _), stop in zip(places, stops, strict=True)]
    if not all(between):
        return None
    between[-1] += b"\n\n"
    pieces = [(kind, after[:1], after) for (_, _, kind), after in zip(places, between, strict=True)]
    return Template(framing + payload[: places[0][0]], tuple(pieces), number)


class Known(Struct, frozen=True):
    """A block whose next frame is expected to differ in its text alone."""

    template: Template
    kind: type[Text] | type[Thinking] | type[Tool]
    block: int
    extra: Extra | None
    refusal: bool
    custom: bool
    said: Said

    def event(self, data: bytes) -> AnyEvent | None:
        """The event of a read that holds one such frame, else None."""
        if not (text := self.template.text(data)):
            return None
        self.template.used = True
        self.said.add(text)
        if self.kind is Thinking:
            return Thinking(text, 0, self.block, extra=self.extra)
        if self.kind is Tool:
            return Tool(text, 0, self.block, custom=self.custom, extra=self.extra)
        return Text(text, 0, self.block, refusal=self.refusal, extra=self.extra)

    @property
    def wants_text(self) -> bool:
        """See :class:`tidegate.core.steady.Steady`, as for all that follow."""
        return True

    @property
    def steady(self) -> bool:
        """Whether the event is one that :class:`tidegate.core.steady.Steady` frames stand for."""
        return self.kind is not Tool and not self.refusal

    @property
    def pattern(self) -> Frames:
        pieces = (part for kind, _, after in self.template.pieces for part in (kind, after))
        return (self.template.first, *pieces)

    def sample(self, marks: Marks) -> Text | Thinking:
        kind = Text if self.kind is Text else Thinking
        return kind(marks.text, 0, self.block, extra=self.extra)

    def passed(self, events: int, characters: int, text: str, last: str) -> None:
        self.template.used = True
        self.template.number += events
        self.said.add(text, last)
