"""Canonical events to Messages events, in the form that the official SDKs read.

The rules: every event has its name, equal to its ``type``; one line of ASCII JSON an event, LF only;
``message_start`` first and with usage; blocks open and close one after another, numbered from 0; nothing
after ``message_stop``; a failed stream ends in one ``error`` event and no ``message_stop``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tidegate.core.event import (
    SEAMS,
    AnyEvent,
    End,
    Extra,
    Failure,
    Finish,
    Item,
    Start,
    Text,
    Thinking,
    Tool,
    seams_told,
)
from tidegate.core.lifecycle import Action, Block, Lifecycle
from tidegate.core.request import Header
from tidegate.core.run import Run
from tidegate.core.steady import Frames, Marks, cut
from tidegate.core.usage import Usage
from tidegate.dialects.anthropic_messages.content import (
    block_object,
    citation_delta,
    delta_objects,
    message,
    own,
    stop_members,
    usage_object,
)
from tidegate.dialects.anthropic_messages.errors import error_envelope
from tidegate.dialects.anthropic_messages.usage import NAME, write_delta_usage
from tidegate.dialects.framed import Framed
from tidegate.dialects.translation.items import own_item
from tidegate.wire.ascii_json import ascii_json, quote
from tidegate.wire.sse import event_frame

Fields = dict[str, Any]

ITEM_KINDS: Final = frozenset({NAME})
_PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
_DELTAS: Final = {
    Text: ("text_delta", "text"),
    Thinking: ("thinking_delta", "thinking"),
    Tool: ("input_json_delta", "partial_json"),
}


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What stands before and after the text in the deltas of one block."""

    kind: type[Text] | type[Thinking] | type[Tool]
    extra: Extra | None
    """None where there was nothing of this dialect in it: that of others is not shown."""
    before: str
    after: str


class MessagesStreamRenderer(Framed):
    """Renders one stream as Messages events."""

    content_type = b"text/event-stream; charset=utf-8"

    __slots__ = (
        "_closed",
        "_closing",
        "_counted",
        "_extra",
        "_finish",
        "_header",
        "_known",
        "_life",
        "_refused",
    )

    def __init__(self, header: Header) -> None:
        self._header = header
        self._life = Lifecycle(ITEM_KINDS)
        self._known: _Surroundings | None = None
        self._extra: Extra | None = None
        self._closed = -1
        """The index of the last block whose end was told."""
        self._closing: Fields = {}
        """What the upstream said beside the end of the open block."""
        self._finish: Finish | None = None
        """Why the answer is complete, while it is not known yet what it cost."""
        self._counted = False
        """The start told the input's tokens."""
        self._refused = False

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        if len(events) == 1 and (frame := self._known_frame(events[0])) is not None:
            return frame.encode("ascii")
        frames: list[str] = []
        for event in events:
            if (frame := self._known_frame(event)) is not None:
                frames.append(frame)
            else:
                self._known = None
                for step in self._life.steps((event,)):
                    self._step(step.action, step.event, step.block, frames)
        return "".join(frames).encode("ascii")

    def template(self, sample: Text | Thinking, marks: Marks) -> Frames | None:
        """See :class:`tidegate.dialects.api.Templated`."""
        frame = self._known_frame(sample)
        template = None if frame is None else cut(frame.encode("ascii"), marks)
        return None if template is None else Frames(template)

    def passed(self, events: int, text: str) -> None:
        """See :class:`tidegate.dialects.api.Templated`: no frame depends on how many came before it."""

    def keep_alive(self) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        return _PING

    def _skip_more(self, rest: Run) -> int:
        event, block = rest.event, self._life.block
        if block is None or not self._life.continues(event):
            return self._skip_unshown(rest)
        if isinstance(event, Tool):
            block.arguments.append(event.arguments)
        return rest.count * len(delta_objects(event, block))

    def _known_frame(self, event: AnyEvent) -> str | None:
        """The frame of a delta that differs in its text alone from the one before."""
        known = self._known
        if known is None or type(event) is not known.kind:
            return None
        extra = event.extra
        if extra is not known.extra and (known.extra is not None or extra is None or NAME in extra):
            return None
        if not self._life.continues(event):
            return None
        if type(event) is Text:
            text = event.text
        elif type(event) is Thinking:
            if event.signature is not None or event.redacted is not None:
                return None
            text = event.text
        else:
            assert isinstance(event, Tool)
            text = event.arguments
        if not text and known.extra is not None:  # what it brings beside no text may be worth telling
            return None
        if type(event) is Tool:
            assert self._life.block is not None
            self._life.block.arguments.append(text)
        return known.before + quote(text) + known.after if text else ""

    def _step(self, action: Action, event: AnyEvent, block: Block | None, frames: list[str]) -> None:
        if action is Action.DELTA and block is not None:
            self._delta(event, block, frames)
        elif action is Action.OPEN and block is not None:
            self._open(block, frames)
        elif action is Action.CLOSE and block is not None:
            self._close(block, frames)
        elif action is Action.START:
            frames.append(self._start(event if isinstance(event, Start) else Start()))
        elif action is Action.ITEM and isinstance(event, Item):
            self._item(event, frames)
        elif action is Action.FINISH and isinstance(event, Finish):
            self._finish = event
            if self._counted and "usage" in own(event):
                frames.append(self._message_delta(None))
        elif action is Action.END and isinstance(event, End):
            self._end(event, frames)

    def _start(self, start: Start) -> str:
        said = own(start)
        self._counted = start.usage is not None
        told = message(self._header, start.model, start.usage, said.get("message"))
        return _frame({"type": "message_start", "message": told, **said.get("event", {})})

    def _open(self, block: Block, frames: list[str]) -> None:
        opening = block.opening
        if isinstance(opening, Text) and opening.refusal:
            self._refused = True
        beside = own(opening).get("start", {})
        if isinstance(opening, Item):
            beside = {name: opening.value[name] for name in opening.value if name != "content_block"}
        content = block_object(opening, self._header, block.index)
        frames.append(
            _frame({"type": "content_block_start", "index": block.index, "content_block": content, **beside})
        )

    def _delta(self, event: AnyEvent, block: Block, frames: list[str]) -> None:
        assert isinstance(event, (Text, Thinking, Tool, Item))
        if isinstance(event, Item):
            beside = {name: event.value[name] for name in event.value if name != "delta"}
        else:
            beside = own(event).get("event", {})
        head = {"type": "content_block_delta", "index": block.index}
        frames += [_frame({**head, "delta": delta, **beside}) for delta in delta_objects(event, block)]
        # Extras that differ from delta to delta are not worth remembering; equal ones are one object.
        extra = event.extra if event.extra is not None and NAME in event.extra else None
        repeats, self._extra = extra is self._extra, extra
        if repeats and not isinstance(event, Item) and "type" not in own(event).get("delta", {}):
            self._known = _surroundings(event, block)

    def _close(self, block: Block, frames: list[str]) -> None:
        closing, self._closing = self._closing, {}
        if block.index > self._closed:
            self._closed = block.index
            frames.append(_frame({"type": "content_block_stop", "index": block.index, **closing}))

    def _item(self, item: Item, frames: list[str]) -> None:
        block = self._life.block
        if block is not None and block.kind is Text and (cited := citation_delta(item)) is not None:
            frames.append(_frame({"type": "content_block_delta", "index": block.index, "delta": cited}))
        if (told := own_item(item)) is not None:
            frames.append(_frame({"type": "ping", SEAMS: told}))
        if item.kind != NAME:
            return
        if "between" in own(item) and self._life.block is not None:
            self._close(self._life.block, frames)
        if item.value.get("type") == "content_block_stop":
            self._closing = {name: item.value[name] for name in item.value if name != "type"}
        else:
            frames.append(_frame(item.value))

    def _message_delta(self, usage: Usage | None) -> str:
        """The event that says why the answer ended, with the upstream's counts or with ``usage``."""
        finish, self._finish = self._finish, None
        assert finish is not None
        said = own(finish)
        if self._counted and "usage" in said:
            counts = said["usage"]
        elif usage is not None and usage.dialect == NAME:
            counts = usage_object(usage)
        else:
            counts = write_delta_usage(usage or Usage())
        delta = stop_members(finish, refused=self._refused)
        beside = {**said.get("event", {}), **seams_told(finish)}
        return _frame({"type": "message_delta", "delta": delta, "usage": counts, **beside})

    def _end(self, end: End, frames: list[str]) -> None:
        if end.error is not None or end.outcome != "completed":
            failure = end.error or Failure("the answer broke off")
            frames.append(_frame(error_envelope(failure, f"req_{self._header.id}")))
            return
        if self._finish is not None:
            frames.append(self._message_delta(end.usage))
        frames.append(_frame({"type": "message_stop", **own(end).get("event", {})}))


def _frame(event: Fields) -> str:
    return event_frame(str(event["type"]), ascii_json(event))


def _surroundings(event: Text | Thinking | Tool, block: Block) -> _Surroundings:
    """The two halves of a delta's frame, for the deltas after it."""
    kind, member = _DELTAS[type(event)]
    said = own(event)
    before = (
        f'event: content_block_delta\ndata: {{"type":"content_block_delta","index":{block.index},'
        f'"delta":{{"type":"{kind}","{member}":'
    )
    after = f"{_members(said.get('delta'))}}}{_members(said.get('event'))}}}\n\n"
    return _Surroundings(type(event), event.extra if said else None, before, after)


def _members(fields: Fields | None) -> str:
    """Further members of an object that has some already. Decoders keep known names out of extras."""
    return f",{ascii_json(fields)[1:-1]}" if fields else ""
