"""The fold of a stream: the one whole answer that its events add up to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidegate.core.event import AnyEvent, End, Extra, Finish, Item, Start, Text, Thinking, Tool


@dataclass(slots=True)
class ToolCall:
    """A whole tool call."""

    call_id: str | None
    name: str | None
    custom: bool = False
    arguments: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    """Unknown fields of the call."""
    inside: dict[str, Any] = field(default_factory=dict)
    """Unknown fields of its function."""


@dataclass(slots=True)
class Thought:
    """A whole block of thinking; see :class:`tidegate.core.event.Thinking`."""

    text: list[str] = field(default_factory=list)
    signature: str | None = None
    redacted: str | None = None
    origin: str | None = None


@dataclass(slots=True)
class Choice:
    """A whole choice. ``extra`` holds the unknown fields of all its events, by level.

    ``thinking`` is the text of all its thoughts, ``thoughts`` are they by their blocks.
    """

    text: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    thoughts: dict[int, Thought] = field(default_factory=dict)
    calls: dict[int, ToolCall] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    logprobs: dict[str, Any] | None = None
    reason: str | None = None
    extra: dict[str, dict[str, Any]] = field(default_factory=dict)
    thinking_name: str | None = None


class Fold:
    """Adds events up. ``choices`` by index, ``chunk`` the unknown outermost fields, last one wins."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.choices: dict[int, Choice] = {}
        self.chunk: dict[str, Any] = {}
        self.end: End | None = None

    def add(self, events: Sequence[AnyEvent]) -> None:
        """Take further events of the stream."""
        for event in events:
            # No isinstance(), and no match: both ask the metaclass of the library that events are made with.
            if type(event) is Start:
                self.model = event.model
                self.chunk.update((event.extra or {}).get("chunk", {}))
            elif type(event) is End:
                self.end = event
                self.chunk.update((event.extra or {}).get("chunk", {}))
            else:
                self._add_to_choice(event)  # type: ignore[arg-type]

    def _add_to_choice(self, event: Text | Thinking | Tool | Item | Finish) -> None:
        choice = self.choices.get(event.choice)
        if choice is None:
            choice = self.choices[event.choice] = Choice()
        if event.extra is not None:
            self._keep(choice, event.extra)
        if type(event) is Text:
            (choice.refusal if event.refusal else choice.text).append(event.text)
            if isinstance(event.logprobs, dict):
                choice.logprobs = merge(choice.logprobs or {}, event.logprobs)
        elif type(event) is Thinking:
            choice.thinking.append(event.text)
            _think(choice.thoughts.setdefault(event.block, Thought()), event)
            choice.thinking_name = (event.extra or {}).get("name", choice.thinking_name)
        elif type(event) is Tool:
            call = choice.calls.get(event.block)
            if call is None:
                call = choice.calls[event.block] = ToolCall(event.call_id, event.name, event.custom)
            call.arguments.append(event.arguments)
            call.extra = merge(call.extra, (event.extra or {}).get("tool", {}))
            call.inside = merge(call.inside, (event.extra or {}).get("function", {}))
        elif type(event) is Finish:
            choice.reason = event.reason
        elif type(event) is Item:
            self._item(choice, event)

    def _item(self, choice: Choice, item: Item) -> None:
        if item.kind == "chunk":
            self.chunk.update(item.value)
        elif item.kind == "choice":
            _keep_fields(choice, item.value)
        elif item.kind == "delta":
            choice.extra["delta"] = merge(choice.extra.get("delta", {}), item.value)
        else:
            choice.items.append(item)

    def _keep(self, choice: Choice, extra: Extra) -> None:
        self.chunk.update(extra.get("chunk", {}))
        if "choice" in extra:
            _keep_fields(choice, extra["choice"])
        if "delta" in extra:
            choice.extra["delta"] = merge(choice.extra.get("delta", {}), extra["delta"])


def _think(thought: Thought, event: Thinking) -> None:
    thought.text.append(event.text)
    if event.signature is not None:
        thought.signature = (thought.signature or "") + event.signature
    if event.redacted is not None:
        thought.redacted = (thought.redacted or "") + event.redacted
    thought.origin = event.origin or thought.origin


def _keep_fields(choice: Choice, fields: Mapping[str, Any]) -> None:
    """Keep fields beside a delta: the newest, but logprobs, which add up whatever they came with."""
    if isinstance(fields.get("logprobs"), dict):
        choice.logprobs = merge(choice.logprobs or {}, fields["logprobs"])
    choice.extra.setdefault("choice", {}).update(fields)


def merge(kept: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Add the deltas ``more`` to ``kept``: strings and lists grow, objects merge, the rest is replaced."""
    merged = dict(kept)
    for key, value in more.items():
        old = merged.get(key)
        if isinstance(old, str) and isinstance(value, str) and key not in ("id", "type", "name"):
            merged[key] = old + value
        elif isinstance(old, list) and isinstance(value, list):
            merged[key] = [*old, *value]
        elif isinstance(old, dict) and isinstance(value, dict):
            merged[key] = merge(old, value)
        elif value is not None or key not in merged:
            merged[key] = value
    return merged
