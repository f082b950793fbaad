"""The content blocks of one answer of an upstream: their starts, deltas and stops to canonical events.

What a Messages event says beyond the fields of a canonical one is kept in ``extra`` under the dialect's
name: ``start`` and ``block`` hold the unknown members of the block's start and of the block in it, on the
first event of a block; ``event`` and ``delta`` those of a delta. A delta of an unknown type is there whole.
A block opens at its first delta, so that nothing shows before there is something to show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tidegate.core.event import AnyEvent, Extra, Item, Text, Thinking, Tool
from tidegate.dialects.anthropic_messages.usage import NAME
from tidegate.dialects.translation.citations import cited
from tidegate.errors import Broken
from tidegate.wire.ascii_json import ascii_json

Fields = dict[str, Any]
Kind = type[Text] | type[Thinking] | type[Tool] | type[Item]

KINDS: Final[Mapping[str, Kind]] = {
    "text": Text,
    "thinking": Thinking,
    "redacted_thinking": Thinking,
    "tool_use": Tool,
}
"""Blocks that have canonical events of their own; all others are items."""

DELTAS: Final[Mapping[str, tuple[Kind, str]]] = {
    "text_delta": (Text, "text"),
    "thinking_delta": (Thinking, "thinking"),
    "signature_delta": (Thinking, "signature"),
    "input_json_delta": (Tool, "partial_json"),
}
"""Deltas that have canonical events of their own, and the member that holds what they add."""

KNOWN_OF_BLOCK: Final[Mapping[str, frozenset[str]]] = {
    "text": frozenset({"type", "text"}),
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
    "tool_use": frozenset({"type", "id", "name", "input"}),
}
_EVENT_KNOWN: Final = frozenset({"type", "index", "content_block", "delta"})


class _Block:
    """One block of the upstream's. ``start`` is what its first event is to carry, None once it has."""

    __slots__ = ("arguments", "filled", "kind", "name", "number", "start")

    def __init__(self, kind: Kind, number: int, start: Fields | None) -> None:
        self.kind = kind
        self.number = number
        self.start = start
        self.name = ""
        self.arguments = ""
        """Of a call that came whole in its start; deltas take their place."""
        self.filled = False
        """Arguments of the call have come."""


_WORDS = ("text", "thinking", "signature", "data")
"""Members of a block that are told as they are."""


class Blocks:
    """Decodes the blocks of one answer."""

    __slots__ = ("_by_index", "_extra", "_next_number", "_open", "called")

    def __init__(self) -> None:
        self._by_index: dict[tuple[Any, Kind], _Block] = {}
        self._open: dict[int, _Block] = {}
        self._next_number = 0
        self._extra: Extra | None = None
        self.called = False
        """A call of a tool of the caller's has begun."""

    @property
    def open_call(self) -> str | None:
        """The name of a tool whose call has begun and not ended."""
        return next((block.name for block in self._open.values() if block.kind is Tool), None)

    @property
    def between(self) -> bool:
        """Whether every block that has begun has ended."""
        return not self._open

    def start(self, event: Fields) -> Iterator[AnyEvent]:
        """The events of a ``content_block_start``."""
        content: Fields = event["content_block"]
        type_ = content.get("type")
        kind = KINDS.get(str(type_), Item)
        block = self._new(event.get("index"), kind, None)
        if kind is Item:
            value = {"content_block": content, **_beyond(event)}
            yield Item(kind=NAME, block=block.number, value=value)
            return
        known = KNOWN_OF_BLOCK[str(type_)]
        for name in _WORDS:
            if not isinstance(content.get(name, ""), str | None):
                raise Broken(f"the upstream sent a block whose {name} is not text")
        block.start = {"block": {name: content[name] for name in content if name not in known}}
        if beside := _beyond(event):
            block.start["start"] = beside
        if kind is Tool:
            yield from self._start_call(block, content)
        elif kind is Text:
            if text := content.get("text"):
                yield self._text(block, text, {})
                yield from _cited(content.get("citations"))
        elif type_ == "redacted_thinking":
            extra = self._with_start(block, {})
            yield Thinking(text="", block=block.number, redacted=content["data"], origin=NAME, extra=extra)
        elif content.get("thinking") or content.get("signature"):
            signature = content.get("signature") or None
            yield self._thinking(block, content.get("thinking") or "", signature, {})

    def _start_call(self, block: _Block, content: Fields) -> Iterator[AnyEvent]:
        self.called = True
        block.name = str(content.get("name") or "")
        if content.get("input"):
            block.arguments = ascii_json(content["input"])
        call_id = content.get("id")
        yield Tool(
            arguments="",
            block=block.number,
            call_id=str(call_id) if call_id else None,
            name=block.name,
            extra=self._with_start(block, {}),
        )

    def delta(self, event: Fields, events: list[AnyEvent]) -> bool:
        """Append the event of a ``content_block_delta``. Whether the next one may well be like it."""
        delta: Fields = event["delta"]
        type_ = delta.get("type")
        kind, member = DELTAS.get(str(type_), (None, ""))
        block = self._block(event.get("index"), kind)
        if block.kind is Item:
            events.append(Item(kind=NAME, block=block.number, value={"delta": delta, **_beyond(event)}))
            return False
        extra: Fields = {"event": beside} if (beside := _beyond(event)) else {}
        if kind is None:
            events.append(self._empty(block, {**extra, "delta": delta}))
            events += _cited([delta.get("citation")])
            return False
        if len(delta) > 2 and (
            unknown := {name: delta[name] for name in delta if name not in ("type", member)}
        ):
            extra["delta"] = unknown
        added = delta.get(member) or ""
        if not isinstance(added, str):
            raise Broken(f"the upstream sent a {type_} that is not text")
        if not added and not extra:
            return False
        repeats = block.start is None
        if kind is Text:
            events.append(self._text(block, added, extra))
        elif kind is Tool:
            block.arguments, block.filled = "", True
            shared = self._with_start(block, extra)
            events.append(Tool(arguments=added, block=block.number, extra=shared))
        elif member == "signature":
            events.append(self._thinking(block, "", added, extra))
            return False
        else:
            events.append(self._thinking(block, added, None, extra))
        return repeats

    def stop(self, event: Fields) -> Iterator[AnyEvent]:
        """The events of a ``content_block_stop``."""
        index = event.get("index")
        for block in [each for (at, _), each in self._by_index.items() if at == index]:
            if block.number in self._open:
                del self._open[block.number]
                yield from self._last(block)
        if beside := _beyond(event):
            yield Item(kind=NAME, value={"type": "content_block_stop", **beside})

    def _last(self, block: _Block) -> Iterator[AnyEvent]:
        if block.kind is Tool and not block.filled:
            # A call without arguments has an empty object for them, which this dialect need not say.
            extra = self._with_start(block, {} if block.arguments else {"implied": True})
            yield Tool(arguments=block.arguments or "{}", block=block.number, extra=extra)
        elif block.start is not None:  # a block without content is a block all the same
            yield self._empty(block, {})

    def _new(self, index: Any, kind: Kind, start: Fields | None) -> _Block:
        for key in [key for key in self._by_index if key[0] == index]:
            del self._by_index[key]
        block = self._by_index[index, kind] = _Block(kind, self._next_number, start)
        self._open[block.number] = block
        self._next_number += 1
        return block

    def _block(self, index: Any, kind: Kind | None) -> _Block:
        """The block that a delta belongs to; some servers number them wrongly, or start none."""
        block = self._by_index.get((index, kind)) if kind is not None else None
        if block is not None:
            return block
        others = [each for (at, _), each in self._by_index.items() if at == index]
        item = next((each for each in others if each.kind is Item), None)
        if item is not None:
            return item
        if kind is None or kind is Tool:
            if others and kind is None:
                return others[-1]
            raise Broken("the upstream sent a delta of a block that it had not started")
        number = self._next_number
        self._next_number += 1
        block = self._by_index[index, kind] = self._open[number] = _Block(kind, number, None)
        return block

    def _text(self, block: _Block, text: str, extra: Fields) -> Text:
        return Text(text=text, block=block.number, extra=self._with_start(block, extra))

    def _thinking(self, block: _Block, text: str, signature: str | None, extra: Fields) -> Thinking:
        return Thinking(
            text=text,
            block=block.number,
            signature=signature,
            origin=NAME if signature is not None else None,
            extra=self._with_start(block, extra),
        )

    def _empty(self, block: _Block, extra: Fields) -> Text | Thinking | Tool:
        """An event that adds nothing but what its extra says."""
        shared = self._with_start(block, extra)
        if block.kind is Tool:
            return Tool(arguments="", block=block.number, extra=shared)
        if block.kind is Thinking:
            return Thinking(text="", block=block.number, extra=shared)
        return Text(text="", block=block.number, extra=shared)

    def _with_start(self, block: _Block, extra: Fields) -> Extra | None:
        """One object for equal extras in a row, so that renderers can tell by identity."""
        if block.start is not None:
            extra = {**block.start, **extra}
            block.start = None
        elif not extra:
            return None
        if self._extra is None or self._extra[NAME] != extra:
            self._extra = {NAME: extra}
        return self._extra


def _beyond(event: Fields) -> Fields:
    """The members of an event that we do not know."""
    if event.keys() <= _EVENT_KNOWN:
        return {}
    return {name: event[name] for name in event if name not in _EVENT_KNOWN}


def _cited(citations: Any) -> list[Item]:
    """The pages among citations, for other dialects; passages of documents have no form there."""
    pages = [each for each in citations if isinstance(each, dict)] if isinstance(citations, list) else []
    return [
        item
        for page in pages
        for item in cited(NAME, page.get("url"), page.get("title"), text=page.get("cited_text"))
    ]
