"""Canonical events to the chunks of a streamed answer: server-sent events, or one JSON array of them.

``alt=sse`` asks for the former, which is what the SDKs read. A chunk has one part of one candidate; a
delta's chunk differs from the one before in its text alone, and is then written around the new text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from tidegate.core.event import SEAMS, AnyEvent, End, Extra, Failure, Text, Thinking, Tool
from tidegate.core.request import Header
from tidegate.core.run import Run
from tidegate.dialects.framed import Framed
from tidegate.dialects.gemini.errors import error_json
from tidegate.dialects.gemini.pieces import NOTHING, Piece, Pieces
from tidegate.dialects.gemini.usage import write_usage
from tidegate.dialects.gemini.words import NAME
from tidegate.wire.ascii_json import ascii_json, quote

ARRAY: Final = "array"
"""The form of a stream for which no ``alt`` was given."""
_BROKEN_OFF: Final = Failure("the answer broke off")


class _Surroundings(Struct, frozen=True):
    """What stands before and after the text in the chunks of one block."""

    kind: type[Text] | type[Thinking]
    choice: int
    block: int
    extra: Extra | None
    before: str
    after: str


class GeminiStreamRenderer(Framed):
    """Renders one stream as chunks."""

    __slots__ = (
        "_after",
        "_array",
        "_before",
        "_begun",
        "_extra",
        "_header",
        "_known",
        "_pieces",
        "_tail",
        "content_type",
    )

    def __init__(self, header: Header) -> None:
        self._header = header
        self._array = header.form == ARRAY
        kind = "application/json" if self._array else "text/event-stream"
        self.content_type = f"{kind}; charset=utf-8".encode()
        self._before, self._after = (",\n", "") if self._array else ("data: ", "\n\n")
        self._pieces = Pieces()
        self._begun = False
        self._known: _Surroundings | None = None
        self._extra: Extra | None = None
        self._tail = self._tail_for(header.model)

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        frames: list[str] = []
        for event in events:
            known = self._known
            if (
                known is not None
                and type(event) is known.kind
                and (event.extra is known.extra or _alike(event.extra, known.extra))
                and event.block == known.block
                and event.choice == known.choice
                and _plain(event)
            ):
                frames.append(known.before + quote(event.text) + known.after)
            else:
                self._event(event, frames)
        return "".join(frames).encode("ascii")

    def keep_alive(self) -> bytes:
        """An array may hold space anywhere. Of frames, the SDKs skip none but well-formed chunks."""
        if self._array:
            return b"\n"
        return f"data: {self._chunk(Piece(0, {'text': ''}))}\n\n".encode("ascii")

    def frames(self, data: bytes) -> list[bytes]:
        """Of an array each element is one, and so is its end."""
        if not self._array:
            return super().frames(data)
        first, *others = data.removesuffix(b"]").split(b",\n")
        found = [first] if first else []
        found += [b",\n" + each for each in others]
        return [*found, b"]"] if data.endswith(b"]") else found

    def _skip_more(self, rest: Run) -> int:
        # What the first piece of a call shows is the call before it: itself is shown when it is whole.
        if type(rest.event) is Tool or not self._pieces.continues(rest.event):
            return self._skip_unshown(rest)
        return rest.count

    def _skip_unshown(self, rest: Run) -> int:
        if self._pieces.continues(rest.event) and self._pieces.more_of_call(rest.event):
            return 0
        return super()._skip_unshown(rest)

    def _event(self, event: AnyEvent, frames: list[str]) -> None:
        self._known = None
        pieces = self._pieces
        again = isinstance(event, (Text, Thinking)) and _plain(event) and pieces.continues(event)
        frames.extend(self._framed(self._chunk(piece)) for piece in pieces.of((event,)))
        if pieces.model is not None:
            self._tail = self._tail_for(pieces.model)
        if isinstance(event, (Text, Thinking)):
            # Extras that differ from delta to delta are not worth remembering; equal ones are one object.
            if again and (event.extra is self._extra or _alike(event.extra, self._extra)):
                self._learn(event)
            self._extra = event.extra
        elif isinstance(event, End):
            self._end(event, frames)

    def _learn(self, event: Text | Thinking) -> None:
        """Remember what surrounds the text of a delta, from a chunk with an empty one."""
        sample = next(iter(Pieces().of((_without_text(event),))))
        before, found, after = self._chunk(sample).partition('{"text":""')
        if found:
            self._known = _Surroundings(
                type(event),
                event.choice,
                event.block,
                event.extra,
                f'{self._before}{before}{{"text":',
                f"{after}{self._after}",
            )

    def _end(self, end: End, frames: list[str]) -> None:
        if end.outcome == "completed":
            if self._array:
                frames.append("]")
            return
        error = error_json(end.error or _BROKEN_OFF)
        frames.append(self._framed(error))
        # The SDK for Python raises at such an event, the one for JavaScript only at text that is no event.
        frames.append("]" if self._array else f"{error}\n")

    def _framed(self, chunk: str) -> str:
        before = self._before if self._begun or not self._array else "["
        self._begun = True
        return f"{before}{chunk}{self._after}"

    def _tail_for(self, model: str) -> str:
        """The members that every chunk ends in."""
        return f',"modelVersion":{quote(model)},"responseId":"{self._header.id}"'

    def _chunk(self, piece: Piece) -> str:
        usage = f',"usageMetadata":{ascii_json(write_usage(piece.usage))}' if piece.usage is not None else ""
        ours = {SEAMS: piece.item} if piece.item is not None else NOTHING
        rest = f"{usage}{self._tail}{_members(piece.chunk)}{_members(ours)}}}"
        if piece.choice is None:
            if "candidates" in piece.chunk:
                candidates = ascii_json(piece.chunk["candidates"])
                others = {key: value for key, value in piece.chunk.items() if key != "candidates"}
                return f'{{"candidates":{candidates}{usage}{self._tail}{_members(others)}}}'
            return f"{{{rest[1:]}"
        content = f'{{"parts":[{ascii_json(piece.part)}],"role":"model"{_members(piece.content)}}}'
        candidate = f'{{"content":{content},"index":{piece.choice}{_members(piece.candidate)}}}'
        return f'{{"candidates":[{candidate}]{rest}'


def _plain(event: Text | Thinking) -> bool:
    """Whether a delta is nothing but words."""
    if isinstance(event, Text):
        return event.logprobs is None
    return event.signature is None and event.redacted is None


def _alike(extra: Extra | None, before: Extra | None) -> bool:
    """Whether neither of two objects has anything of this dialect, which is all that is shown."""
    return (extra is None or NAME not in extra) and (before is None or NAME not in before)


def _without_text(event: Text | Thinking) -> Text | Thinking:
    if isinstance(event, Text):
        return Text(text="", choice=event.choice, block=event.block, extra=event.extra)
    return Thinking(text="", choice=event.choice, block=event.block, extra=event.extra)


def _members(fields: Mapping[str, Any]) -> str:
    """Further members of an object that has some already. Decoders keep known names out of extras."""
    return f",{ascii_json(fields)[1:-1]}" if fields else ""
