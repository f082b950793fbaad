"""The fold of a stream as one message."""

from __future__ import annotations

from collections.abc import Sequence
from json import loads
from typing import Any

from tidegate.core.event import AnyEvent, End, Finish, Item, Start, Text, seams_told
from tidegate.core.fold import merge
from tidegate.core.lifecycle import Action, Block, Lifecycle
from tidegate.core.request import Header
from tidegate.dialects.anthropic_messages.content import (
    block_object,
    citation_delta,
    delta_objects,
    message,
    own,
    stop_members,
    usage_object,
)
from tidegate.dialects.anthropic_messages.render import ITEM_KINDS
from tidegate.dialects.anthropic_messages.usage import NAME
from tidegate.dialects.framed import Framed
from tidegate.dialects.translation.items import own_item, with_items
from tidegate.wire.ascii_json import ascii_json

Fields = dict[str, Any]


class _Content:
    """A content block that grows: pieces are collected, and joined once."""

    __slots__ = ("fields", "input", "text")

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.text: dict[str, list[str]] = {}
        self.input: list[str] = []

    def add(self, delta: Fields) -> None:
        """Take one delta."""
        match delta.get("type"):
            case "text_delta":
                self.text.setdefault("text", []).append(delta["text"])
            case "thinking_delta":
                self.text.setdefault("thinking", []).append(delta["thinking"])
            case "signature_delta":
                self.text.setdefault("signature", []).append(delta["signature"])
            case "input_json_delta":
                self.input.append(delta["partial_json"])
            case "citations_delta":
                self.fields["citations"] = [*(self.fields.get("citations") or ()), delta.get("citation")]
            case _:
                more = {name: value for name, value in delta.items() if name != "type"}
                self.fields = merge(self.fields, more)

    def whole(self) -> Fields:
        """The block."""
        for name, pieces in self.text.items():
            self.fields[name] = str(self.fields.get(name) or "") + "".join(pieces)
        if self.input:
            self.fields["input"] = _parsed("".join(self.input))
        return self.fields


def _parsed(arguments: str) -> Any:
    """A call's arguments, which a limit may have cut short: then they are told as they are."""
    try:
        return loads(arguments, strict=False)
    except (ValueError, RecursionError):
        return {"INVALID_JSON": arguments}  # Anthropic's own word for it


class MessagesWholeRenderer(Framed):
    """Renders nothing until the stream has completed, then the whole message at once."""

    content_type = b"application/json"

    __slots__ = ("_beside", "_blocks", "_finish", "_header", "_items", "_life", "_refused", "_start")

    def __init__(self, header: Header) -> None:
        self._header = header
        self._life = Lifecycle(ITEM_KINDS)
        self._start = Start()
        self._blocks: dict[int, _Content] = {}
        self._finish = Finish(reason="stop")
        self._beside: Fields = {}
        """What the upstream told with the end, beside the reason."""
        self._refused = False
        self._items: list[Fields] = []

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        for step in self._life.steps(events):
            event, block = step.event, step.block
            if step.action is Action.DELTA and block is not None:
                self._delta(event, block)
            elif step.action is Action.OPEN and block is not None:
                self._open(block)
            elif step.action is Action.START and isinstance(event, Start):
                self._start = event
            elif step.action is Action.ITEM and isinstance(event, Item):
                if block is not None and block.kind is Text and (cited := citation_delta(event)):
                    self._blocks[block.index].add(cited)
                self._item(event)
            elif step.action is Action.FINISH and isinstance(event, Finish):
                self._finish = event
            elif isinstance(event, End) and step.action is Action.END and event.outcome == "completed":
                return self._whole(event)
        return b""

    def keep_alive(self) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        return b""

    def _open(self, block: Block) -> None:
        opening = block.opening
        if isinstance(opening, Text) and opening.refusal:
            self._refused = True
        self._blocks[block.index] = _Content(block_object(opening, self._header, block.index))

    def _delta(self, event: AnyEvent, block: Block) -> None:
        assert not isinstance(event, (Start, Finish, End))
        for delta in delta_objects(event, block):
            self._blocks[block.index].add(delta)

    def _item(self, item: Item) -> None:
        if (told := own_item(item)) is not None:
            self._items.append(told)
        if item.kind == NAME and item.value.get("type") == "message_delta":
            self._beside.update(item.value.get("delta") or {})

    def _whole(self, end: End) -> bytes:
        start, finish = self._start, self._finish
        usage = end.usage if end.usage is not None else start.usage
        answer = message(self._header, start.model, usage, own(start).get("message"))
        answer.update({name: value for name, value in self._beside.items() if value is not None})
        answer["content"] = [content.whole() for _, content in sorted(self._blocks.items())]
        answer.update(stop_members(finish, refused=self._refused))
        answer.update(own(finish).get("event", {}))
        answer["usage"] = usage_object(usage)
        answer.update(seams_told(end))
        answer.update(with_items(answer, self._items))
        return ascii_json(answer).encode("ascii")
