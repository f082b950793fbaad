"""The output items of an upstream's answer, each told piece by piece and then once more as a whole.

What was told in pieces is not told again: a ``done`` event and the final response are looked through only for
what no delta has brought. A block opens with the first thing that it says, so that an item of which nothing
came leaves no trace; the fields of its item and its part stand beside that first event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tidegate.core.event import AnyEvent, Extra, Item, Text, Thinking, Tool
from tidegate.dialects.openai_responses.reasoning import sign
from tidegate.dialects.openai_responses.usage import NAME
from tidegate.dialects.translation.citations import cited

Fields = dict[str, Any]

CALLS: Final = {"function_call": "arguments", "custom_tool_call": "input"}
"""The items that call a caller's tool, and the member that holds what it is given."""

_PART_KNOWN: Final = frozenset({"type", "text", "refusal", "annotations", "logprobs"})
_NOT_KEPT: Final = {
    "message": frozenset({"content", "status", "role", "type"}),
    "reasoning": frozenset({"content", "summary", "encrypted_content", "status", "type"}),
    "function_call": frozenset({"arguments", "status", "name", "call_id", "type"}),
    "custom_tool_call": frozenset({"input", "status", "name", "call_id", "type"}),
}


class Said:
    """How much of a text has come in pieces, and the last of them."""

    __slots__ = ("_last", "_length")

    def __init__(self) -> None:
        self._length = 0
        self._last = ""

    def add(self, text: str, last: str | None = None) -> None:
        """Take a piece, or several, of which the last was ``last``."""
        if text:
            self._length += len(text)
            self._last = text if last is None else last

    def rest(self, whole: str) -> str:
        """What no piece has brought; nothing when the whole does not go on where the last piece ended."""
        last = self._last
        goes_on = whole.startswith(last, self._length - len(last))
        return whole[self._length :] if goes_on else ""


class Part:
    """One part of an item: a block, once it has said something."""

    __slots__ = ("annotations", "block", "fields", "kind", "said")

    def __init__(self, kind: str, fields: Fields) -> None:
        self.kind = kind
        self.fields = fields
        self.block: int | None = None
        self.said = Said()
        self.annotations = 0


class OutputItem:
    """One item of the answer. ``blocks`` gives numbers to new blocks."""

    __slots__ = ("_blocks", "_told", "block", "done", "fields", "kind", "name", "parts", "said", "whole")

    def __init__(self, item: Fields, blocks: Callable[[], int]) -> None:
        self.kind = str(item.get("type") or "message")
        self.name: str | None = item.get("name")
        self.fields = self._kept(item)
        self.parts: dict[tuple[str, int], Part] = {}
        self.block: int | None = None
        """Of a call, or of an item of a kind that we do not know."""
        self.said = Said()
        """Of a call's text."""
        self.done = False
        self.whole = False
        """All that a call is given has come, whatever else is said of it."""
        self._told = False
        self._blocks = blocks

    @property
    def known(self) -> bool:
        """Whether there are events of our own for such an item."""
        return self.kind in _NOT_KEPT

    def _kept(self, item: Fields) -> Fields:
        """What an item says that has no place in events. Unknown items go as they are, piece by piece."""
        known = _NOT_KEPT.get(self.kind, frozenset())
        return {name: value for name, value in item.items() if name not in known and value is not None}

    # Beginning

    def begin(self, item: Fields, raw: Fields | None, events: list[AnyEvent]) -> None:
        """Take ``response.output_item.added``; ``raw`` is that event, if there was one."""
        if self.kind in CALLS:
            self.block = self._blocks()
            events.append(
                Tool(
                    arguments="",
                    block=self.block,
                    call_id=_word(item.get("call_id") or item.get("id")),
                    name=_word(item.get("name")),
                    custom=self.kind == "custom_tool_call",
                    extra={NAME: {"item": self.fields}},
                )
            )
        elif not self.known and raw is not None:
            self.block = self._blocks()
            events.append(Item(kind=NAME, value=raw, block=self.block))

    def part(self, kind: str, index: int, part: Fields | None = None) -> Part:
        """The part of this kind and index, new if there was none."""
        found = self.parts.get((kind, index))
        if found is None:
            unknown = {name: value for name, value in (part or {}).items() if name not in _PART_KNOWN}
            found = self.parts[kind, index] = Part(kind, unknown)
        return found

    # Deltas

    def say(
        self, kind: str, index: int, text: str, extra: Extra | None, logprobs: Any, events: list[AnyEvent]
    ) -> Part:
        """More of a part's text."""
        _check(text, str)
        _check(logprobs or [], list)
        part = self.part(kind, index)
        extra = self._opening(part, extra)
        part.said.add(text)
        assert part.block is not None
        if self.kind == "reasoning":
            events.append(Thinking(text=text, block=part.block, extra=extra))
        else:
            told = {"content": logprobs} if logprobs else None
            refusal = kind == "refusal"
            events.append(Text(text=text, block=part.block, logprobs=told, refusal=refusal, extra=extra))
        return part

    def _opening(self, part: Part, extra: Extra | None) -> Extra | None:
        """The fields beside an event, with those of the item and the part at the first of a block."""
        if part.block is not None:
            return extra
        part.block = self._blocks()
        opening: Fields = dict(extra[NAME]) if extra else {}
        opening["part"] = {"type": part.kind, **part.fields} if self.kind == "reasoning" else part.fields
        if not self._told:
            self._told = True
            opening["item"] = self.fields
        return {NAME: opening}

    def call(self, text: str, extra: Extra | None, events: list[AnyEvent]) -> None:
        """More of what a tool is given."""
        _check(text, str)
        assert self.block is not None
        self.said.add(text)
        events.append(
            Tool(arguments=text, block=self.block, custom=self.kind == "custom_tool_call", extra=extra)
        )

    # Snapshots

    def part_done(self, kind: str, index: int, part: Fields, events: list[AnyEvent]) -> None:
        """Take a part as a whole: what no delta has brought is said now."""
        text = part.get("refusal") if kind == "refusal" else part.get("text")
        known = self.part(kind, index, part)
        _check(text or "", str)
        if rest := known.said.rest(text or ""):
            self.say(kind, index, rest, None, part.get("logprobs") if rest == text else None, events)
        missing = (part.get("annotations") or [])[known.annotations :]
        for number, annotation in enumerate(missing, known.annotations):
            told = {
                "type": "response.output_text.annotation.added",
                "annotation_index": number,
                "annotation": annotation,
            }
            events.append(Item(kind=NAME, value=told))
            events += noted(annotation)
            known.annotations += 1

    def finish(self, item: Fields, raw: Fields | None, events: list[AnyEvent]) -> None:
        """Take the item as a whole."""
        if self.done:
            return
        self.done = True
        if not self.known:
            if self.block is None:
                self.block = self._blocks()
            raw = raw or {"type": "response.output_item.done", "item": item}
            events.append(Item(kind=NAME, value=raw, block=self.block))
        elif self.kind in CALLS:
            text = item.get(CALLS[self.kind]) or ""
            _check(text, str)
            rest, changed = self.said.rest(text), self._changed(item)
            if rest or changed:
                self.call(rest, changed, events)
        else:
            for kind, member in (("summary_text", "summary"), ("", "content")):
                for index, part in enumerate(item.get(member) or ()):
                    if isinstance(part, dict):
                        self.part_done(kind or str(part.get("type")), index, part, events)
            self._close(item, events)

    def _close(self, item: Fields, events: list[AnyEvent]) -> None:
        """The end of a message or of reasoning: its signature, and fields that have changed meanwhile."""
        changed = self._changed(item)
        encrypted = item.get("encrypted_content")
        _check(encrypted or "", str)
        last = max((part.block for part in self.parts.values() if part.block is not None), default=None)
        if self.kind == "reasoning" and encrypted:
            signature = sign(item.get("id"), encrypted)
            if last is None:
                last, changed = self._blocks(), {NAME: {"item": self.fields}}
            events.append(Thinking(text="", block=last, signature=signature, origin=NAME, extra=changed))
        elif changed and last is not None:
            said = Thinking if self.kind == "reasoning" else Text
            events.append(said(text="", block=last, extra=changed))

    def _changed(self, item: Fields) -> Extra | None:
        """The fields of the item that are not what they were when it began."""
        changed = {name: value for name, value in self._kept(item).items() if self.fields.get(name) != value}
        return {NAME: {"done": changed}} if changed else None


def noted(annotation: Any) -> list[Item]:
    """The page that an annotation cites, for other dialects."""
    if not isinstance(annotation, dict):
        return []
    start, end = annotation.get("start_index"), annotation.get("end_index")
    return cited(NAME, annotation.get("url"), annotation.get("title"), start=start, end=end)


def _check(value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r:.40} is not a {kind.__name__}")


def _word(value: Any) -> str | None:
    return str(value) if value else None
